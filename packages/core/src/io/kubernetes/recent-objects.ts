import type { KubernetesObject } from '../../model/kubernetes-object.js'
import { isOlderVersion } from '../../model/resource-version.js'
import type { ObjectEvent } from '../../model/watch-event.js'

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
