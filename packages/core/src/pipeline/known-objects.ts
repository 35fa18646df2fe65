import type { KubernetesObject, ObjectKind } from '../model/kubernetes-object.js'
import type { WatchEvent } from '../model/watch-event.js'

/** One object, as far as a list has to be compared with it. */
export interface KnownObject {
  readonly namespace: string
  readonly name: string
  readonly uid: string
  readonly resourceVersion: string
}

/** Which objects there are, by what was observed: what a list after a lost watch is compared with. */
export interface KnownObjects {
  readonly note: (event: WatchEvent) => void
  readonly add: (object: KubernetesObject) => void
  readonly of: (kind: ObjectKind) => Iterable<KnownObject>
}

export function createKnownObjects(): KnownObjects {
  const known = new Map<ObjectKind, Map<string, KnownObject>>()
  const ofKind = (kind: ObjectKind): Map<string, KnownObject> => {
    const there = known.get(kind) ?? new Map<string, KnownObject>()
    known.set(kind, there)
    return there
  }
  const add = (object: KubernetesObject): void => {
    const one = knownObjectOf(object)
    ofKind(object.kind).set(keyOf(one), one)
  }
  return {
    add,
    note(event) {
      if (event.type === 'BOOKMARK') return
      if (event.type === 'DELETED') ofKind(event.object.kind).delete(keyOf(knownObjectOf(event.object)))
      else add(event.object)
    },
    of: (kind) => ofKind(kind).values(),
  }
}

const keyOf = ({ namespace, name }: KnownObject): string => `${namespace}/${name}`

const knownObjectOf = ({ metadata }: KubernetesObject): KnownObject => ({
  namespace: metadata.namespace ?? '',
  name: metadata.name,
  uid: textOf(metadata['uid']),
  resourceVersion: textOf(metadata['resourceVersion']),
})

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '')
