import {
  createStateFold,
  type EngineReport,
  type Refusal,
  type RefusalChanges,
  seq,
  type ServicePortName,
  type WatchEvent,
  type WatchStatus,
} from '@pointsman/core'
import { createEventMaker, service, slice, stateOf } from '@pointsman/core/testing'
import { describe, expect, it } from 'vitest'
import type { AgentEvent } from './agent-event.js'
import { createAgentLines } from './agent-log.js'

const lines = (events: readonly AgentEvent[], verbosity = 0): readonly string[] => {
  const say = createAgentLines()
  return events.flatMap((event) =>
    say(event)
      .filter((line) => line.verbosity <= verbosity)
      .map(({ level, message }) => `${level}: ${message}`),
  )
}

const watch = (
  phase: WatchStatus['phase'],
  message?: string,
  { code = 'UNREACHABLE', kind = 'Service', at = 0 }: { code?: string; kind?: WatchStatus['kind']; at?: number } = {},
): AgentEvent => ({
  type: 'watch',
  status: { kind, phase, ...(message !== undefined && { error: { code, message } }) },
  at,
})

const run = (
  outcome: 'full' | 'partial' | 'failed',
  diagnostics: EngineReport['diagnostics'] = new Map(),
  refusals: RefusalChanges = { current: [], begun: [], ended: [] },
): AgentEvent => {
  const report = {
    fromSeq: seq(1),
    toSeq: seq(7),
    changed: new Set<never>(),
    startedAt: 1000,
    endedAt: 1020,
    diagnostics,
  }
  const result = { full: outcome === 'full', rules: 12, bytes: 340, digest: 'x', refused: [] }
  return {
    type: 'engine',
    state: stateOf({ ports: [] }),
    report:
      outcome === 'failed'
        ? { type: 'failed', error: new Error('the lock is held by iptables (process 7)'), retryInMs: 1000, ...report }
        : { type: 'synced', result, refusals, ...report },
  }
}

describe('the text log of an agent', () => {
  const KINDS = ['Service', 'EndpointSlice', 'Node'] as const
  const all = (phase: WatchStatus['phase'], message?: string, more: { code?: string; at?: number } = {}) =>
    KINDS.map((kind) => watch(phase, message, { ...more, kind }))

  it('says once that a server is lost, however many watches it had, and once that all are back', () => {
    const said = lines([
      ...all('connecting'),
      ...all('watching'),
      ...all('lost', 'ECONNRESET', { code: 'CONNECTION_LOST' }),
      ...all('connecting'),
      ...all('lost', 'https://10.0.0.1:6443 refuses connections'),
      ...all('lost', 'https://10.0.0.1:6443 refuses connections'),
      ...all('watching', undefined, { at: 1000 }),
      ...all('watching', undefined, { at: 100_000 }),
    ])
    expect(said).toEqual([
      'info: watching Services',
      'info: watching EndpointSlices',
      'info: watching Nodes',
      'warn: the connection to the API server is lost: ECONNRESET; retrying',
      'info: the API server is back: all watches resumed',
    ])
  })

  it('says of a server that is lost each reason once, and is not back before all watches are', () => {
    const refused = { code: 'UNAUTHORIZED' }
    const said = lines([
      ...all('lost', 'nobody listens'),
      ...all('lost', 'who are you', refused),
      ...all('lost', 'nobody listens'),
      ...all('lost', 'who are you', refused),
      watch('watching', undefined, { kind: 'Node' }),
      watch('watching', undefined, { kind: 'Service' }),
    ])
    expect(said).toEqual([
      'warn: the API server cannot be reached: nobody listens; retrying',
      'warn: watches are down: who are you; retrying',
    ])
  })

  it('says of a server that comes and goes that it does, and then when it has stayed for a minute', () => {
    const events = Array.from({ length: 50 }, (_, at) => [
      ...all('lost', 'nobody listens', { at: at * 30_000 }),
      ...all('watching', undefined, { at: at * 30_000 + 20_000 }),
    ]).flat()
    const steady = watch('watching', undefined, { at: 49 * 30_000 + 80_000 })
    const later = all('lost', 'nobody listens', { at: 10_000_000 })
    expect(lines([...events, steady, steady, ...later])).toEqual([
      'warn: the API server cannot be reached: nobody listens; retrying',
      'info: the API server is back: all watches resumed',
      'warn: the API server cannot be reached again: nobody listens; retrying; the next line comes when it has stayed for a minute',
      'info: the API server is back to stay: it was lost 50 times',
      'warn: the API server cannot be reached: nobody listens; retrying',
    ])
  })

  it('says of one kind what concerns it alone', () => {
    const forbidden = watch('lost', 'Nodes are not for you', { code: 'FORBIDDEN', kind: 'Node' })
    expect(lines([forbidden, forbidden, ...all('watching')])).toEqual([
      'warn: watch of Nodes is down: Nodes are not for you; retrying',
      'info: watching Services',
      'info: watching EndpointSlices',
      'info: watch of Nodes resumed',
    ])
  })

  it('tells small syncs to those who ask for more, failures and what ended them to everybody', () => {
    expect(lines([run('full'), run('partial'), run('failed'), run('partial'), run('partial')])).toEqual([
      'info: synced 0 service ports up to seq 7 in 20 ms: 340 bytes written, 12 rules programmed',
      'error: sync failed: the lock is held by iptables (process 7); retrying in 1 s',
      'info: synced 0 service ports up to seq 7 in 20 ms: 340 bytes written, 12 rules programmed',
    ])
    expect(lines([run('full'), run('partial'), run('partial')], 2)).toHaveLength(3)
  })

  it('says once that a service port is refused and why, and once that it is no longer', () => {
    const refused = (name: string): Refusal => ({
      owner: name as ServicePortName,
      error: new Error('line 12: no such\nmatch'),
      since: 1020,
      retryAt: 2020,
    })
    const [web, api] = [refused('shop/web/TCP/IPv4'), refused('shop/api/TCP/IPv4')]
    const during = (refusals: RefusalChanges): AgentEvent => run('partial', new Map(), refusals)
    expect(
      lines([
        during({ current: [web], begun: [web], ended: [] }),
        during({ current: [web], begun: [], ended: [] }),
        during({ current: [], begun: [], ended: [web.owner] }),
      ]),
    ).toEqual([
      'warn: rules of shop/web/TCP/IPv4 are refused, and its previous ones stay in place; retrying in 1 s: line 12: no such; match',
      'info: rules of shop/web/TCP/IPv4 are no longer refused',
    ])
    const many = Array.from({ length: 8 }, () => api)
    expect(lines([during({ current: many, begun: many, ended: [] })]).slice(5)).toEqual([
      'warn: rules of 3 more service ports are refused; see /readyz and the change log',
    ])
  })

  it('says how old the state is that it starts with', () => {
    const fromLog = { seq: seq(40), at: 1000, rebooted: true }
    expect(lines([{ type: 'start', at: 61_000, fromLog }])).toEqual([
      'info: starting from the logged state at seq 40, 60 s old; the machine has rebooted since',
    ])
    const confirmed = { type: 'confirmed', at: 62_000, seq: seq(40), node: undefined } as const
    expect(lines([{ ...confirmed, by: 'unchanged' }])).toEqual([
      'info: the rules of the logged state are in force up to seq 40: the kernel reports no change since the last sync',
    ])
    expect(lines([{ ...confirmed, by: 'read' }])).toEqual([
      'info: the rules of the logged state are in force up to seq 40: the tables read as the last sync left them',
    ])
    expect(lines([{ type: 'start', at: 1 }])).toEqual([
      'info: no logged state to start from: waiting for the API server',
    ])
  })

  it('says that the log fails, and of a log that is slow for a moment nothing unless asked for more', () => {
    const ok: AgentEvent = { type: 'log', health: { type: 'ok' } }
    const degraded = (code: string): AgentEvent => ({
      type: 'log',
      health: { type: 'degraded', code, message: `${code}: why`, since: 1, unwritten: 3, lost: 0 },
    })
    const [slow, full] = [degraded('LOG_SLOW'), degraded('LOG_FULL')]
    expect(lines([ok, slow, slow, ok, slow, ok])).toEqual([])
    expect(lines([ok, slow, slow, ok], 2)).toEqual([
      'warn: the change log is not writable; syncs continue without it: LOG_SLOW: why',
      'info: the change log is writable again',
    ])
    expect(lines([slow, full, slow, full, ok])).toEqual([
      'warn: the change log is not writable; syncs continue without it: LOG_FULL: why',
      'info: the change log is writable again',
    ])
  })

  it('says which chains somebody else changed', () => {
    const chains = ['nat KUBE-SERVICES', 'nat KUBE-SVC-AAAA']
    expect(lines([{ type: 'drift', at: 1, drifts: [{ family: 'IPv4', chains, bytes: 10 }] }])).toEqual([
      'warn: IPv4 rules in 2 chains were modified externally and have been restored: nat KUBE-SERVICES, nat KUBE-SVC-AAAA',
    ])
    const by = [{ pid: 4711, command: 'firewalld' }]
    expect(lines([{ type: 'drift', at: 1, drifts: [{ family: 'IPv4', chains: ['nat A'], bytes: 10 }], by }])).toEqual([
      'warn: IPv4 rules in 1 chain were modified externally and have been restored: nat A; tables were changed by firewalld (process 4711)',
    ])
  })
})

describe('what the text log says of objects', () => {
  const make = createEventMaker()
  const broken = service({ name: 'web', spec: { clusterIP: '10.96.0.300', loadBalancerSourceRanges: ['x'] } })
  /** Each event in a sync of its own, which fails or not. */
  const runs = (events: readonly WatchEvent[], outcome: 'partial' | 'failed' = 'partial'): readonly AgentEvent[] => {
    const fold = createStateFold()
    return events.map((event, index) => {
      fold.track(seq(index + 1), event)
      return run(outcome, fold.apply().diagnostics)
    })
  }
  const used = (text: string): boolean => text.includes('ignoring fields')

  it('names what cannot be read once, until something else is wrong or the object is gone', () => {
    const say = createAgentLines()
    const events = [
      make.added(service({ name: 'good' })),
      make.added(broken),
      make.modified(broken),
      make.deleted(broken),
      make.added(broken),
      make.modified(service({ name: 'web', spec: { clusterIP: '10.96.0.300' } })),
      make.modified(service({ name: 'web' })),
      make.modified(broken),
    ]
    const said = runs(events).map((event) => say(event).filter(({ message }) => used(message)))
    expect(said.map(({ length }) => length)).toEqual([0, 1, 0, 0, 1, 1, 0, 1])
    expect(said[1]).toEqual([
      {
        level: 'warn',
        verbosity: 0,
        message: expect.stringMatching(/^Service shop\/web: ignoring fields that cannot be used: .*10\.96\.0\.300/),
      },
    ])
  })

  it('names it also where the sync fails', () => {
    expect(lines(runs([make.added(broken)], 'failed')).filter(used)).toHaveLength(1)
  })

  it('tells of what is legal and gives no rules only to those who ask for more', () => {
    const events = runs([make.added(slice({ name: 'own', service: null, endpoints: [] }))])
    expect([lines(events, 1).filter(used).length, lines(events, 2).filter(used).length]).toEqual([0, 1])
  })
})
