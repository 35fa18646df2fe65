import { serviceLabelOf } from '../model/names.js'
import type { JsonObject, KubernetesObject } from '../model/kubernetes-object.js'
import { count, describePorts, fieldsOf, formatValue, listOf, objectsIn, textOf } from './describe-values.js'

/** A whole slice: `2 endpoints (1 ready) of checkout, http 8080/TCP`. */
export function describeSlice(slice: KubernetesObject): string {
  const endpoints = [...endpointsByAddress(slice).values()]
  const ready = endpoints.filter((endpoint) => conditionOf(endpoint) === 'ready').length
  const readiness = ready === endpoints.length ? '' : ` (${ready} ready)`
  const of = serviceLabelOf(slice) === undefined ? '' : ` of ${serviceLabelOf(slice)}`
  const ports = describePorts(slice['ports'])
  const size = endpoints.length === 0 ? 'no endpoints' : `${count(endpoints.length, 'endpoint')}${readiness}`
  return `${size}${of}${endpoints.length === 0 && ports === 'none' ? '' : `, ports ${ports}`}`
}

/** What changed between two versions of a slice, but for its metadata. */
export function describeSliceChange(previous: KubernetesObject, slice: KubernetesObject): readonly string[] {
  const before = endpointsByAddress(previous)
  const after = endpointsByAddress(slice)
  const ports = { before: describePorts(previous['ports']), after: describePorts(slice['ports']) }
  // The controller takes the ports out of a slice that holds no endpoint: that says nothing new.
  const isEmptying = (before.size === 0 && ports.before === 'none') || (after.size === 0 && ports.after === 'none')
  return [
    ...(before.size === after.size ? [] : [`endpoints: ${before.size} -> ${after.size}`]),
    ...(ports.before === ports.after || isEmptying ? [] : [`ports ${ports.before} -> ${ports.after}`]),
    ...shortened([...endpointPhrases(before, after)]),
  ]
}

type Endpoints = ReadonlyMap<string, JsonObject>

function* endpointPhrases(before: Endpoints, after: Endpoints): Iterable<string> {
  for (const [address, endpoint] of after) {
    const old = before.get(address)
    if (old === undefined) yield `+${address}${placeOf(endpoint)}${unlessReady(endpoint)}`
    else yield* endpointChange(address, old, endpoint)
  }
  for (const [address, endpoint] of before) if (!after.has(address)) yield `-${address}${placeOf(endpoint)}`
}

function* endpointChange(address: string, before: JsonObject, after: JsonObject): Iterable<string> {
  const condition = { before: conditionOf(before), after: conditionOf(after) }
  if (condition.before !== condition.after) yield `${address} ${condition.before} -> ${condition.after}`
  for (const field of TOLD_FIELDS) {
    const value = { before: formatValue(before[field]), after: formatValue(after[field]) }
    if (value.before !== value.after) yield `${address} ${field} ${value.before} -> ${value.after}`
  }
}

const TOLD_FIELDS = ['nodeName', 'zone', 'hints', 'targetRef']

/** More than these are counted: a rollout of a hundred pods is one line too. */
const MOST_ENDPOINTS = 4

function shortened(phrases: readonly string[]): readonly string[] {
  if (phrases.length <= MOST_ENDPOINTS + 1) return phrases
  return [...phrases.slice(0, MOST_ENDPOINTS), `and ${phrases.length - MOST_ENDPOINTS} more`]
}

function endpointsByAddress(slice: KubernetesObject): Endpoints {
  const endpoints = new Map<string, JsonObject>()
  for (const endpoint of objectsIn(slice['endpoints'])) {
    // The API says that all addresses of an endpoint are the same thing; kube-proxy takes the first.
    const [address] = listOf(endpoint['addresses'])
    endpoints.set(typeof address === 'string' ? address : '?', endpoint)
  }
  return endpoints
}

// Nil means ready, serving, and not terminating (EndpointConditions in the API of discovery.k8s.io/v1).
function conditionOf(endpoint: JsonObject): string {
  const { ready, serving, terminating } = fieldsOf(endpoint['conditions'])
  if (terminating === true) return serving === false ? 'terminating' : 'terminating, still serving'
  return ready === false ? 'not ready' : 'ready'
}

const unlessReady = (endpoint: JsonObject): string =>
  conditionOf(endpoint) === 'ready' ? '' : ` ${conditionOf(endpoint)}`

function placeOf(endpoint: JsonObject): string {
  const pod = textOf(fieldsOf(endpoint['targetRef'])['name'])
  const node = textOf(endpoint['nodeName'])
  const place = [pod, node].filter((part) => part !== undefined).join(' on ')
  return place === '' ? '' : ` (${place})`
}
