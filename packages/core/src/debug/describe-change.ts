import { assertNever } from '../model/language.js'
import { isEqual, isJsonObject } from '../model/json-value.js'
import type { Json, JsonObject, KubernetesObject } from '../model/kubernetes-object.js'
import { serviceLabelOf } from '../model/names.js'

export interface ObjectChange {
  readonly event: 'ADDED' | 'MODIFIED' | 'DELETED'
  /** The object before the event; absent where it is not known, or where there was none. */
  readonly previous?: KubernetesObject | undefined
  /** The object after the event; for DELETED its last version. */
  readonly object: KubernetesObject
}

/**
 * What a change did, in short phrases for people, the most important first: `selector app=a -> app=a,tier=b`,
 * `endpoints: 2 -> 0`, `spec.ports[http].targetPort 8080 -> 8081`. What only the API server keeps count by
 * (resourceVersion, generation, managedFields, the trigger-time annotation) is not told. Never empty.
 */
export function describeChange({ event, previous, object }: ObjectChange): readonly string[] {
  switch (event) {
    case 'ADDED':
      // A server that lists again says ADDED for what was there before.
      return previous === undefined ? [describeObject(object)] : differences(previous, object)
    case 'MODIFIED':
      return previous === undefined ? [`now ${describeObject(object)}`] : differences(previous, object)
    case 'DELETED':
      return [`was ${describeObject(object)}`]
    default:
      return assertNever(event)
  }
}

/** The only phrase where nothing changed that a person asks for. */
export const NOTHING_TOLD = 'nothing but its resourceVersion'

function differences(previous: KubernetesObject, object: KubernetesObject): readonly string[] {
  const told = object.kind === 'EndpointSlice' ? describeSliceChange(previous, object) : []
  const rest = jsonDiff({ before: untold(previous), after: untold(object) }, (path) => WHOLE_PATHS.has(path))
  const phrases = [...told, ...[...rest].sort((a, b) => weight(a) - weight(b)).map(describeDifference)]
  return phrases.length === 0 ? [NOTHING_TOLD] : phrases
}

/** Told as one value each, as people write them. */
const WHOLE_PATHS = new Set(['spec.selector'])

const TRIGGER_TIME = 'endpoints.kubernetes.io/last-change-trigger-time'

/** The object without the fields that are shown elsewhere or that no person asks for. */
function untold(object: KubernetesObject): JsonObject {
  const { managedFields: _fields, resourceVersion: _version, generation: _generation, ...metadata } = object.metadata
  const { [TRIGGER_TIME]: _time, ...annotations } = fieldsOf(metadata['annotations'])
  const rest: JsonObject = { ...object, metadata: { ...metadata, labels: fieldsOf(metadata['labels']), annotations } }
  if (object.kind !== 'EndpointSlice') return rest
  const { endpoints: _endpoints, ports: _ports, subsets: _subsets, ...slice } = rest
  return slice
}

// What decides where packets go comes first, labels and annotations last.
function weight({ path }: JsonChange): number {
  if (path === 'spec.selector') return 0
  if (path.startsWith('spec.ports')) return 1
  return path.startsWith('metadata.') ? 3 : 2
}

function describeDifference({ path, before, after }: JsonChange): string {
  return `${nameOfPath(path)} ${formatValue(before, path)} -> ${formatValue(after, path)}`
}

function nameOfPath(path: string): string {
  if (path === 'spec.selector') return 'selector'
  const entry = /^metadata\.(label|annotation)s[.[](.+?)\]?$/.exec(path)
  return entry === null ? path : `${entry[1]} ${entry[2]}`
}

function describeObject(object: KubernetesObject): string {
  switch (object.kind) {
    case 'Service':
      return describeService(object)
    case 'EndpointSlice':
      return describeSlice(object)
    case 'Node':
      return describeNode(object)
    case 'ServiceCIDR':
      return texts(fieldsOf(object['spec'])['cidrs']).join(' ') || 'no CIDR'
    default:
      return assertNever(object.kind)
  }
}

function describeService(service: KubernetesObject): string {
  const spec = fieldsOf(service['spec'])
  const type = textOf(spec['type']) ?? 'Service'
  const target = type === 'ExternalName' ? textOf(spec['externalName']) : textOf(spec['clusterIP'])
  const selector = spec['selector'] === undefined ? [] : [`selector ${formatValue(spec['selector'], 'spec.selector')}`]
  return [
    `${type} ${target === 'None' ? 'headless' : (target ?? '')}`.trim(),
    describeServicePorts(spec['ports']),
    ...selector,
  ]
    .filter((part) => part !== '')
    .join(', ')
}

function describeNode(node: KubernetesObject): string {
  const addresses = objectsIn(fieldsOf(node['status'])['addresses']).map((address) => textOf(address['address']) ?? '?')
  const cidrs = texts(fieldsOf(node['spec'])['podCIDRs'])
  const zone = textOf(fieldsOf(node.metadata['labels'])['topology.kubernetes.io/zone'])
  return [
    addresses.length === 0 ? 'no address' : addresses.join(' '),
    ...(cidrs.length === 0 ? [] : [`pods ${cidrs.join(' ')}`]),
    ...(zone === undefined ? [] : [`zone ${zone}`]),
  ].join(', ')
}

const texts = (list: Json | undefined): readonly string[] => listOf(list).filter((item) => typeof item === 'string')

/** A whole slice: `2 endpoints (1 ready) of checkout, http 8080/TCP`. */
function describeSlice(slice: KubernetesObject): string {
  const endpoints = [...endpointsByAddress(slice).values()]
  const ready = endpoints.filter((endpoint) => conditionOf(endpoint) === 'ready').length
  const readiness = ready === endpoints.length ? '' : ` (${ready} ready)`
  const of = serviceLabelOf(slice) === undefined ? '' : ` of ${serviceLabelOf(slice)}`
  const ports = describePorts(portsOf(slice))
  const size = endpoints.length === 0 ? 'no endpoints' : `${count(endpoints.length, 'endpoint')}${readiness}`
  return `${size}${of}${endpoints.length === 0 && ports === 'none' ? '' : `, ports ${ports}`}`
}

/** What changed between two versions of a slice, but for its metadata. */
function describeSliceChange(previous: KubernetesObject, slice: KubernetesObject): readonly string[] {
  const before = endpointsByAddress(previous)
  const after = endpointsByAddress(slice)
  const ports = { before: describePorts(portsOf(previous)), after: describePorts(portsOf(slice)) }
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

/** What a slice lists, also one that stands for an Endpoints, by its first address. */
export function endpointsByAddress(slice: KubernetesObject): Endpoints {
  const endpoints = new Map<string, JsonObject>()
  const listed = slice['subsets'] === undefined ? objectsIn(slice['endpoints']) : endpointsOfSubsets(slice)
  for (const endpoint of listed) {
    // The API says that all addresses of an endpoint are the same thing; kube-proxy takes the first.
    const [address] = listOf(endpoint['addresses'])
    const key = typeof address === 'string' ? address : '?'
    // Of subsets, one address may be ready on one port and not on another.
    if (!endpoints.has(key) || slice['subsets'] === undefined) endpoints.set(key, endpoint)
  }
  return endpoints
}

/** Of a slice that stands for an Endpoints (`sliceOfEndpoints`), as a slice has them: those that are ready first. */
function endpointsOfSubsets(slice: KubernetesObject): readonly JsonObject[] {
  const subsets = objectsIn(slice['subsets'])
  const listed = (field: string, ready: boolean): readonly JsonObject[] =>
    subsets.flatMap((subset) =>
      objectsIn(subset[field]).map(({ ip, ...rest }) => ({ ...rest, addresses: [ip ?? null], conditions: { ready } })),
    )
  return [...listed('addresses', true), ...listed('notReadyAddresses', false)]
}

/** Those of each subset, each once. */
function portsOf(slice: KubernetesObject): Json | undefined {
  if (slice['subsets'] === undefined) return slice['ports']
  const ports = objectsIn(slice['subsets']).flatMap((subset) => objectsIn(subset['ports']))
  return [...new Map(ports.map((port) => [describePort(port), port])).values()]
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

/** A value in a phrase: text as it is, maps as `a=1,b=2`, nothing as `none`, what is long cut to 80 characters. */
function formatValue(value: Json | undefined, path = ''): string {
  const text = untrimmed(value, path)
  return text.length <= LONGEST ? text : `${text.slice(0, LONGEST - 3)}...`
}

const LONGEST = 80

function untrimmed(value: Json | undefined, path: string): string {
  if (value === undefined || value === null || value === '') return 'none'
  if (typeof value === 'string') return value.replaceAll(/\s+/g, ' ')
  if (Array.isArray(value)) return value.length === 0 ? 'none' : listOf(value).map(formatItem).join(',')
  if (path === 'spec.selector' && isJsonObject(value)) return formatMap(value)
  return formatItem(value)
}

const formatItem = (value: Json): string => (typeof value === 'object' ? JSON.stringify(value) : String(value))

/** `app=checkout,tier=backend`, sorted by key; `none` for an empty one. */
function formatMap(map: JsonObject): string {
  const entries = Object.entries(map).sort(([a], [b]) => (a < b ? -1 : 1))
  return entries.length === 0
    ? 'none'
    : entries.map(([key, value]) => `${key}=${value === undefined ? '' : formatItem(value)}`).join(',')
}

/** The ports of a Service: `http 80/TCP -> 8080, 53/UDP`. */
function describeServicePorts(ports: Json | undefined): string {
  return objectsIn(ports).map(describeServicePort).join(', ')
}

function describeServicePort(port: JsonObject): string {
  const target = port['targetPort']
  const arrow = target === undefined || target === null || target === port['port'] ? '' : ` -> ${formatItem(target)}`
  return `${describePort(port)}${arrow}`
}

/** The ports of a slice: `http 8080/TCP, metrics 9090/TCP`; `none` where it has none. */
function describePorts(ports: Json | undefined): string {
  const list = objectsIn(ports)
  return list.length === 0 ? 'none' : list.map(describePort).join(', ')
}

function describePort(port: JsonObject): string {
  const name = textOf(port['name']) ?? ''
  const number = port['port'] === undefined || port['port'] === null ? '?' : formatItem(port['port'])
  return `${name === '' ? '' : `${name} `}${number}/${textOf(port['protocol']) ?? 'TCP'}`
}

export const fieldsOf = (value: Json | undefined): JsonObject => (isJsonObject(value) ? value : {})

export const objectsIn = (value: Json | undefined): readonly JsonObject[] => listOf(value).filter(isJsonObject)

/** The items of a list; none where it is no list. */
const listOf = (value: Json | undefined): readonly Json[] => (Array.isArray(value) ? (value as readonly Json[]) : [])

const textOf = (value: Json | undefined): string | undefined => (typeof value === 'string' ? value : undefined)

/** `1 endpoint`, `2 endpoints`. */
const count = (number: number, noun: string): string => `${number} ${noun}${number === 1 ? '' : 's'}`

/** One place where two documents differ. `before` is absent where it was added, `after` where it was removed. */
interface JsonChange {
  /** `spec.ports[http].targetPort`: list items by their name, key, type or address, where each of the list has one. */
  readonly path: string
  readonly before?: Json
  readonly after?: Json
}

/**
 * Where two values differ, in the order of the fields. Lists of plain values, and lists whose items have nothing to be
 * told apart by, are one place; so is every path for which `isWhole` answers yes.
 */
function jsonDiff(
  { before, after }: { readonly before: Json | undefined; readonly after: Json | undefined },
  isWhole: (path: string) => boolean = () => false,
): readonly JsonChange[] {
  const changes: JsonChange[] = []
  compare(before, after, '')
  return changes

  function compare(old: Json | undefined, now: Json | undefined, path: string): void {
    if (isEqual(old, now)) return
    const fields = path !== '' && isWhole(path) ? undefined : comparableFields(old, now)
    if (fields === undefined) {
      changes.push({
        path,
        ...(old === undefined ? {} : { before: old }),
        ...(now === undefined ? {} : { after: now }),
      })
      return
    }
    for (const key of new Set([...fields.before.keys(), ...fields.after.keys()])) {
      compare(fields.before.get(key), fields.after.get(key), fields.join(path, key))
    }
  }
}

interface ComparableFields {
  readonly before: ReadonlyMap<string, Json | undefined>
  readonly after: ReadonlyMap<string, Json | undefined>
  readonly join: (path: string, key: string) => string
}

function comparableFields(before: Json | undefined, after: Json | undefined): ComparableFields | undefined {
  if (isJsonObject(before) && isJsonObject(after)) {
    const join = (path: string, key: string): string =>
      /^[\w-]+$/.test(key) ? (path === '' ? key : `${path}.${key}`) : `${path}[${key}]`
    return { before: new Map(Object.entries(before)), after: new Map(Object.entries(after)), join }
  }
  if (!Array.isArray(before) || !Array.isArray(after)) return undefined
  const items = { before: itemsByName(before), after: itemsByName(after) }
  if (items.before === undefined || items.after === undefined) return undefined
  return { before: items.before, after: items.after, join: (path, key) => `${path}[${key}]` }
}

const NAMING_FIELDS = ['name', 'key', 'type', 'ip', 'hostname']

function itemsByName(list: readonly Json[]): ReadonlyMap<string, Json> | undefined {
  for (const field of NAMING_FIELDS) {
    const byName = new Map<string, Json>()
    for (const item of list) {
      const name = isJsonObject(item) ? item[field] : undefined
      if (typeof name === 'string') byName.set(name, item)
    }
    if (byName.size === list.length) return byName
  }
  return undefined
}
