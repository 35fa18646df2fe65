import { isEqual } from '../model/is-equal.js'
import type { JsonObject, KubernetesObject } from '../model/kubernetes-object.js'
import type { ObjectRecord } from '../model/record.js'
import { describeChange } from './describe-change.js'
import { fieldsOf, objectsIn } from './describe-values.js'
import type { ServiceEdit } from './outage.js'

/** The change as an edit, where it is one that decides which endpoints the Service has; else undefined. */
export function serviceEditOf(record: ObjectRecord, previous: KubernetesObject | undefined): ServiceEdit | undefined {
  if (previous === undefined || record.event === 'DELETED') return undefined
  const before = decidingFields(previous)
  const after = decidingFields(record.object)
  if (isEqual(before, after)) return undefined
  const changes = describeChange({
    event: 'MODIFIED',
    previous: { kind: 'Service', metadata: { name: record.name }, spec: before },
    object: { kind: 'Service', metadata: { name: record.name }, spec: after },
  })
  return { record, previous, changes }
}

/** What the endpoint slice controller reads of a Service's spec; a node port or a policy empties no slice. */
function decidingFields(service: KubernetesObject): JsonObject {
  const { selector, ports, publishNotReadyAddresses } = fieldsOf(service['spec'])
  const portsOfSlices = objectsIn(ports).map(({ name, protocol, targetPort, port }) => ({
    name: name ?? '',
    protocol: protocol ?? 'TCP',
    targetPort: targetPort ?? port,
  }))
  return { selector, ports: portsOfSlices, publishNotReadyAddresses: publishNotReadyAddresses === true }
}

/**
 * Whether an edit can be what a slice's change follows from. Watches of two kinds are not ordered against each other: an
 * edit may be seen after its effect, and then only the server's own counter tells.
 */
export function isBehind(
  edit: ObjectRecord,
  { before, after }: { readonly before: ObjectRecord | undefined; readonly after: ObjectRecord },
): boolean {
  if (after.observedAt - edit.observedAt > LONGEST_WAY_MS) return false
  if (edit.seq <= after.seq) return before === undefined || edit.seq > before.seq
  const versions = [before?.resourceVersion ?? '0', edit.resourceVersion, after.resourceVersion].map(Number)
  const [from = Number.NaN, middle = Number.NaN, to = Number.NaN] = versions
  return from < middle && middle < to
}

/** The controller follows within seconds; an edit that changed nothing must not be blamed for what happens days later. */
const LONGEST_WAY_MS = 5 * 60_000
