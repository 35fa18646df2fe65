import { bareObject } from '../../model/keep-object.js'
import { isOlderVersion, type KubernetesObject, type ObjectKind } from '../../model/kubernetes-object.js'
import type { ObjectEvent } from '../../model/watch-event.js'

/** A change that a list brings to light. */
export type Difference = Pick<ObjectEvent, 'type' | 'object'>

interface DifferenceCounts {
  readonly listed: number
  readonly added: number
  readonly modified: number
  readonly deleted: number
  /** Of another uid than before under the same name; each is a deletion and an addition, and counted as neither. */
  readonly replaced: number
}

/** Turns a list, handed over object by object, into what differs from what is known. */
export interface ListDifferences {
  /** An object that is there. */
  see(object: KubernetesObject): readonly Difference[]
  /** An object that went while the list was sent. */
  see(object: KubernetesObject, gone: 'gone'): readonly Difference[]
  /** An object that is there, and cannot be read: its last version counts on, unless that is of another uid. */
  spare(version: KnownVersion): void
  /**
   * The list is whole, and at least as new as what is known: what was not listed is gone, and what was listed in an older
   * version is so, because the cluster was restored from a backup. Deletions come last, in order of namespace and name.
   */
  finish(): readonly Difference[]
  readonly counts: DifferenceCounts
}

/**
 * `known` is taken over and changed. `lastVersion` gives an object as it was last known, for its deletion; where it knows
 * nothing, the deletion carries the object's identity alone. Of the objects themselves only those are kept that were
 * listed in an older version than is known: until `finish` they may come from a server that lags behind.
 */
export function createListDifferences({
  kind,
  known,
  lastVersion,
}: {
  readonly kind: ObjectKind
  readonly known: Map<string, KnownVersion>
  readonly lastVersion: (version: KnownVersion) => KubernetesObject | undefined
}): ListDifferences {
  /** Known and not listed yet. */
  const missing = new Set(known.keys())
  const heldBack = new Map<string, KubernetesObject>()
  const counts = { listed: 0, added: 0, modified: 0, deleted: 0, replaced: 0 }

  const deletionOf = (version: KnownVersion): Difference => {
    known.delete(objectKey(version))
    const last = lastVersion(version)
    const isSame = last !== undefined && versionOf(last).uid === version.uid
    return { type: 'DELETED', object: isSame ? last : bareObject({ kind, metadata: { ...version } }) }
  }

  const changeOf = (object: KubernetesObject): readonly Difference[] => {
    const version = versionOf(object)
    const key = objectKey(version)
    const before = known.get(key)
    if (before === undefined) {
      counts.added++
      known.set(key, version)
      return [{ type: 'ADDED', object }]
    }
    if (before.uid === version.uid) {
      if (before.resourceVersion === version.resourceVersion) return []
      counts.modified++
      known.set(key, version)
      return [{ type: 'MODIFIED', object }]
    }
    counts.replaced++
    const deletion = deletionOf(before)
    known.set(key, version)
    return [deletion, { type: 'ADDED', object }]
  }

  const seeGone = (object: KubernetesObject): readonly Difference[] => {
    const version = versionOf(object)
    const key = objectKey(version)
    heldBack.delete(key)
    if (known.get(key)?.uid !== version.uid) return []
    missing.delete(key)
    known.delete(key)
    counts.deleted++
    return [{ type: 'DELETED', object }]
  }

  return {
    see(object, gone?: 'gone') {
      if (gone !== undefined) return seeGone(object)
      const version = versionOf(object)
      const key = objectKey(version)
      const before = known.get(key)
      counts.listed++
      missing.delete(key)
      heldBack.delete(key)
      if (before !== undefined && isOlderVersion(version.resourceVersion, before.resourceVersion)) {
        heldBack.set(key, object)
        return []
      }
      return changeOf(object)
    },
    spare(version) {
      const key = objectKey(version)
      counts.listed++
      if (known.get(key)?.uid === version.uid) missing.delete(key)
    },
    finish() {
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

/** Which version of which object. */
export interface KnownVersion {
  readonly namespace: string
  readonly name: string
  readonly uid: string
  readonly resourceVersion: string
}

/**
 * What this source itself has said of the objects of a kind. The log's state lags behind it while events are being written, and
 * without this a list that comes in between would take an object that was just added for one that never was.
 */
export interface RecentObjects {
  learn(event: Pick<ObjectEvent, 'type' | 'object'>): void
  /** How many objects were said and not deleted since. */
  readonly size: number
  /** Whether an event says nothing that is not known: of the same object, in an older version or the same. */
  isStale(event: Pick<ObjectEvent, 'type' | 'object'>): boolean
  /** Whether this is the deletion of the very version that was said last: some stores give a deletion none of its own. */
  isEndOf(event: Pick<ObjectEvent, 'type' | 'object'>): boolean
  /** What is known by now: the log's state, and over it what was said since. By `objectKey`. */
  over(known: Iterable<KnownVersion>): Map<string, KnownVersion>
}

export const objectKey = ({ namespace, name }: { readonly namespace: string; readonly name: string }): string =>
  `${namespace}/${name}`

export function versionOf({ metadata }: KubernetesObject): KnownVersion {
  const { namespace = '', name, uid, resourceVersion } = metadata
  return {
    namespace,
    name,
    uid: typeof uid === 'string' ? uid : '',
    resourceVersion: typeof resourceVersion === 'string' ? resourceVersion : '',
  }
}

// The log has long written what was deleted so many deletions ago.
const MOST_TOMBSTONES = 10_000

export function createRecentObjects(): RecentObjects {
  const living = new Map<string, KnownVersion>()
  const deleted = new Map<string, KnownVersion>()

  return {
    learn({ type, object }) {
      const version = versionOf(object)
      const key = objectKey(version)
      if (type !== 'DELETED') {
        living.set(key, version)
        deleted.delete(key)
        return
      }
      living.delete(key)
      deleted.delete(key)
      deleted.set(key, version)
      const [oldest] = deleted.keys()
      if (deleted.size > MOST_TOMBSTONES && oldest !== undefined) deleted.delete(oldest)
    },
    get size() {
      return living.size
    },
    isStale({ type, object }) {
      const version = versionOf(object)
      const key = objectKey(version)
      const known = living.get(key) ?? deleted.get(key)
      if (known === undefined || known.uid !== version.uid) return false
      if (known.resourceVersion === version.resourceVersion) return type !== 'DELETED' || !living.has(key)
      return isOlderVersion(version.resourceVersion, known.resourceVersion)
    },
    isEndOf({ type, object }) {
      const version = versionOf(object)
      const known = living.get(objectKey(version))
      return type === 'DELETED' && known?.uid === version.uid && known.resourceVersion === version.resourceVersion
    },
    over(known) {
      const merged = new Map<string, KnownVersion>()
      for (const { namespace, name, uid, resourceVersion } of known) {
        const version = { namespace, name, uid, resourceVersion }
        const key = objectKey(version)
        if (deleted.get(key)?.uid !== uid) merged.set(key, version)
      }
      for (const [key, version] of living) merged.set(key, version)
      return merged
    },
  }
}
