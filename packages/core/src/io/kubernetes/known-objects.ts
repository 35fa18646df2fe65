import type { IpFamily } from '../../model/address.js'
import { bareObject } from '../../model/keep-object.js'
import { isOlderVersion, type KubernetesObject, type ObjectKind } from '../../model/kubernetes-object.js'
import { SERVICE_NAME_LABEL, serviceLabelOf } from '../../model/names.js'
import type { ObjectEvent } from '../../model/watch-event.js'

/** A change that a list brings to light. */
export type Difference = Pick<ObjectEvent, 'type' | 'object' | 'isBare'>

interface DifferenceCounts {
  readonly listed: number
  readonly added: number
  readonly modified: number
  readonly deleted: number
  /** Of another uid than before under the same name; each is a deletion and an addition, and counted as neither. */
  readonly replaced: number
  /** Of the modified ones: in an older version than was known. */
  readonly wentBack: number
}

/** Turns a list, handed over object by object, into what differs from what is known. */
export interface ListDifferences {
  /** An object that is there. */
  see(object: KubernetesObject): readonly Difference[]
  /** A deletion while the list was sent. */
  gone(deletion: Difference): readonly Difference[]
  /** An object that is there, and cannot be read: its last version counts on, unless that is of another uid. */
  spare(object: KubernetesObject): void
  /**
   * The list is whole, and at least as new as what is known: what was not listed is gone, and what was listed in an older
   * version is so, because the cluster was restored from a backup. Deletions come last, in order of namespace and name.
   */
  finish(): readonly Difference[]
  readonly counts: DifferenceCounts
}

/**
 * `everything`: versions are no proof of what they hold, as the history that gave them was replaced: an object that is listed in the
 * version that is known comes as a change as well. `known` learns each difference. Of the objects themselves only those are kept that were listed in an older version than is
 * known: until `finish` they may come from a server that lags behind.
 */
export function createListDifferences(known: KnownOfKind, { everything = false } = {}): ListDifferences {
  /** Known and not listed yet. */
  const missing = new Set(known.keys())
  const heldBack = new Map<string, KubernetesObject>()
  const counts = { listed: 0, added: 0, modified: 0, deleted: 0, replaced: 0, wentBack: 0 }

  const learned = (difference: Difference): Difference => {
    known.learn(difference)
    return difference
  }
  const deletionOf = (gone: KnownObject): Difference =>
    learned({ type: 'DELETED', object: known.bare(gone), isBare: true })

  const changeOf = (object: KubernetesObject): readonly Difference[] => {
    const before = known.get(keyOf(object))
    if (before === undefined) {
      counts.added++
      return [learned({ type: 'ADDED', object })]
    }
    const { uid, resourceVersion } = versionOf(object)
    if (before.uid !== uid) {
      counts.replaced++
      return [deletionOf(before), learned({ type: 'ADDED', object })]
    }
    if (before.resourceVersion === resourceVersion) return everything ? [learned({ type: 'MODIFIED', object })] : []
    counts.modified++
    return [learned({ type: 'MODIFIED', object })]
  }

  return {
    see(object) {
      const key = keyOf(object)
      const before = known.get(key)
      counts.listed++
      missing.delete(key)
      heldBack.delete(key)
      if (before !== undefined && isOlderVersion(versionOf(object).resourceVersion, before.resourceVersion)) {
        heldBack.set(key, object)
        return []
      }
      return changeOf(object)
    },
    gone(deletion) {
      const key = keyOf(deletion.object)
      heldBack.delete(key)
      if (known.get(key)?.uid !== versionOf(deletion.object).uid) return []
      missing.delete(key)
      counts.deleted++
      return [learned(deletion)]
    },
    spare(object) {
      const key = keyOf(object)
      counts.listed++
      if (known.get(key)?.uid === versionOf(object).uid) missing.delete(key)
    },
    finish() {
      counts.wentBack += heldBack.size
      const restored = [...heldBack.values()].flatMap(changeOf)
      const gone = [...missing].toSorted().flatMap((key) => known.get(key) ?? [])
      counts.deleted += gone.length
      heldBack.clear()
      missing.clear()
      return [...restored, ...gone.map(deletionOf)]
    },
    counts,
  }
}

/** What is known of an object that is there: what a list is compared with, and what its deletion says if only a list shows it. */
export interface KnownObject {
  readonly namespace: string
  readonly name: string
  readonly uid: string
  readonly resourceVersion: string
  /** Of a slice of an IP family. */
  readonly addressType?: IpFamily
  /** Of a slice: its label that names the Service. */
  readonly service?: string
}

/** Which objects of a kind there are: as a log holds them, and as the source has said since. */
export interface KnownOfKind {
  readonly size: number
  /** By namespace and name: `shop/web`. */
  keys(): Iterable<string>
  get(key: string): KnownObject | undefined
  learn(event: Difference): void
  /** Whether an event says nothing that is not known: of the same object, in an older version or the same. */
  isStale(event: Difference): boolean
  /** The change that has the highest resourceVersion of those that are known. */
  latest(): Difference | undefined
  /** Whether this is the deletion of the very version that was said last: some stores give a deletion none of its own. */
  isEndOf(event: Difference): boolean
  /** The object of a deletion that no server has told: no more of it than is known here. The log holds the rest. */
  bare(known: KnownObject): KubernetesObject
}

/** What is known of the objects of each kind. A source keeps it up from the moment that it is given it. */
export interface KnownObjects {
  /** An object that a log holds. */
  readonly add: (object: KubernetesObject) => void
  readonly of: (kind: ObjectKind) => KnownOfKind
}

export function createKnownObjects(): KnownObjects {
  const known = {
    Service: createKnownOfKind('Service'),
    EndpointSlice: createKnownOfKind('EndpointSlice'),
    Node: createKnownOfKind('Node'),
    ServiceCIDR: createKnownOfKind('ServiceCIDR'),
  }
  return { add: (object) => known[object.kind].learn({ type: 'ADDED', object }), of: (kind) => known[kind] }
}

// Each server is at one point of the history, and none lags so many deletions behind.
const MOST_TOMBSTONES = 10_000

function createKnownOfKind(kind: ObjectKind): KnownOfKind {
  const living = new Map<string, KnownObject>()
  const deleted = new Map<string, KnownObject>()
  let latest: Difference | undefined

  const noteLatest = (change: Difference): void => {
    const before = latest === undefined ? '' : versionOf(latest.object).resourceVersion
    // Where the history was replaced an older version may be the last one: the whole of the newer is known no more.
    const isSame = latest !== undefined && keyOf(latest.object) === keyOf(change.object)
    if (change.type === 'DELETED' && change.isBare === true) {
      // Nobody told when.
      if (isSame) latest = undefined
      return
    }
    if (latest === undefined || isSame || isOlderVersion(before, versionOf(change.object).resourceVersion))
      latest = change
  }

  return {
    get size() {
      return living.size
    },
    keys: () => living.keys(),
    get: (key) => living.get(key),
    latest: () => latest,
    learn(change) {
      const { type, object } = change
      const key = keyOf(object)
      noteLatest(change)
      deleted.delete(key)
      if (type !== 'DELETED') {
        living.set(key, knownObjectOf(object))
        return
      }
      living.delete(key)
      deleted.set(key, knownObjectOf(object))
      const [oldest] = deleted.keys()
      if (deleted.size > MOST_TOMBSTONES && oldest !== undefined) deleted.delete(oldest)
    },
    isStale({ type, object }) {
      const { uid, resourceVersion } = versionOf(object)
      const key = keyOf(object)
      const known = living.get(key) ?? deleted.get(key)
      if (known === undefined || known.uid !== uid) return false
      if (known.resourceVersion === resourceVersion) return type !== 'DELETED' || !living.has(key)
      return isOlderVersion(resourceVersion, known.resourceVersion)
    },
    isEndOf({ type, object }) {
      const { uid, resourceVersion } = versionOf(object)
      const known = living.get(keyOf(object))
      return type === 'DELETED' && known?.uid === uid && known.resourceVersion === resourceVersion
    },
    bare({ service, addressType, ...metadata }) {
      const object = bareObject({ kind, metadata })
      if (service === undefined && addressType === undefined) return object
      const labels = service === undefined ? {} : { labels: { [SERVICE_NAME_LABEL]: service } }
      return { ...object, ...(addressType && { addressType }), metadata: { ...object.metadata, ...labels } }
    },
  }
}

export const keyOf = ({ metadata: { namespace = '', name } }: KubernetesObject): string => `${namespace}/${name}`

export function versionOf({ metadata: { uid, resourceVersion } }: KubernetesObject): {
  readonly uid: string
  readonly resourceVersion: string
} {
  return {
    uid: typeof uid === 'string' ? uid : '',
    resourceVersion: typeof resourceVersion === 'string' ? resourceVersion : '',
  }
}

function knownObjectOf(object: KubernetesObject): KnownObject {
  const { namespace = '', name } = object.metadata
  const known = { namespace, name, ...versionOf(object) }
  if (object.kind !== 'EndpointSlice') return known
  const { addressType } = object
  const service = serviceLabelOf(object)
  return {
    ...known,
    ...((addressType === 'IPv4' || addressType === 'IPv6') && { addressType }),
    ...(service !== undefined && { service }),
  }
}
