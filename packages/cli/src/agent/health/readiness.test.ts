import { NEEDED_KINDS, OBJECT_KINDS, type ObjectKind, seq } from '@pointsman/core'
import { node, service } from '@pointsman/core/testing'
import { describe, expect, it } from 'vitest'
import type { AgentEvent } from '../agent-event.js'
import type { ProbeAnswer } from './proxy-health.js'
import { createAgentHealth, type Readiness } from './readiness.js'
import { changed, failed, synced, watch } from './test-support/agent-events.js'

const START = Date.UTC(2026, 10, 21, 9, 0, 0)
const fromLog = { seq: seq(9), at: START - 3_600_000, rebooted: false }

/** What /readyz says so many milliseconds after the start, after what has happened by then. */
function readyzAfter(
  events: readonly AgentEvent[],
  ms = 1000,
  kinds: readonly ObjectKind[] = NEEDED_KINDS,
): ProbeAnswer<Readiness> {
  const health = createAgentHealth({
    kinds,
    families: ['IPv4', 'IPv6'],
    syncPeriodMs: 30_000,
    minSyncPeriodMs: 1000,
    clock: () => START + ms,
    steady: () => ms,
  })
  for (const event of events) health.on(event)
  return health.readyz()
}

const request = (code: string): AgentEvent => ({
  type: 'request',
  request: { method: 'GET', host: '10.0.0.1:6443', code, durationMs: 3 },
})
const refused = { code: 'UNREACHABLE', message: 'connection refused' }
const READY: readonly AgentEvent[] = [
  { type: 'start', at: START },
  ...NEEDED_KINDS.map((kind) => watch(kind, 'watching', { heardAt: START + 100 })),
  changed(node({ name: 'node-a' }), { seq: 1, at: START }),
  synced({ toSeq: 1, startedAt: START, endedAt: START + 50 }),
]
const lost = (heardAt: number) => NEEDED_KINDS.map((kind) => watch(kind, 'lost', { heardAt, error: refused }))

describe('/readyz', () => {
  it('is good when all is, and tells each part', () => {
    const { status, body } = readyzAfter([...READY, { type: 'drift', drifts: [], at: START + 500 }])
    expect(status).toBe(200)
    const kind = { ok: true, phase: 'watching', heardAt: '2026-11-21T09:00:00.100Z' }
    expect(body).toEqual({
      ready: true,
      currentTime: '2026-11-21T09:00:01.000Z',
      checks: {
        apiServer: { ok: true, heardAt: '2026-11-21T09:00:00.100Z' },
        watch: { ok: true, kinds: { Service: kind, EndpointSlice: kind, Node: kind } },
        applied: { ok: true, head: 1, applied: 1, behindMs: 0 },
        audit: { ok: true, checkedAt: '2026-11-21T09:00:00.500Z' },
      },
      log: { ok: true },
    })
  })

  it('tells a server that cannot be reached from one that refuses', () => {
    const gone = readyzAfter([...READY, ...lost(START), request('<error>')], 60_000)
    expect(gone.status).toBe(503)
    expect(gone.body.checks.apiServer).toMatchObject({ ok: false, error: 'connection refused' })
    const refusing = readyzAfter([...READY, ...lost(START), request('401')], 60_000)
    expect(refusing.body.checks).toMatchObject({ apiServer: { ok: true }, watch: { ok: false } })
    expect(refusing.body.checks.watch.kinds.Service).toMatchObject({ ok: false, error: 'connection refused' })
  })

  it('takes a watch that is opened anew for fresh for half a minute, and one that never was for none', () => {
    const [, ...rest] = NEEDED_KINDS
    expect(readyzAfter([...READY, watch('Service', 'lost', { heardAt: START })], 29_999).status).toBe(200)
    expect(
      readyzAfter([...READY, watch('Service', 'lost', { heardAt: START })], 30_000).body.checks.watch,
    ).toMatchObject({ ok: false, kinds: { Service: { ok: false }, Node: { ok: true } } })
    const listing = [
      ...rest.map((kind) => watch(kind, 'watching', { heardAt: START })),
      watch('Service', 'listing', { heardAt: START }),
    ]
    expect(readyzAfter(listing).body.checks).toMatchObject({ apiServer: { ok: true }, watch: { ok: false } })
  })

  it('passes over ServiceCIDRs that are not to be had, with the reason, and asks for their watch once they are', () => {
    const of = (...more: readonly AgentEvent[]) => readyzAfter([...READY, ...more], 60_000, OBJECT_KINDS)
    expect(of().body.checks.watch).toMatchObject({ ok: false, kinds: { ServiceCIDR: { ok: false } } })
    const lack: AgentEvent = { type: 'unavailable', kind: 'ServiceCIDR', message: 'permission denied', at: START }
    const { status, body } = of(lack)
    expect(status).toBe(200)
    expect(body.checks.watch.kinds.ServiceCIDR).toEqual({
      ok: true,
      phase: 'unavailable',
      error: 'permission denied',
    })
    expect(of(lack, watch('ServiceCIDR', 'watching', { heardAt: START })).status).toBe(200)
    expect(of(lack, watch('ServiceCIDR', 'lost', { heardAt: START, error: refused })).status).toBe(503)
  })

  it('tells how far the rules are behind, and lets a sync have its time', () => {
    const events = [...READY, changed(service({ name: 'web' }), { seq: 2, at: START + 1000 })]
    expect(readyzAfter(events, 7000).body.checks.applied).toEqual({ ok: true, head: 2, applied: 1, behindMs: 6000 })
    expect(readyzAfter(events, 7001).body.checks.applied).toEqual({ ok: false, head: 2, applied: 1, behindMs: 6001 })
  })

  it('is red at once when a sync failed, and says why, until one succeeds', () => {
    const broken = [...READY, failed({ toSeq: 1, startedAt: START, endedAt: START + 1 })]
    expect(readyzAfter(broken).body.checks.applied).toMatchObject({ ok: false, error: 'the tables are locked' })
    expect(readyzAfter([...broken, synced({ toSeq: 1, startedAt: START, endedAt: START + 2 })]).status).toBe(200)
  })

  it('is red before the first sync, and says what the agent began with', () => {
    const { status, body } = readyzAfter([{ type: 'start', at: START, fromLog: { ...fromLog, rebooted: true } }])
    expect(status).toBe(503)
    expect(body.checks.applied).toEqual({ ok: false, head: 9, behindMs: 0 })
    expect(body.startedFrom).toEqual({ seq: 9, at: '2026-11-21T08:00:00.000Z', rebooted: true, doubtful: true })
  })

  it('knows that rules are in force before the first sync, unless the log is no start after all', () => {
    const confirmed: AgentEvent = { type: 'confirmed', at: START + 5, seq: seq(9), node: undefined, by: 'unchanged' }
    const begun: readonly AgentEvent[] = [{ type: 'start', at: START, fromLog }, confirmed]
    expect(readyzAfter(begun).body.checks).toMatchObject({
      applied: { ok: true, head: 9, applied: 9 },
      watch: { ok: false },
    })
    const { body } = readyzAfter([...begun, { type: 'start', at: START + 10 }])
    expect([body.checks.applied.ok, body.startedFrom]).toEqual([false, undefined])
  })

  it('tells of drift that was put right, and is red when it could not be', () => {
    const drifts = [{ family: 'IPv4' as const, chains: ['nat KUBE-SERVICES', 'nat KUBE-NODEPORTS'], bytes: 9 }]
    const mended: AgentEvent = { type: 'drift', drifts, at: START + 10 }
    const lastDrift = { at: '2026-11-21T09:00:00.010Z', chains: 2 }
    const clean: AgentEvent = { type: 'drift', drifts: [], at: START + 20 }
    expect(readyzAfter([...READY, mended]).body.checks.audit).toMatchObject({ ok: true, lastDrift })
    expect(readyzAfter([...READY, mended, clean]).body.checks.audit).toMatchObject({
      checkedAt: '2026-11-21T09:00:00.020Z',
      lastDrift,
    })
    const unread: AgentEvent = { type: 'drift', drifts: [], at: START + 30, error: new Error('no\nsuch table') }
    expect(readyzAfter([...READY, unread])).toMatchObject({
      status: 503,
      body: { checks: { audit: { ok: false, error: 'no; such table' } } },
    })
    expect(readyzAfter([...READY, unread, clean]).status).toBe(200)
  })

  it('tells how the log is, and is good whatever that is', () => {
    const health = {
      type: 'degraded',
      code: 'LOG_FULL',
      message: 'disk full',
      since: START,
      unwritten: 3,
      lost: 1,
    } as const
    expect(readyzAfter([...READY, { type: 'log', health }])).toMatchObject({
      status: 200,
      body: { log: { ok: false, code: 'LOG_FULL', message: 'disk full', unwritten: 3, lost: 1 } },
    })
  })
})
