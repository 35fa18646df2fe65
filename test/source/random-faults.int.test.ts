import { setTimeout as pause } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import fc from 'fast-check'
import { startTestApiServer } from '@pointsman/core/testing'
import { expectCaughtUp, startSource } from './living-source.js'
import { listsAskedOf, webService, webSlice, worldOf } from './world.js'
import type { Disturbance, Misbehaviour, RequestKind, TestApiServer } from '@pointsman/core/testing'

const RUNS = process.env['POINTSMAN_SOAK'] === '1' ? 300 : 15

/** One thing that happens to a server. Each ends by itself or with the next. */
type Happening =
  | { readonly type: 'change'; readonly index: number; readonly how: 'put' | 'hide' | 'delete' | 'remake' }
  | { readonly type: 'disturb'; readonly disturbance: Disturbance }
  | {
      readonly type: 'misbehave'
      readonly misbehaviour: Misbehaviour
      readonly kind: RequestKind
      readonly times: number
    }
  | { readonly type: 'away'; readonly forMs: number; readonly forgets: boolean }
  | { readonly type: 'door'; readonly door: 'mute' | 'resetting'; readonly forMs: number }
  | { readonly type: 'others-change'; readonly count: number }
  | { readonly type: 'pause'; readonly ms: number }

const changes: fc.Arbitrary<Happening> = fc.record({
  type: fc.constant('change' as const),
  index: fc.integer({ min: 0, max: 12 }),
  how: fc.constantFrom('put', 'hide', 'delete', 'remake'),
})

const pauses: fc.Arbitrary<Happening> = fc.record({
  type: fc.constant('pause' as const),
  ms: fc.integer({ min: 0, max: 80 }),
})

const othersChange: fc.Arbitrary<Happening> = fc.record({
  type: fc.constant('others-change' as const),
  count: fc.integer({ min: 1, max: 1000 }),
})

const harmlessDisturbances = fc.constantFrom<Disturbance>(
  { type: 'end' },
  { type: 'reset' },
  { type: 'half-line', ending: 'cut' },
  { type: 'half-character', ending: 'cut' },
  { type: 'half-line', ending: 'clean' },
  { type: 'bad-chunk' },
  { type: 'error-event', code: 500 },
  { type: 'repeat-events', count: 7 },
)

const harmlessMisbehaviours = fc.constantFrom<Misbehaviour>(
  { type: 'status', code: 401 },
  { type: 'status', code: 403 },
  { type: 'status', code: 429 },
  { type: 'status', code: 500 },
  { type: 'status', code: 503 },
  { type: 'reset' },
  { type: 'hang' },
  { type: 'duplicates' },
  { type: 'disturbed', afterLines: 0, by: { type: 'end' } },
  { type: 'disturbed', afterLines: 1, by: { type: 'reset' } },
)

const disturb = (disturbances: fc.Arbitrary<Disturbance>): fc.Arbitrary<Happening> =>
  disturbances.map((disturbance) => ({ type: 'disturb', disturbance }))

const misbehave = (misbehaviours: fc.Arbitrary<Misbehaviour>, kinds: readonly RequestKind[]): fc.Arbitrary<Happening> =>
  fc.record({
    type: fc.constant('misbehave' as const),
    misbehaviour: misbehaviours,
    kind: fc.constantFrom(...kinds),
    times: fc.integer({ min: 1, max: 4 }),
  })

const away = (forgets: fc.Arbitrary<boolean>): fc.Arbitrary<Happening> =>
  fc.record({ type: fc.constant('away' as const), forMs: fc.integer({ min: 0, max: 200 }), forgets })

const doors: fc.Arbitrary<Happening> = fc.record({
  type: fc.constant('door' as const),
  door: fc.constantFrom('mute', 'resetting'),
  forMs: fc.integer({ min: 0, max: 200 }),
})

/** After none of these is anything forgotten that a watch needs. */
const harmless = fc.oneof(
  { weight: 4, arbitrary: changes },
  pauses,
  othersChange,
  disturb(harmlessDisturbances),
  misbehave(harmlessMisbehaviours, ['watch', 'check']),
  away(fc.constant(false)),
  doors,
)

const anything = fc.oneof(
  { weight: 3, arbitrary: harmless },
  disturb(
    fc.constantFrom<Disturbance>({ type: 'garbage-line' }, { type: 'silence' }, { type: 'error-event', code: 410 }),
  ),
  disturb(fc.constant({ type: 'half-character', ending: 'clean' })),
  misbehave(harmlessMisbehaviours, ['list', 'page', 'streaming-list']),
  misbehave(
    fc.constantFrom<Misbehaviour>(
      { type: 'expired' },
      { type: 'status', code: 410 },
      { type: 'too-large-resource-version' },
      { type: 'truncated', bytes: 900 },
      { type: 'slow', bytes: 3000, pauseMs: 1 },
      { type: 'behind', revisions: 3 },
      { type: 'no-streaming-lists', as: 'event' },
      { type: 'no-streaming-lists', as: 422 },
      { type: 'disturbed', afterLines: 5, by: { type: 'half-character', ending: 'cut' } },
    ),
    ['watch', 'list', 'page', 'streaming-list'],
  ),
  away(fc.boolean()),
)

describe('whatever happens to a server, in any order', () => {
  it('what the source has said comes to what there is', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(anything, { maxLength: 12 }),
        fc.integer({ min: 1, max: 1e6 }),
        async (happenings, seed) => {
          await withServer(async (server) => {
            const source = await startSource(server, { pageSize: 5, seed, impatient: true })
            const undo = await letHappen(server, happenings)
            undo()
            await expectCaughtUp(server, source)
            await source.stop()
          })
        },
      ),
      { numRuns: RUNS, endOnFailure: true },
    )
  })

  it('nothing is listed again as long as the server remembers', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(harmless, { maxLength: 12 }),
        fc.integer({ min: 1, max: 1e6 }),
        async (happenings, seed) => {
          await withServer(async (server) => {
            const source = await startSource(server, { seed, impatient: true })
            await expectCaughtUp(server, source)
            const asked = listsAskedOf(server)
            const undo = await letHappen(server, happenings)
            undo()
            await expectCaughtUp(server, source)
            expect(listsAskedOf(server)).toBe(asked)
            await source.stop()
          })
        },
      ),
      { numRuns: RUNS, endOnFailure: true },
    )
  })
})

async function withServer(use: (server: TestApiServer) => Promise<void>): Promise<void> {
  const server = await startTestApiServer({ bookmarkIntervalMs: 100, firstResourceVersion: 1000 })
  try {
    server.putAll(worldOf(12))
    await use(server)
  } finally {
    await server.close()
  }
}

/** Gives what takes back the misbehaviours that nobody met. */
async function letHappen(server: TestApiServer, happenings: readonly Happening[]): Promise<() => void> {
  const undo: (() => void)[] = []
  for (const happening of happenings) {
    const taken = await happen(server, happening)
    if (taken !== undefined) undo.push(taken)
  }
  return () => {
    for (const each of undo) each()
  }
}

async function happen(server: TestApiServer, happening: Happening): Promise<(() => void) | undefined> {
  switch (happening.type) {
    case 'change':
      change(server, happening)
      return undefined
    case 'disturb':
      server.disturb(happening.disturbance)
      return undefined
    case 'misbehave': {
      const { misbehaviour, kind, times } = happening
      const takeBack = server.misbehave(misbehaviour, { kind, times })
      server.disturb({ type: 'end' })
      return takeBack
    }
    case 'away':
      await server.goAway()
      if (happening.forgets) server.compact()
      await pause(happening.forMs)
      await server.comeBack()
      return undefined
    case 'door':
      server.setDoor(happening.door)
      server.disturb({ type: 'reset' })
      await pause(happening.forMs)
      server.setDoor('serving')
      return undefined
    case 'others-change':
      server.skip(happening.count)
      server.bookmark()
      return undefined
    case 'pause':
      await pause(happening.ms)
      return undefined
    default:
      return happening satisfies never
  }
}

function change(server: TestApiServer, { index, how }: Extract<Happening, { type: 'change' }>): void {
  if (how === 'put') server.put(webSlice(index, 1 + (server.resourceVersion() % 5)))
  if (how === 'hide') server.put(webService(index, { 'service.kubernetes.io/service-proxy-name': 'other' }))
  if (how === 'delete') server.delete(webSlice(index))
  if (how === 'remake') {
    server.delete(webService(index))
    server.put(webService(index))
  }
}
