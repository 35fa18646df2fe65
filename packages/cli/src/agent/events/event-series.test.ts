import type { ApiWritten, ServiceName } from '@pointsman/core'
import { expect, test } from 'vitest'
import type { EventNote } from './event-notes.js'
import { createEventSeries, type EventSeries } from './event-series.js'

const SECOND = 1000
const MINUTE = 60 * SECOND
/** Of the wall; the clock that does not jump begins at 0. */
const T0 = Date.parse('2026-03-01T10:00:00Z')

const note = (rest: Partial<EventNote> = {}): EventNote => ({
  type: 'Warning',
  reason: 'RulesRepaired',
  action: 'RepairRules',
  note: 'restored',
  at: T0,
  ...rest,
})

const create = (): EventSeries =>
  createEventSeries({ nodeName: 'node-a', controller: 'kube-proxy', hostname: 'machine-7' })

const CREATED: ApiWritten = { status: 201, message: '' }

interface Seen {
  readonly at: number
  readonly method: string
  readonly path: string
  readonly series: unknown
}

/** Lets the time go by to `until`, with a server that answers; gives what it was asked. */
function goOn(
  events: EventSeries,
  { from, until, answer = () => CREATED }: { from: number; until: number; answer?: () => ApiWritten | undefined },
): readonly Seen[] {
  const seen: Seen[] = []
  for (let now = from; now <= until;) {
    const next = events.next(now)
    if (next === undefined) break
    if (next.type === 'wait') {
      now += Math.max(1, next.ms)
      continue
    }
    const { method, path, body } = next.write
    seen.push({
      at: now,
      method,
      path: path.slice('/apis/events.k8s.io/v1/namespaces/'.length),
      series: body['series'],
    })
    next.settle(answer(), now)
  }
  return seen
}

test('an Event is what client-go makes of what kube-proxy says', () => {
  const events = create()
  events.add(note({ type: 'Normal', reason: 'Starting', action: 'StartKubeProxy', note: '' }), 0)
  expect(events.next(0)).toMatchObject({
    type: 'write',
    write: {
      method: 'POST',
      path: '/apis/events.k8s.io/v1/namespaces/default/events',
      body: {
        apiVersion: 'events.k8s.io/v1',
        kind: 'Event',
        metadata: { name: expect.stringMatching(/^node-a\.[0-9a-f]{16}$/) as string, namespace: 'default' },
        eventTime: '2026-03-01T10:00:00.000000Z',
        reportingController: 'kube-proxy',
        reportingInstance: 'kube-proxy-machine-7',
        action: 'StartKubeProxy',
        reason: 'Starting',
        regarding: { kind: 'Node', name: 'node-a', uid: 'node-a' },
        type: 'Normal',
      },
    },
  })
})

test('of a Service, it is in the namespace of the Service', () => {
  const events = create()
  events.add(note({ service: 'shop/web' as ServiceName }), 0)
  expect(events.next(0)).toMatchObject({
    write: {
      path: '/apis/events.k8s.io/v1/namespaces/shop/events',
      body: { regarding: { kind: 'Service', namespace: 'shop', name: 'web', uid: 'shop/web' } },
    },
  })
})

test('what happens every second for an hour is one Event, whose count is written once a minute', () => {
  const events = create()
  const seen: Seen[] = []
  for (let now = 0; now < 60 * MINUTE; now += SECOND) {
    events.add(note({ at: T0 + now }), now)
    seen.push(...goOn(events, { from: now, until: now }))
  }
  expect(seen.slice(0, 3).map(({ at, method, series }) => [at, method, series])).toEqual([
    [0, 'POST', undefined],
    [SECOND, 'PATCH', { count: 2, lastObservedTime: '2026-03-01T10:00:01.000000Z' }],
    [61 * SECOND, 'PATCH', { count: 62, lastObservedTime: '2026-03-01T10:01:01.000000Z' }],
  ])
  expect(seen).toHaveLength(61)
  const rest = goOn(events, { from: 60 * MINUTE, until: 80 * MINUTE })
  expect(rest.map(({ series }) => series)).toEqual([{ count: 3600, lastObservedTime: '2026-03-01T10:59:59.000000Z' }])
})

test('after six quiet minutes it is another Event', () => {
  const events = create()
  events.add(note(), 0)
  goOn(events, { from: 0, until: 0 })
  events.add(note(), 6 * MINUTE)
  expect(goOn(events, { from: 6 * MINUTE, until: 6 * MINUTE })).toMatchObject([{ method: 'POST' }])
})

test('a thousand different things are ten Events at once and one in half a minute', () => {
  const events = create()
  for (let index = 0; index < 1000; index += 1) events.add(note({ about: String(index) }), 0)
  const seen = goOn(events, { from: 0, until: 5 * MINUTE })
  expect(seen.filter(({ at }) => at === 0)).toHaveLength(10)
  expect(seen).toHaveLength(20)
})

test('a server that is away is asked less and less often, and gets the Event with its time when it is back', () => {
  const events = create()
  events.add(note(), 0)
  const tries = goOn(events, { from: 0, until: 10 * MINUTE, answer: () => undefined })
  expect(tries.map(({ at }) => at / SECOND)).toEqual([0, 10, 30, 70, 150, 310, 610].filter((at) => at <= 600))
  events.add(note({ at: T0 + 10 * MINUTE }), 10 * MINUTE)
  expect(goOn(events, { from: 10 * MINUTE, until: 20 * MINUTE })).toMatchObject([{ method: 'POST' }])
})

test('what cannot be posted for an hour is not posted any more', () => {
  const events = create()
  events.add(note(), 0)
  goOn(events, { from: 0, until: 0, answer: () => undefined })
  expect(events.next(60 * MINUTE)).toBeUndefined()
})

test('an Event that the server has deleted is posted again with its count', () => {
  const events = create()
  events.add(note(), 0)
  goOn(events, { from: 0, until: 0 })
  events.add(note(), SECOND)
  const answers: ApiWritten[] = [{ status: 404, message: 'not found' }, CREATED]
  const seen = goOn(events, { from: SECOND, until: MINUTE, answer: () => answers.shift() })
  expect(seen.map(({ method, series }) => [method, series])).toEqual([
    ['PATCH', expect.objectContaining({ count: 2 })],
    ['POST', expect.objectContaining({ count: 2 })],
  ])
})

test('an Event that is there already was posted before the answer was lost', () => {
  const events = create()
  events.add(note(), 0)
  const answers = [undefined, { status: 409, message: 'already exists' }]
  expect(goOn(events, { from: 0, until: MINUTE, answer: () => answers.shift() })).toHaveLength(2)
  expect(events.next(MINUTE)).toBeUndefined()
})

test.each([401, 403, 404])('a server that answers %d is left alone for ten minutes', (status) => {
  const events = create()
  events.add(note(), 0)
  const next = events.next(0)
  expect(next?.type === 'write' && next.settle({ status, message: 'events is forbidden' }, 0)).toBe(
    `${status}: events is forbidden`,
  )
  expect(events.next(0)).toEqual({ type: 'wait', ms: 10 * MINUTE })
  expect(goOn(events, { from: 10 * MINUTE, until: 10 * MINUTE })).toHaveLength(1)
})

test.each([400, 403, 404, 422])(
  'one Event of a Service that is answered with %d is dropped, and no other',
  (status) => {
    const events = create()
    events.add(note({ service: 'going/away' as ServiceName }), 0)
    events.add(note(), 0)
    const answers = [{ status, message: '' }, CREATED]
    expect(goOn(events, { from: 0, until: MINUTE, answer: () => answers.shift() }).map(({ path }) => path)).toEqual([
      'going/events',
      'default/events',
    ])
  },
)
