import {
  serviceOf,
  isJsonObject,
  parseRfc3339,
  type IpFamily,
  type KubernetesObject,
  type WatchEvent,
} from '@pointsman/core'
import { Histogram } from 'prom-client'
import { queuedFamilies } from '../health/queued-families.js'
import { PROGRAMMING_BUCKETS } from './buckets.js'
import type { MetricGroup } from './metric-context.js'
import { createPendingBySeq } from './pending-by-seq.js'

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
      const { toSeq, endedAt } = event.report
      for (const { family, at } of waiting.takeUpTo(toSeq))
        latency.observe({ ip_family: family }, Math.max(0, endedAt - at) / 1000)
    }
  }
}

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
