import { VirtualClock } from '@pointsman/core'
import { createKnownObjects } from '@pointsman/core/io'
import { createEventMaker, node } from '@pointsman/core/testing'
import { describe, expect, it } from 'vitest'
import type { AgentEvent } from './agent-event.js'
import { createFirstSync, type FirstSync } from './first-sync.js'

const make = createEventMaker()
const NODE = make.added(node({ name: 'node-a' }))
const NEEDED = [make.listed('Service'), make.listed('EndpointSlice'), NODE]

interface Trial extends Pick<FirstSync, 'onEvent' | 'onNotice'> {
  readonly advance: (ms: number) => Promise<void>
  /** When the first sync may run, in milliseconds since the start. */
  readonly readyAt: () => number | undefined
  readonly warnings: readonly string[]
  readonly events: readonly AgentEvent[]
}

function begin({ usesServiceCidrs = true } = {}): Trial {
  const clock = new VirtualClock(0)
  const warnings: string[] = []
  const events: AgentEvent[] = []
  const { ready, ...firstSync } = createFirstSync({
    nodeName: 'node-a',
    known: createKnownObjects(),
    usesServiceCidrs,
    observers: { warn: (message) => void warnings.push(message), emit: (event) => void events.push(event) },
    scheduler: clock,
  })
  let readyAt: number | undefined
  ready.subscribe(() => (readyAt = clock.now()))
  return {
    ...firstSync,
    warnings,
    events,
    readyAt: () => readyAt,
    advance: async (ms) => clock.advanceTo(clock.now() + ms),
  }
}

const lacking = (message: string): Parameters<FirstSync['onNotice']>[0] => ({
  type: 'notice',
  code: 'KIND_UNAVAILABLE',
  observedAt: 5,
  message,
  details: { kind: 'ServiceCIDR' },
})

describe('the first sync without a log', () => {
  it('waits for ServiceCIDRs where rules are made from them', async () => {
    const { onEvent, advance, readyAt, warnings } = begin()
    NEEDED.forEach(onEvent)
    await advance(9000)
    expect(readyAt()).toBeUndefined()
    onEvent(make.listed('ServiceCIDR'))
    await advance(1)
    expect(readyAt()).toBe(9000)
    await advance(60_000)
    expect(warnings).toEqual([])
  })

  it('does not where no rule is made from them', async () => {
    const { onEvent, advance, readyAt } = begin({ usesServiceCidrs: false })
    onEvent(NODE)
    await advance(1)
    expect(readyAt()).toBe(0)
  })

  it.each([
    'ServiceCIDR: the server does not serve servicecidrs.networking.k8s.io; continuing without',
    'ServiceCIDR: permission denied: grant this user list and watch on servicecidrs.networking.k8s.io; continuing without',
  ])('goes on at once where they are not to be had: %s', async (message) => {
    const { onEvent, onNotice, advance, readyAt, events } = begin()
    NEEDED.forEach(onEvent)
    onNotice(lacking(message))
    await advance(1)
    expect(readyAt()).toBe(0)
    expect(events).toEqual([
      {
        type: 'unavailable',
        kind: 'ServiceCIDR',
        at: 5,
        message: `${message}: packets to unused addresses of the service network are not dropped`,
      },
    ])
  })

  it('goes on without, and says so, where the server is silent about them for 10 s after the other lists', async () => {
    const { onEvent, advance, readyAt, warnings } = begin()
    onEvent(NODE)
    await advance(300_000)
    expect(readyAt()).toBeUndefined()
    NEEDED.forEach(onEvent)
    await advance(9999)
    expect(readyAt()).toBeUndefined()
    await advance(2)
    expect(readyAt()).toBe(310_000)
    expect(warnings).toEqual([
      'no list of ServiceCIDRs within 10 s of Services and EndpointSlices: programming rules without; packets to unused addresses of the service network are not dropped until it comes',
    ])
  })

  it('waits 30 s for the Node, and says that it has not come', async () => {
    const { onEvent, advance, readyAt, warnings } = begin()
    onEvent(make.listed('ServiceCIDR'))
    await advance(29_999)
    expect(readyAt()).toBeUndefined()
    await advance(2)
    expect(readyAt()).toBe(30_000)
    expect(warnings).toEqual([expect.stringContaining('the cluster has no Node node-a')])
  })
})
