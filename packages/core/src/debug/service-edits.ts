import { isEqual } from '../model/json-value.js'
import type { JsonObject, KubernetesObject } from '../model/kubernetes-object.js'
import { serviceOf } from '../model/names.js'
import type { ObjectRecord } from '../model/record.js'
import { describeChange, fieldsOf, objectsIn } from './describe-change.js'
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

/** Remembers the changes of Services that decide which endpoints they have, and finds the one behind a slice's change. */
export interface EditFinder {
  /** Takes note of a record, in order; `previous` is the object's version before. */
  take(record: ObjectRecord, previous: KubernetesObject | undefined): void
  /**
   * The last edit of the slice's Service that came between the slice's version before and its change, or was seen shortly
   * after it: watches of two kinds are not ordered against each other.
   */
  behind(change: { readonly before: ObjectRecord | undefined; readonly after: ObjectRecord }): ServiceEdit | undefined
}

export function createEditFinder(): EditFinder {
  const editsOf = new Map<string, ServiceEdit[]>()
  return {
    take(record, previous) {
      const edit = record.kind === 'Service' ? serviceEditOf(record, previous) : undefined
      if (edit === undefined) return
      const key = `${record.namespace}/${record.name}`
      const edits = editsOf.get(key)
      if (edits === undefined) editsOf.set(key, [edit])
      else edits.push(edit)
    },
    behind(change) {
      const { kind, object } = change.after
      if (kind !== 'EndpointSlice') return undefined
      const service = serviceOf(object)
      return service && editsOf.get(service)?.findLast((edit) => isBehind(edit.record, change))
    },
  }
}
