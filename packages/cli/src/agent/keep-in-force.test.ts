import { DEFAULT_PROXY_CONFIG, type LogEntry, NO_SEQ } from '@pointsman/core'
import { createToyDataplane, stateOf } from '@pointsman/core/testing'
import { asyncScheduler, of } from 'rxjs'
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
    syncPeriodMs: 30_000,
    scheduler: asyncScheduler,
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
  expect(events.map(({ type }) => type)).toEqual(['drift', 'drift'])
  end.abort()
  await kept
})
