import { type IpFamily, type Refusal, seq, type ServicePortName } from '@pointsman/core'
import { node, service, slice, stateOf } from '@pointsman/core/testing'
import { describe, expect, it } from 'vitest'
import type { AgentEvent } from '../agent-event.js'
import { type AgentHealth, createAgentHealth } from './readiness.js'
import { changed, failed, family, listed, synced, watch } from './test-support/agent-events.js'

const START = Date.UTC(2026, 10, 21, 9, 0, 0)
const TO_BE_DELETED = { key: 'ToBeDeletedByClusterAutoscaler', value: '1732179600', effect: 'NoSchedule' }

interface Told extends AgentHealth {
  /** Sets wall time forward, or back. */
  readonly setClock: (ms: number) => void
  /** Tells what happens so many milliseconds after the start. */
  readonly at: (ms: number, ...events: readonly ((now: number) => AgentEvent)[]) => void
}

function agent({ families = ['IPv4', 'IPv6'] as readonly IpFamily[] } = {}): Told {
  let now = START
  let set = 0
  const health = createAgentHealth({
    families,
    syncPeriodMs: 30_000,
    minSyncPeriodMs: 1000,
    nodeName: 'node-a',
    clock: () => now,
    steady: () => now - set,
  })
  return {
    ...health,
    setClock: (ms) => {
      set += ms
      now += ms
    },
    at: (ms, ...events) => {
      now = START + ms + set
      for (const event of events) health.on(event(now))
    },
  }
}

const started = (now: number): AgentEvent => ({ type: 'start', at: now })
const startedFromLog =
  (rebooted: boolean) =>
  (now: number): AgentEvent => ({ type: 'start', at: now, fromLog: { seq: seq(10), at: now - 60_000, rebooted } })
const seen =
  (position: number, taints: readonly (typeof TO_BE_DELETED)[] = []) =>
  (now: number) =>
    changed(node({ name: 'node-a', taints }), { seq: position, at: now })
const both =
  (position: number) =>
  (now: number): AgentEvent =>
    listed('EndpointSlice', { seq: position, at: now })
const services =
  (position: number) =>
  (now: number): AgentEvent =>
    listed('Service', { seq: position, at: now })
const service4 = (position: number) => (now: number) => changed(service({ name: 'web' }), { seq: position, at: now })
const slice6 = (position: number) => (now: number) =>
  changed(slice({ name: 'web-6', service: 'web', addressType: 'IPv6', endpoints: ['fd00::1'] }), {
    seq: position,
    at: now,
  })
const run =
  (toSeq: number, took = 0) =>
  (now: number) =>
    synced({ toSeq, startedAt: now - took, endedAt: now })

/** An agent that runs: its Node seen, everything received, rules written. */
function running(): Told {
  const told = agent()
  told.at(0, started, seen(1), services(2), both(3), run(3))
  return told
}

describe('/healthz', () => {
  it('is red until a Node was seen, while /livez is green', () => {
    const told = agent()
    told.at(0, started)
    expect(told.healthz()).toMatchObject({ status: 503, body: { nodeEligible: false, healthy: true } })
    expect(told.livez().status).toBe(200)
    told.at(10, seen(1))
    expect(told.healthz().status).toBe(200)
  })

  it('answers with what kube-proxy answers with, in its order', () => {
    const told = running()
    told.at(1500)
    expect(JSON.stringify(told.healthz().body)).toBe(
      '{"lastUpdated":"2026-11-21T09:00:01.5Z","currentTime":"2026-11-21T09:00:01.5Z","nodeEligible":true,"healthy":true,' +
        '"status":{"IPv4":{"lastUpdated":"2026-11-21T09:00:00Z","healthy":true},' +
        '"IPv6":{"lastUpdated":"2026-11-21T09:00:00Z","healthy":true}}}',
    )
    expect(told.livez().body).not.toHaveProperty('nodeEligible')
  })

  it.each([
    ['green', node({ name: 'node-a' }), 200],
    ['red', node({ name: 'node-a', taints: [TO_BE_DELETED] }), 503],
  ])('stays %s when the Node is deleted, as with its last version', (_, object, status) => {
    const told = running()
    told.at(1, () => changed(object, { seq: 4, at: START }))
    told.at(2, () => changed(object, { seq: 5, at: START }, 'DELETED'))
    expect(told.healthz().status).toBe(status)
  })

  it.each([
    ['is tainted by the autoscaler', changed(node({ name: 'node-a', taints: [TO_BE_DELETED] }), { seq: 4, at: START })],
    [
      'is on its way out',
      changed(
        {
          ...node({ name: 'node-a' }),
          metadata: { name: 'node-a', deletionTimestamp: '2026-11-21T09:00:00Z' },
        },
        { seq: 4, at: START },
      ),
    ],
  ])('is red while the node %s; the proxy is healthy all the same', (_, event) => {
    const told = running()
    told.at(1, () => event)
    expect(told.healthz()).toMatchObject({ status: 503, body: { nodeEligible: false, healthy: true } })
    expect(told.livez().status).toBe(200)
    expect(told.isServing()).toBe(true)
    told.at(2, seen(5))
    expect(told.healthz().status).toBe(200)
  })

  it('does not mind another node, nor another taint', () => {
    const told = running()
    told.at(1, (now) => changed(node({ name: 'node-b', taints: [TO_BE_DELETED] }), { seq: 4, at: now }))
    told.at(1, (now) =>
      changed(node({ name: 'node-a', taints: [{ key: 'other', effect: 'NoSchedule' }] }), { seq: 5, at: now }),
    )
    expect(told.healthz().status).toBe(200)
  })

  it('is red when a change is not in the rules after twice the sync period, and green again once it is', () => {
    const told = running()
    told.at(1000, service4(4))
    told.at(60_999)
    expect(told.healthz().status).toBe(200)
    told.at(61_000)
    expect(told.healthz()).toMatchObject({
      status: 503,
      body: { healthy: false, nodeEligible: true, lastUpdated: '2026-11-21T09:00:00Z' },
    })
    expect(told.livez().status).toBe(503)
    expect(told.isServing()).toBe(false)
    told.at(61_001, run(4))
    expect(told.healthz().status).toBe(200)
    expect(told.livez().status).toBe(200)
  })

  it('names the family that is late', () => {
    const told = running()
    told.at(1000, slice6(4))
    told.at(61_000)
    expect(told.livez().body.status).toEqual({
      IPv4: { lastUpdated: '2026-11-21T09:00:00Z', healthy: true },
      IPv6: { lastUpdated: '2026-11-21T09:00:00Z', healthy: false },
    })
  })

  it('is green of the family whose part of a failed sync succeeded', () => {
    const told = running()
    told.at(
      1000,
      service4(4),
      () => family('IPv4'),
      () => family('IPv6', { error: new Error('no') }),
    )
    told.at(2000, (now) => failed({ toSeq: 4, startedAt: now - 10, endedAt: now }))
    told.at(61_000)
    expect(told.livez().body.status).toEqual({
      IPv4: { lastUpdated: '2026-11-21T09:00:02Z', healthy: true },
      IPv6: { lastUpdated: '2026-11-21T09:00:00Z', healthy: false },
    })
  })

  it('is green while one service is refused again and again: the others are in force, and starting anew would not help', () => {
    const told = agent()
    told.at(0, startedFromLog(false), seen(11))
    const refused = (now: number): Refusal => ({
      owner: 'shop/web:http/TCP/IPv4' as ServicePortName,
      error: new Error('line 3: no such\nmatch'),
      since: START + 1000,
      retryAt: now + 30_000,
    })
    for (const ms of [1000, 20_000, 40_000, 65_000])
      told.at(ms, (now) => synced({ toSeq: 11, startedAt: now - 100, endedAt: now }, [refused(now)]))
    told.at(66_000)
    expect([told.livez().status, told.healthz().status]).toEqual([200, 200])
    expect(told.readyz().body.checks.applied).toEqual({
      ok: false,
      head: 11,
      applied: 11,
      behindMs: 0,
      error: expect.stringContaining('rejects them'),
      refused: [
        {
          servicePort: 'shop/web:http/TCP/IPv4',
          since: '2026-11-21T09:00:01.000Z',
          error: 'line 3: no such; match',
          retryAt: '2026-11-21T09:01:35.000Z',
        },
      ],
      refusedCount: 1,
    })
    told.at(67_000, run(11))
    expect(told.readyz().body.checks.applied).toEqual({ ok: true, head: 11, applied: 11, behindMs: 0 })
  })

  it('counts what came while a sync ran as not in the rules', () => {
    const told = running()
    told.at(1000, service4(4))
    told.at(20_000, service4(5), run(4, 18_500))
    told.at(79_999)
    expect(told.livez().status).toBe(200)
    told.at(80_000)
    expect(told.livez().status).toBe(503)
  })

  it('is red when no sync succeeds, though nothing has changed since the start', () => {
    const told = agent()
    told.at(0, startedFromLog(false), seen(11))
    for (const ms of [1000, 20_000, 40_000])
      told.at(ms, (now) => failed({ toSeq: 10, startedAt: now - 100, endedAt: now }))
    told.at(60_899)
    expect(told.livez().status).toBe(200)
    told.at(60_900)
    expect(told.livez().status).toBe(503)
  })

  it('is not late before everything was received once: nothing can be synced yet', () => {
    const told = agent()
    told.at(0, started, seen(1), service4(2), services(3))
    told.at(600_000)
    expect(told.livez().status).toBe(200)
    told.at(600_000, both(4))
    told.at(659_999)
    expect(told.livez().status).toBe(200)
    told.at(660_000)
    expect(told.livez().status).toBe(503)
  })

  it('tells nothing of a family that is not synced', () => {
    const told = agent({ families: ['IPv4'] })
    told.at(0, started, seen(1), services(2), both(3), run(3), slice6(4))
    told.at(100_000)
    expect(Object.keys(told.healthz().body.status ?? {})).toEqual(['IPv4'])
    expect(told.healthz().status).toBe(200)
  })
})

describe('a start from the log alone', () => {
  const withNode = (taints: readonly (typeof TO_BE_DELETED)[] = []) => stateOf({ ports: [], node: { taints } })

  it('is green with the Node of the log once its rules are written', () => {
    const told = agent()
    told.at(0, startedFromLog(false))
    expect(told.healthz().status).toBe(503)
    told.at(100, (now) => synced({ toSeq: 10, startedAt: now - 50, endedAt: now, state: withNode() }))
    expect(told.healthz().status).toBe(200)
    expect(told.isServing()).toBe(true)
  })

  it('believes the watch and not the state of a sync that began before', () => {
    const told = agent()
    told.at(0, startedFromLog(false), seen(11, [TO_BE_DELETED]))
    told.at(100, (now) => synced({ toSeq: 10, startedAt: now - 50, endedAt: now, state: withNode() }))
    expect(told.healthz().status).toBe(503)
  })

  it('is red after a reboot until all watches are there and what they said is in the rules', () => {
    const told = agent()
    told.at(0, startedFromLog(true))
    told.at(100, (now) => synced({ toSeq: 10, startedAt: now - 50, endedAt: now, state: withNode() }))
    expect(told.healthz()).toMatchObject({ status: 503, body: { nodeEligible: true, healthy: false } })
    expect(told.isServing()).toBe(false)
    expect(told.livez().status).toBe(200)
    told.at(
      200,
      () => watch('Service', 'watching'),
      () => watch('Node', 'watching'),
      service4(11),
    )
    told.at(300, () => watch('EndpointSlice', 'listing'))
    expect(told.isServing()).toBe(false)
    told.at(400, (now) => watch('EndpointSlice', 'watching', { heardAt: now }))
    told.at(500, run(11))
    expect(told.isServing()).toBe(false)
    // What the watch had missed, and what came later.
    told.at(1200, slice6(12))
    told.at(2400)
    expect(told.isServing()).toBe(false)
    told.at(2401, service4(13))
    told.at(2500, run(12))
    expect(told.isServing()).toBe(true)
    expect(told.healthz().status).toBe(200)
    // A server that goes away later takes nothing back.
    told.at(2600, () => watch('EndpointSlice', 'lost'))
    expect(told.isServing()).toBe(true)
  })
})

describe('a clock that is set while a change waits', () => {
  it.each([
    ['forward', 3_600_000],
    ['back', -3_600_000],
  ])('%s makes no change late, nor one that is late in time', (_, ms) => {
    const told = running()
    told.at(1000, service4(4))
    told.setClock(ms)
    expect(told.healthz().status).toBe(200)
    expect(told.readyz().body.checks.applied).toMatchObject({ ok: true, behindMs: 0 })
    told.at(5000)
    expect(told.readyz().body.checks.applied).toMatchObject({ ok: true, behindMs: 4000 })
    told.at(60_999)
    expect(told.healthz().status).toBe(200)
    told.at(61_000)
    expect(told.healthz().status).toBe(503)
    expect(told.healthz().body.currentTime).toBe(new Date(START + 61_000 + ms).toISOString().replace('.000', ''))
  })
})
