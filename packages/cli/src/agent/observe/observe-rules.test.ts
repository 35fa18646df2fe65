import { createStateFold, DEFAULT_PROXY_CONFIG, NO_SEQ, seq, type WatchEvent } from '@pointsman/core'
import { createEventMaker, createToyDataplane, node, service, slice } from '@pointsman/core/testing'
import { Subject } from 'rxjs'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { steadyScheduler } from '../steady-time.js'
import { observeRules, type Observation, type StateChange } from './observe-rules.js'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

test.each([
  ['forward', 3_600_000],
  ['back', -3_600_000],
])('a clock that is set %s makes no proxy late, and dates what waits anew', async (_, step) => {
  const dataplane = createToyDataplane()
  const fold = createStateFold({ nodeName: 'node-a' })
  const changes = new Subject<StateChange>()
  const observations: Observation[] = []
  const end = new AbortController()
  const machine = { requireNetAdmin: () => undefined, interfaceAddresses: () => [], signal: end.signal, now: Date.now }
  const families = ['IPv4'] as const
  const given = { config: DEFAULT_PROXY_CONFIG, families, choices: {} }
  const proxy = await dataplane.open(given, { ...machine, warn: () => undefined })
  const rules = await dataplane.openRules(given, { ...machine, warn: () => undefined })
  const observing = observeRules({
    open: () =>
      Promise.resolve({
        dataplane,
        rules,
        families,
        config: DEFAULT_PROXY_CONFIG,
        machine: { interfaceAddresses: [] },
      }),
    minSyncPeriodMs: 1000,
    changes,
    isWatching: () => true,
    scheduler: steadyScheduler,
    clock: Date.now,
    signal: end.signal,
    onObservation: (observation) => void observations.push(observation),
    onOpened: () => undefined,
    onListening: () => undefined,
  })
  await vi.advanceTimersByTimeAsync(0)
  const make = createEventMaker()
  let head = 0
  const take = (...events: readonly WatchEvent[]): void => {
    for (const event of events) fold.track(seq(++head), event)
    const applied = fold.apply()
    changes.next({ state: fold.state, applied })
  }
  take(
    make.added(node({ name: 'node-a' })),
    make.added(service({ name: 'web' })),
    make.added(slice({ name: 'web-1', service: 'web', endpoints: ['10.244.1.5'] })),
  )
  await proxy.backend.sync({ state: fold.state, changed: 'all', fromSeq: NO_SEQ, toSeq: fold.state.seq }, end.signal)
  await vi.advanceTimersByTimeAsync(30_000)
  expect(observations.at(-1)).toMatchObject({ inForce: 3 })

  take(make.modified(slice({ name: 'web-1', service: 'web', endpoints: ['10.244.1.6'] })))
  await vi.advanceTimersByTimeAsync(3000)
  const setAt = observations.length
  const waitsSince = Date.now() - 3000
  vi.setSystemTime(Date.now() + step)
  await vi.advanceTimersByTimeAsync(6000)
  const after = observations.slice(setAt)
  expect(after.filter(({ behind }) => behind?.late === true)).toEqual([])
  expect(after.at(-1)).toMatchObject({ behind: { seq: 4, since: waitsSince + step } })
  await vi.advanceTimersByTimeAsync(9000)
  expect(observations.at(-1)).toMatchObject({
    at: Date.now(),
    behind: { seq: 4, since: waitsSince + step, late: true },
  })
  end.abort()
  await observing
})
