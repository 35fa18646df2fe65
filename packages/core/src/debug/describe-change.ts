import type { Json, JsonObject, KubernetesObject } from '../model/kubernetes-object.js'
import { assertNever } from '../model/assert-never.js'
import { describeServicePorts, fieldsOf, formatValue, listOf, objectsIn, textOf } from './describe-values.js'
import { describeSlice, describeSliceChange } from './describe-slice-change.js'
import { jsonDiff } from './json-diff.js'
import type { JsonChange } from './json-diff.js'

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

/** The object without the fields that are told elsewhere or that no person asks for. */
function untold(object: KubernetesObject): JsonObject {
  const { managedFields: _fields, resourceVersion: _version, generation: _generation, ...metadata } = object.metadata
  const { [TRIGGER_TIME]: _time, ...annotations } = fieldsOf(metadata['annotations'])
  const rest: JsonObject = { ...object, metadata: { ...metadata, labels: fieldsOf(metadata['labels']), annotations } }
  if (object.kind !== 'EndpointSlice') return rest
  const { endpoints: _endpoints, ports: _ports, ...slice } = rest
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
