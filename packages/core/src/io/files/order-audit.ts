import { compareResourceVersions, type KubernetesObject } from '../../model/kubernetes-object.js'
import type { MergedItem } from './recording-file.js'

export const timeOf = (item: MergedItem): number => (item.type === 'event' ? item.event.observedAt : item.observedAt)

/** The version that an item made; undefined where it is no change, or does not say so. A deletion answers with the version before it. */
export function versionOf(item: MergedItem): string | undefined {
  const version =
    item.type === 'event'
      ? item.event.type === 'BOOKMARK'
        ? item.event.resourceVersion
        : item.event.object.metadata['resourceVersion']
      : item.type === 'request' && item.event !== undefined && item.event.type !== 'DELETED'
        ? item.event.object.metadata['resourceVersion']
        : undefined
  return typeof version === 'string' && /^[0-9]+$/.test(version) ? version : undefined
}

/** By version; what has none by its time, but between the versions of its own object. */
export function inOrder(items: readonly MergedItem[]): MergedItem[] {
  const versioned: MergedItem[] = []
  const others: MergedItem[] = []
  for (const item of items) (versionOf(item) === undefined ? others : versioned).push(item)
  versioned.sort((one, other) => compareResourceVersions(versionOf(one) ?? '0', versionOf(other) ?? '0') ?? 0)
  const times = versioned.map(timeOf)
  for (let index = times.length - 2; index >= 0; index--)
    times[index] = Math.min(times[index] ?? 0, times[index + 1] ?? Number.POSITIVE_INFINITY)
  const placed = versioned.map((item, index) => ({ item, at: index, time: times[index] ?? 0 }))
  const lastOf = new Map<string, number>()
  const firstOf = new Map<string, { readonly uid: string; readonly index: number }[]>()
  for (const [index, item] of versioned.entries()) {
    const { key, uid } = identityOf(item)
    if (key === '') continue
    lastOf.set(`${key} ${uid}`, index)
    const lives = firstOf.get(key) ?? []
    if (lives.at(-1)?.uid !== uid) lives.push({ uid, index })
    firstOf.set(key, lives)
  }
  for (const item of others) {
    const { key, uid } = identityOf(item)
    let at = upperBound(times, timeOf(item)) - 0.5
    if (key !== '' && uid !== '') {
      const next = (firstOf.get(key) ?? []).find(
        (life, index, lives) => lives[index - 1]?.uid === uid && life.uid !== uid,
      )
      // Only a deletion is behind all versions of its object.
      if (isDeletion(item)) at = Math.max(at, (lastOf.get(`${key} ${uid}`) ?? -1) + 0.5)
      if (next !== undefined) at = Math.min(at, next.index - 0.5)
    }
    placed.push({ item, at, time: timeOf(item) })
  }
  // The sort is stable: of what stands between the same two versions, the earlier comes first.
  return placed.sort((one, other) => one.at - other.at).map(({ item }) => item)
}

const isDeletion = (item: MergedItem): boolean =>
  (item.type === 'request' && (item.event?.type === 'DELETED' || item.request.effect.type === 'deleted')) ||
  (item.type === 'event' && item.event.type === 'DELETED')

/** How many of the times, which do not decrease, are at or before a time. */
function upperBound(times: readonly number[], time: number): number {
  let low = 0
  let high = times.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((times[middle] ?? 0) <= time) low = middle + 1
    else high = middle
  }
  return low
}

interface Identity {
  /** Empty: it is about no object. */
  readonly key: string
  readonly uid: string
}

export function identityOf(item: MergedItem): Identity {
  if (item.type === 'event' && item.event.type !== 'BOOKMARK') return identityOfObject(item.event.object)
  if (item.type !== 'request') return { key: '', uid: '' }
  if (item.event !== undefined) return identityOfObject(item.event.object)
  const { kind, namespace = '', name = '', uid = '' } = item.request
  return { key: `${kind} ${namespace}/${name}`, uid }
}

export function identityOfObject({ kind, metadata: { namespace = '', name, uid } }: KubernetesObject): Identity {
  return { key: `${kind} ${namespace}/${name}`, uid: typeof uid === 'string' ? uid : '' }
}
