import { isJsonObject } from '../model/json-value.js'
import type { JsonObject, KubernetesObject } from '../model/kubernetes-object.js'
import { podOf, type Pod } from '../model/pod.js'
import type { ServicePort } from '../model/service-port.js'
import { printableName } from '../model/shown-text.js'
import { selectorOf } from './compare-slices.js'
import {
  byName,
  findingsOf,
  hasEnded,
  hostPortsOf,
  missingPorts,
  usesHostPort,
  type PodFinding,
  type PodSurroundings,
} from './pod-findings.js'

/** What the Pods of the input say about a Service's endpoints. */
export interface PodSelection {
  /** `app=checkout,tier=backend`, sorted. */
  readonly selector: string
  /** Pods of the Service's namespace that have all its labels. */
  readonly matching: number
  /** Of these, Pods that are ready and not terminating. */
  readonly ready: number
  /** Where none matches: the Pod of the namespace whose labels come closest; absent: the namespace has no Pod. */
  readonly nearest?: NearestPod
  /** Where none matches: Pods with these labels in other namespaces, by namespace. */
  readonly elsewhere: readonly { readonly namespace: string; readonly pods: number }[]
  /** Why Pods that match are no ready endpoints, the Pods by name. */
  readonly findings: readonly PodFinding[]
  /** How many more there are. */
  readonly moreFindings: number
}

export interface NearestPod {
  readonly pod: string
  /** Other Pods that differ in the same labels in the same way. */
  readonly alike: number
  /** Labels of the selector that it does not have so. */
  readonly mismatches: readonly { readonly label: string; readonly wanted: string; readonly found?: string }[]
  /** How many labels of the selector it has. */
  readonly matches: number
}

interface PodQuestion {
  /** The object of the Service. */
  readonly service: KubernetesObject
  readonly ports: readonly ServicePort[]
  /** Pod objects of all namespaces, each once. */
  readonly pods: readonly JsonObject[]
  readonly isListed: PodSurroundings['isListed']
}

/**
 * Why a Service has the endpoints that it has, as the EndpointSlice controller decides. The cost is in proportion to the input,
 * whatever the Pods hold; only Pods that matter are read. Undefined for a Service without a selector.
 */
export function selectPods({ service, ports, pods: objects, isListed }: PodQuestion): PodSelection | undefined {
  const selector = selectorOf(service)
  if (selector === undefined) return undefined
  const wanted = Object.entries(selector).map(
    ([label, value]) => [label, typeof value === 'string' ? value : JSON.stringify(value ?? null)] as const,
  )
  const pods = objects.flatMap((object) => labelledPodOf(object) ?? [])
  const inNamespace = pods.filter(({ namespace }) => namespace === (service.metadata.namespace ?? ''))
  const matching = inNamespace
    .filter(({ labels }) => hasAll(labels, wanted))
    .flatMap(({ object }) => podOf(object) ?? [])
  const nearest = matching.length === 0 ? nearestOf(inNamespace, wanted) : undefined
  const publishesNotReady = isJsonObject(service['spec']) && service['spec']['publishNotReadyAddresses'] === true
  const taken = matching.some(usesHostPort) ? hostPortsOf(objects) : new Map<string, Pod>()
  const families = [...new Set(ports.map(({ family }) => family))]
  return {
    selector: wanted
      .map(([label, value]) => `${label}=${value}`)
      .toSorted()
      .join(','),
    matching: matching.length,
    ready: matching.filter((pod) => pod.ready?.holds === true && pod.terminating === undefined && !hasEnded(pod))
      .length,
    ...(nearest && { nearest }),
    elsewhere: matching.length === 0 ? elsewhereOf(pods, wanted) : [],
    ...findingsOf(
      matching,
      { publishesNotReady, families, taken, isListed },
      missingPorts(ports, { service, matching }),
    ),
  }
}

/** A Pod as far as a selector needs it. */
interface LabelledPod {
  readonly namespace: string
  readonly name: string
  readonly labels: JsonObject
  readonly object: JsonObject
}

function labelledPodOf(object: JsonObject): LabelledPod | undefined {
  const { metadata } = object
  if (!isJsonObject(metadata)) return undefined
  const { name, namespace, labels } = metadata
  if (typeof name !== 'string' || typeof namespace !== 'string') return undefined
  return { namespace, name, labels: isJsonObject(labels) ? labels : {}, object }
}

type Wanted = readonly (readonly [label: string, value: string])[]

const hasAll = (labels: JsonObject, wanted: Wanted): boolean =>
  wanted.every(([label, value]) => valueOf(labels, label) === value)

const valueOf = (labels: JsonObject, label: string): string | undefined => {
  const value = Object.hasOwn(labels, label) ? labels[label] : undefined
  return typeof value === 'string' ? value : undefined
}

/** What is compared of a Pod's labels with a selector: more is better, the first difference decides. */
type Nearness = readonly [matches: number, presentKeys: number, likeness: number, isRunning: number]

/** The Pod whose labels come closest to a selector. */
function nearestOf(pods: readonly LabelledPod[], wanted: Wanted): NearestPod | undefined {
  let best: { readonly pod: LabelledPod; readonly nearness: Nearness } | undefined
  for (const pod of pods) {
    const nearness = nearnessOf(pod, wanted)
    const order = best === undefined ? 1 : compareNearness(nearness, best.nearness)
    if (order > 0 || (order === 0 && best !== undefined && byName(pod, best.pod) < 0)) best = { pod, nearness }
  }
  if (best === undefined) return undefined
  const { labels, name } = best.pod
  const differing = wanted.filter(([label, value]) => valueOf(labels, label) !== value)
  const isAlike = (pod: LabelledPod): boolean =>
    wanted.every(([label, value]) => {
      const [found, ofBest] = [valueOf(pod.labels, label), valueOf(labels, label)]
      return ofBest === value ? found === value : found === ofBest
    })
  return {
    pod: printableName(name),
    alike: wanted.length > MOST_KEYS ? 0 : pods.filter(isAlike).length - 1,
    mismatches: differing.slice(0, MOST_KEYS).map(([label, value]) => {
      const found = valueOf(labels, label)
      return {
        label: printableName(label),
        wanted: printableName(value),
        ...(found !== undefined && { found: printableName(found) }),
      }
    }),
    matches: wanted.length - differing.length,
  }
}

function nearnessOf({ labels, object: { status } }: LabelledPod, wanted: Wanted): Nearness {
  let [matches, presentKeys, likeness] = [0, 0, 0]
  for (const [label, value] of wanted.slice(0, MOST_KEYS)) {
    const found = valueOf(labels, label)
    if (found === value) matches++
    else if (found !== undefined) {
      presentKeys++
      likeness += likenessOf(found, value)
    }
  }
  return [matches, presentKeys, likeness, isJsonObject(status) && status['phase'] === 'Running' ? 1 : 0]
}

/** Selectors have a few labels. */
const MOST_KEYS = 20

function compareNearness(a: Nearness, b: Nearness): number {
  for (const [index, value] of a.entries()) if (value !== b[index]) return value - (b[index] ?? 0)
  return 0
}

/** How many characters two values have in common at their beginnings and their ends; a label's value has at most 63. */
function likenessOf(one: string, other: string): number {
  const most = Math.min(one.length, other.length, 63)
  let [start, end] = [0, 0]
  while (start < most && one[start] === other[start]) start++
  while (end < most - start && one.at(-1 - end) === other.at(-1 - end)) end++
  return start + end
}

function elsewhereOf(pods: readonly LabelledPod[], wanted: Wanted): PodSelection['elsewhere'] {
  const counts = new Map<string, number>()
  for (const { namespace, labels } of pods)
    if (hasAll(labels, wanted)) counts.set(namespace, (counts.get(namespace) ?? 0) + 1)
  return [...counts]
    .map(([namespace, count]) => ({ namespace: printableName(namespace), pods: count }))
    .toSorted((a, b) => b.pods - a.pods || (a.namespace < b.namespace ? -1 : 1))
    .slice(0, MOST_SHOWN)
}

const MOST_SHOWN = 3
