import { type LogHealth, NO_SEQ, NEEDED_KINDS, type ObjectKind, type Seq, type WatchStatus } from '@pointsman/core'
import { Counter, Gauge, Histogram } from 'prom-client'
import { afterApplied, type Unapplied, withUnapplied } from '../health/unapplied.js'
import { type MetricGroup, REQUEST_BUCKETS } from './metric-context.js'

/** How the watches are, and how far the rules are behind them. */
export const watchMetrics: MetricGroup = ({ registry, clock }) => {
  const registers = [registry]
  const watches = new Map<ObjectKind, WatchStatus>()
  const age: Gauge<'kind'> = new Gauge({
    name: 'pointsman_watch_age_seconds',
    help: 'How long ago the API server last said something of a kind, in seconds.',
    labelNames: ['kind'] as const,
    registers,
    collect: () => {
      for (const { kind, heardAt } of watches.values())
        if (heardAt !== undefined) age.set({ kind }, Math.max(0, clock() - heardAt) / 1000)
    },
  })
  const up = new Gauge({
    name: 'pointsman_watch_up',
    help: '1 where changes of a kind come as they happen, else 0.',
    labelNames: ['kind'] as const,
    registers,
  })
  const head = new Gauge({
    name: 'pointsman_head_seq',
    help: 'The position in the change log of the last watch event.',
    registers,
  })
  const applied = new Gauge({
    name: 'pointsman_applied_seq',
    help: 'The position in the change log of the last watch event that is in the rules.',
    registers,
  })
  let waiting: readonly Unapplied[] = []
  /** As an observer has seen it. */
  let observedMs: number | undefined
  const behind: Gauge = new Gauge({
    name: 'pointsman_behind_seconds',
    help: 'For how long the oldest watch event that is not in the rules has waited, in seconds; 0 where none waits.',
    registers,
    collect: () => behind.set(Math.max(0, observedMs ?? clock() - (waiting[0]?.at ?? clock())) / 1000),
  })
  const stateAge = new Gauge({
    name: 'pointsman_start_state_age_seconds',
    help: 'How old the state was that the agent began with, in seconds; 0 where it began without a log.',
    registers,
  })
  const unusable = new Counter({
    name: 'pointsman_unusable_objects_total',
    help: 'Objects, and changes of them, that could not be used; their last usable version stays in effect.',
    labelNames: ['kind'] as const,
    registers,
  })
  for (const kind of NEEDED_KINDS) {
    up.set({ kind }, 0)
    unusable.inc({ kind }, 0)
  }

  let last: Seq = NO_SEQ
  const toHead = (seq: Seq): void => {
    if (seq > last) head.set((last = seq))
  }

  return (event) => {
    if (event.type === 'start' && event.fromLog !== undefined) {
      toHead(event.fromLog.seq)
      stateAge.set(Math.max(0, event.at - event.fromLog.at) / 1000)
    }
    if (event.type === 'unusable') unusable.inc({ kind: event.kind })
    if (event.type === 'event' && !(event.event.type === 'BOOKMARK' && !event.event.initialEventsEnd)) {
      toHead(event.seq)
      waiting = withUnapplied(waiting, event)
    }
    if (event.type === 'confirmed') applied.set(event.seq)
    if (event.type === 'engine' && event.report.type === 'synced') {
      applied.set(event.report.toSeq)
      // A sync carries bookmarks too.
      toHead(event.report.toSeq)
      waiting = afterApplied(waiting, event.report.toSeq)
    }
    if (event.type === 'observed' && event.observation.inForce !== undefined) {
      applied.set(event.observation.inForce)
      observedMs = event.observation.behind?.forMs ?? 0
    }
    if (event.type === 'watch') {
      const { kind, phase } = event.status
      watches.set(kind, event.status)
      up.set({ kind }, phase === 'watching' ? 1 : 0)
    }
  }
}

/** Requests to the API server, as Kubernetes' own clients count them. */
export const requestMetrics: MetricGroup = ({ registry }) => {
  const requests = new Counter({
    name: 'rest_client_requests_total',
    help: 'Requests to the API server, by status, or <error> where no answer came.',
    labelNames: ['code', 'method', 'host'] as const,
    registers: [registry],
  })
  const duration = new Histogram({
    name: 'rest_client_request_duration_seconds',
    help: 'How long requests to the API server took, in seconds.',
    labelNames: ['verb', 'host'] as const,
    buckets: REQUEST_BUCKETS,
    registers: [registry],
  })
  return (event) => {
    if (event.type !== 'request') return
    const { code, method, host, durationMs } = event.request
    requests.inc({ code, method, host })
    duration.observe({ verb: method, host }, durationMs / 1000)
  }
}

/** How the change log is: whatever it is, the rules are kept right. */
export const logMetrics: MetricGroup = ({ registry }) => {
  const registers = [registry]
  const degraded = new Gauge({
    name: 'pointsman_log_degraded',
    help: '1 while the change log cannot be written, or not in time, else 0.',
    registers,
  })
  const unwritten = new Gauge({
    name: 'pointsman_log_unwritten_entries',
    help: 'Entries that are kept in memory until the change log can be written.',
    registers,
  })
  const lost = new Counter({
    name: 'pointsman_log_lost_entries_total',
    help: 'Entries that the change log will never have.',
    registers,
  })
  /** Those of the trouble that there is now. */
  let told = 0

  const observe = (health: LogHealth): void => {
    const isOk = health.type === 'ok'
    degraded.set(isOk ? 0 : 1)
    unwritten.set(isOk ? 0 : health.unwritten)
    if (!isOk) lost.inc(Math.max(0, health.lost - told))
    told = isOk ? 0 : health.lost
  }
  return (event) => {
    if (event.type === 'log') observe(event.health)
  }
}

/** What load balancers and the kubelet were told. */
export const probeMetrics: MetricGroup = ({ registry }) => {
  const counters = {
    healthz: new Counter({
      name: 'kubeproxy_proxy_healthz_total',
      help: 'Answers of /healthz on the health port, by status.',
      labelNames: ['code'] as const,
      registers: [registry],
    }),
    livez: new Counter({
      name: 'kubeproxy_proxy_livez_total',
      help: 'Answers of /livez on the health port, by status.',
      labelNames: ['code'] as const,
      registers: [registry],
    }),
  }
  return (event) => {
    if (event.type === 'probe') counters[event.path].inc({ code: String(event.status) })
  }
}
