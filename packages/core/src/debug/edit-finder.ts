import { serviceOf } from '../model/names.js'
import type { KubernetesObject } from '../model/kubernetes-object.js'
import type { ObjectRecord } from '../model/record.js'
import type { ServiceEdit } from './outage.js'
import { isBehind, serviceEditOf } from './service-edits.js'

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
