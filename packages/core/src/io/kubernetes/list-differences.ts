import { bareObject } from '../../model/keep-object.js'
import type { KubernetesObject, ObjectKind } from '../../model/kubernetes-object.js'
import { isOlderVersion } from '../../model/resource-version.js'
import type { ObjectEvent } from '../../model/watch-event.js'
import { type KnownVersion, objectKey, versionOf } from './recent-objects.js'

/** A change that a list brings to light. */
export type Difference = Pick<ObjectEvent, 'type' | 'object'>

export interface DifferenceCounts {
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
