import {
  isClusterScoped,
  type EngineReport,
  type IpFamily,
  isJsonObject,
  type KubernetesObject,
  parseRfc3339,
  parseServicePortName,
  type Seq,
  serviceOf,
  type WatchEvent,
} from '@pointsman/core'
import { Counter, Gauge, Histogram } from 'prom-client'
import type { AgentEvent } from '../agent-event.js'
import { queuedFamilies } from '../health/health.js'
import { EVENT_BUCKETS, type MetricGroup, PROGRAMMING_BUCKETS } from './metric-context.js'

/** Changes on their way from the watches to the rules. */
export const changeMetrics: MetricGroup = ({ registry, families, clock }) => {
  const registers = [registry]
  const counted = {
    Service: {
      pending: new Gauge({
        name: 'kubeproxy_sync_proxy_rules_service_changes_pending',
        help: 'Changes of Services that are not in the rules yet.',
        registers,
      }),
      total: new Counter({
        name: 'kubeproxy_sync_proxy_rules_service_changes_total',
        help: 'Changes of Services that were seen.',
        registers,
      }),
      waiting: createPendingBySeq<undefined>(),
    },
    EndpointSlice: {
      pending: new Gauge({
        name: 'kubeproxy_sync_proxy_rules_endpoint_changes_pending',
        help: 'Changes of EndpointSlices that are not in the rules yet.',
        registers,
      }),
      total: new Counter({
        name: 'kubeproxy_sync_proxy_rules_endpoint_changes_total',
        help: 'Changes of EndpointSlices that were seen.',
        registers,
      }),
      waiting: createPendingBySeq<undefined>(),
    },
  }
  const lastQueued = new Gauge({
    name: 'kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds',
    help: 'When a sync was last asked for, in seconds since 1970.',
    labelNames: ['ip_family'] as const,
    registers,
  })
  const latency = new Histogram({
    name: 'pointsman_event_to_rules_seconds',
    help: 'From when a change was recorded to the end of the sync that carried it, in seconds.',
    buckets: EVENT_BUCKETS,
    registers,
  })
  /** When each was recorded. */
  const waiting = createPendingBySeq<number>()

  const countedOf = (event: WatchEvent) =>
    event.type === 'BOOKMARK' || isClusterScoped(event.object.kind) ? undefined : counted[event.object.kind]

  const queue = ({ seq, event, at }: Extract<AgentEvent, { type: 'event' }>): void => {
    const kind = countedOf(event)
    const queued = queuedFamilies(event).filter((family) => families.includes(family))
    if (kind === undefined || queued.length === 0) return
    kind.total.inc()
    kind.waiting.add(seq, undefined)
    kind.pending.set(kind.waiting.size)
    waiting.add(seq, at)
    for (const ip_family of queued) lastQueued.set({ ip_family }, clock() / 1000)
  }

  const settle = ({ toSeq, endedAt }: EngineReport): void => {
    for (const kind of Object.values(counted)) {
      kind.waiting.takeUpTo(toSeq)
      kind.pending.set(kind.waiting.size)
    }
    for (const at of waiting.takeUpTo(toSeq)) latency.observe(Math.max(0, endedAt - at) / 1000)
  }

  return (event) => {
    if (event.type === 'start') for (const ip_family of families) lastQueued.set({ ip_family }, event.at / 1000)
    if (event.type === 'event') queue(event)
    if (event.type === 'engine' && event.report.type === 'synced') settle(event.report)
  }
}

/**
 * Kubernetes' network programming latency: from what made a Service's endpoints change, as the control plane says in an
 * annotation of the slice, to the end of the sync that carried it. As in kube-proxy, what happened before the agent began
 * does not count, and the deletion of a slice makes what waits of its Service count no longer. The clocks of two machines
 * are compared: a time in the future counts as none.
 */
export const programmingMetrics: MetricGroup = ({ registry, families, clock }) => {
  const latency = new Histogram({
    name: 'kubeproxy_network_programming_duration_seconds',
    help: 'From the change behind an EndpointSlice to its rules, in seconds, where the control plane says when that was.',
    labelNames: ['ip_family'] as const,
    buckets: PROGRAMMING_BUCKETS,
    registers: [registry],
  })
  const waiting = createPendingBySeq<Trigger>()
  /** Of each slice, the time that counted last: an update for another reason keeps the annotation. */
  const counted = new Map<string, number>()
  let startedAt = clock()

  return (event) => {
    if (event.type === 'start') startedAt = event.at
    if (event.type === 'event') {
      const trigger = triggerOf(event.event)
      if (trigger === undefined || !families.includes(trigger.family)) return
      const { slice, service, family, at } = trigger
      if (at === 'deleted') {
        counted.delete(slice)
        waiting.drop((one) => one.service === service && one.family === family)
      } else if (at > startedAt && counted.get(slice) !== at) {
        counted.set(slice, at)
        waiting.add(event.seq, { service, family, at })
      }
    }
    if (event.type === 'engine' && event.report.type === 'synced') {
      const { toSeq, endedAt, refusals } = event.report
      const refused = new Set(refusals.current.map(({ owner }) => triggerKey(parseServicePortName(owner))))
      for (const trigger of waiting.takeUpTo(toSeq)) {
        // Its rules are not there.
        if (refused.has(triggerKey(trigger))) continue
        latency.observe({ ip_family: trigger.family }, Math.max(0, endedAt - trigger.at) / 1000)
      }
    }
  }
}

const triggerKey = ({ family, service }: Pick<Trigger, 'family' | 'service'>): string => `${family} ${service}`

interface Trigger {
  readonly service: string
  readonly family: IpFamily
  readonly at: number
}

type SliceTrigger = Omit<Trigger, 'at'> & { readonly slice: string; readonly at: number | 'deleted' }

/** Undefined where the event is of no slice, or nothing is said in it. */
function triggerOf(event: WatchEvent): SliceTrigger | undefined {
  const [family] = queuedFamilies(event)
  if (event.type === 'BOOKMARK' || event.object.kind !== 'EndpointSlice' || family === undefined) return undefined
  const { namespace = '', name } = event.object.metadata
  const service = serviceOf(event.object) ?? `${namespace}/`
  const text = textIn(event.object, 'annotations', 'endpoints.kubernetes.io/last-change-trigger-time')
  const at = event.type === 'DELETED' ? 'deleted' : text === undefined ? undefined : parseRfc3339(text)
  return at === undefined ? undefined : { slice: `${namespace}/${name}`, service, family, at }
}

function textIn({ metadata }: KubernetesObject, field: 'labels' | 'annotations', key: string): string | undefined {
  const texts = metadata[field]
  const text = isJsonObject(texts) ? texts[key] : undefined
  return typeof text === 'string' ? text : undefined
}

/** Things that wait for the sync that carries them. */
interface PendingBySeq<Item> {
  /** How many wait, those included that are not kept one by one. */
  readonly size: number
  /** In order of seq. */
  add(seq: Seq, item: Item): void
  /** Takes out what a sync up to `seq` carried. */
  takeUpTo(seq: Seq): readonly Item[]
  /** Takes out what nobody waits for any longer. */
  drop(isDropped: (item: Item) => boolean): void
}

interface Waiting<Item> {
  readonly seq: Seq
  readonly item: Item
  readonly count: number
}

/** However long no sync succeeds, no more than `limit` are kept: what comes then is counted with the last of them. */
export function createPendingBySeq<Item>(limit = 10_000): PendingBySeq<Item> {
  let waiting: Waiting<Item>[] = []
  let size = 0

  const keep = (kept: Waiting<Item>[]): void => {
    waiting = kept
    size = kept.reduce((sum, { count }) => sum + count, 0)
  }

  return {
    get size() {
      return size
    },
    add(seq, item) {
      size++
      const last = waiting.length < limit ? undefined : waiting.pop()
      waiting.push(last === undefined ? { seq, item, count: 1 } : { ...last, seq, count: last.count + 1 })
    },
    takeUpTo(seq) {
      const later = waiting.findIndex((one) => one.seq > seq)
      const taken = later < 0 ? waiting : waiting.slice(0, later)
      keep(later < 0 ? [] : waiting.slice(later))
      return taken.map(({ item }) => item)
    },
    drop(isDropped) {
      if (waiting.some(({ item }) => isDropped(item))) keep(waiting.filter(({ item }) => !isDropped(item)))
    },
  }
}
