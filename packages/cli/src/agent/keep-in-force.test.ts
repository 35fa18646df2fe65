import { DEFAULT_PROXY_CONFIG, type LogEntry, NO_SEQ, type WatchChangesOptions } from '@pointsman/core'
import { createToyDataplane, stateOf } from '@pointsman/core/testing'
import { asyncScheduler, of, Subject } from 'rxjs'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { AgentEvent } from './agent-event.js'
import { keepInForce } from './keep-in-force.js'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const STATE = stateOf({ ports: [{ is: 'shop/cart', clusterIP: '10.96.0.10', endpoints: ['10.244.1.5:8080@node-a'] }] })

test('repairs what somebody else changed, and records the chains and the process', async () => {
  const dataplane = createToyDataplane()
  const end = new AbortController()
  const { signal } = end
  const machine = await dataplane.open(
    { config: DEFAULT_PROXY_CONFIG, families: ['IPv4'], choices: {} },
    { requireNetAdmin: () => undefined, interfaceAddresses: () => [], signal, now: Date.now, warn: () => undefined },
  )
  await machine.backend.sync({ state: STATE, changed: 'all', fromSeq: NO_SEQ, toSeq: NO_SEQ }, signal)
  const before = await machine.backend.read()
  const notices: Extract<LogEntry, { type: 'notice' }>[] = []
  const events: AgentEvent[] = []
  const kept = keepInForce({
    machine,
    inForce: of(undefined),
    hasRead: () => true,
    syncPeriodMs: 30_000,
    scheduler: asyncScheduler,
    clock: Date.now,
    signal,
    onEvent: (event) => void events.push(event),
    onNotice: (notice) => void notices.push(notice),
    onDoubt: () => expect.fail('nothing is in doubt'),
    onWarning: (message) => expect.fail(message),
  })
  await vi.advanceTimersByTimeAsync(5000)
  expect(notices).toEqual([])

  dataplane.kernel.lines.get('IPv4')?.clear()
  dataplane.kernel.changedBy({ pid: 4711, command: 'flush-rules' })
  await vi.advanceTimersByTimeAsync(5000)
  expect(await machine.backend.read()).toEqual(before)
  expect(notices).toMatchObject([
    {
      code: 'RULES_CHANGED',
      details: {
        family: 'IPv4',
        chains: ['toy fronts', 'toy to-shop-cart-TCP-IPv4'],
        by: [{ pid: 4711, command: 'flush-rules' }],
      },
    },
  ])
  expect(events.map(({ type }) => type)).toEqual(['listening', 'drift', 'drift', 'drift'])
  end.abort()
  await kept
})

/** A watch that the test speaks for, over rules that are always right, and when they were looked at. */
function watched(given: { readonly hasRead?: boolean } = {}) {
  let { hasRead = false } = given
  const inForce = new Subject<void>()
  inForce.subscribe(() => (hasRead = true))
  const looks: number[] = []
  const end = new AbortController()
  const began: WatchChangesOptions[] = []
  const startedAt = Date.now()
  const kept = keepInForce({
    machine: {
      hearsEveryChange: true,
      backend: {
        repairDrift: () => {
          looks.push(Date.now() - startedAt)
          return Promise.resolve([])
        },
      },
      watchChanges: (options) => {
        began.push(options)
        return new Promise((resolve) => options.signal.addEventListener('abort', () => resolve()))
      },
    },
    inForce,
    hasRead: () => hasRead,
    syncPeriodMs: 30_000,
    scheduler: asyncScheduler,
    clock: Date.now,
    signal: end.signal,
    onEvent: () => undefined,
    onNotice: () => undefined,
    onDoubt: () => undefined,
    onWarning: () => undefined,
  })
  const [watch] = began
  if (watch === undefined) throw new Error('nothing is watched')
  return { watch, inForce, looks, stop: () => (end.abort(), kept) }
}

const pass = (ms: number): Promise<unknown> => vi.advanceTimersByTimeAsync(ms)

test('looks at nothing after the first sync where the watch listened before it, and heard nothing', async () => {
  const { watch, inForce, looks, stop } = watched()
  watch.onListening({ type: 'listening' })
  inForce.next()
  await pass(60_000)
  expect(looks).toEqual([])
  watch.onChange({ pid: 4711, command: 'nft' })
  await pass(1000)
  expect(looks).toEqual([60_000])
  await stop()
})

test('looks after the first sync where something was changed while it read, or the watch began too late', async () => {
  const changed = watched()
  changed.watch.onListening({ type: 'listening' })
  changed.watch.onChange({ pid: 4711, command: 'nft' })
  changed.inForce.next()
  const late = watched({ hasRead: true })
  late.watch.onListening({ type: 'listening' })
  late.inForce.next()
  const deaf = watched()
  deaf.inForce.next()
  await pass(1000)
  expect([changed.looks, late.looks, deaf.looks]).toEqual([[0], [0], [0]])
  await Promise.all([changed.stop(), late.stop(), deaf.stop()])
})

test('looks again when the watch begins to listen, or does so again', async () => {
  const { watch, inForce, looks, stop } = watched()
  watch.onListening({ type: 'deaf' })
  inForce.next()
  await pass(15_000)
  watch.onListening({ type: 'listening' })
  await pass(15_000)
  watch.onListening({ type: 'deaf', error: new Error('the monitor was killed') })
  await pass(5000)
  watch.onListening({ type: 'listening' })
  await pass(5000)
  expect(looks).toEqual([0, 15_000, 35_000])
  await stop()
})

test('looks every two sync periods while nothing is heard, and every ten while all is', async () => {
  const { watch, inForce, looks, stop } = watched()
  watch.onListening({ type: 'deaf' })
  inForce.next()
  await pass(125_000)
  expect(looks).toEqual([0, 60_000, 120_000])
  watch.onListening({ type: 'listening' })
  await pass(305_000)
  expect(looks.slice(3)).toEqual([125_000, 425_000])
  await stop()
})
