import { keepObject } from '../../model/keep-object.js'
import {
  compareResourceVersions,
  isOlderVersion,
  type JsonObject,
  type KubernetesObject,
} from '../../model/kubernetes-object.js'
import type { ObjectEvent } from '../../model/watch-event.js'
import { applyAuditedPatch } from './apply-audited-patch.js'
import { matchWatch } from './match-watch.js'
import { identityOf, identityOfObject, inOrder, timeOf, versionOf } from './order-audit.js'
import { eventOfObject, type RecordingOptions } from './parse-watch-event.js'
import type { EventItem, MergedItem, RecordingItem, RequestItem } from './recording-file.js'

/** A request may take so long from its receipt to its end (the default request timeout of an API server). */
const HELD_MS = 60_000
/** Items that wait for their order; beyond, the older half goes on. */
const MOST_HELD = 20_000
/** Clocks of two API servers, and a watch after the write, differ by no more. */
const SKEW_MS = 10_000
const MOST_GONE = 100_000

/**
 * Puts the requests of API audit logs in the order in which they were committed, and makes events of them. A line is written when the
 * request ended, so that the order of lines is not that of the versions: within a minute, resourceVersion decides, which all kinds share.
 * The time of a change becomes the earliest end of its request and of those that were committed after it. Requests that
 * a watch in the same input shows as well give it their author. What is no audited request keeps its order, and an input without any goes
 * through as it is.
 */
export async function* settleAudit(
  batches: AsyncIterable<readonly MergedItem[]>,
  options: RecordingOptions,
): AsyncGenerator<readonly RecordingItem[]> {
  const history = createHistory(options)
  let held: MergedItem[] = []
  let isAudited = false
  for await (const batch of batches) {
    isAudited ||= batch.some((item) => item.type === 'request')
    if (!isAudited) {
      yield batch.filter((item) => item.type !== 'request')
      continue
    }
    const out: RecordingItem[] = []
    for (const item of batch) {
      if (item.type === 'passed-over') {
        out.push(item)
        continue
      }
      const reset = item.type === 'request' ? history.resetBy(item) : undefined
      if (reset !== undefined) {
        for (const each of history.settle(inOrder(held))) out.push(each)
        held = []
        for (const each of history.reset(reset, item)) out.push(each)
      }
      if (item.type === 'request') history.note(item)
      held.push(item)
    }
    const newest = held.reduce(
      (latest, item) => Math.max(latest, item.type === 'event' ? item.event.observedAt : item.observedAt),
      0,
    )
    const first = held[0]
    if (first !== undefined && (held.length > MOST_HELD || timeOf(first) < newest - 2 * HELD_MS)) {
      held = inOrder(held)
      const isOver = held.length > MOST_HELD
      let count = held.findIndex((item) => timeOf(item) > newest - HELD_MS)
      if (count < 0) count = held.length
      if (isOver) count = Math.max(count, held.length - MOST_HELD / 2)
      for (const each of history.settle(held.slice(0, count))) out.push(each)
      held = held.slice(count)
    }
    yield out
  }
  yield history.settle(inOrder(held))
}

/** What the history knows of an object that lives. */
interface Known {
  readonly uid: string
  readonly version: string | undefined
  readonly at: number
  /** The object as kept, as text: a patch may need it. */
  readonly text: string
}

type Reset = 'empty' | 'older'

interface History {
  /** Events of what is in order. */
  settle(items: readonly MergedItem[]): readonly RecordingItem[]
  /** Whether a request shows that the store is another than that of the requests noted before it: an empty one, or an older state of the same. */
  resetBy(item: RequestItem): Reset | undefined
  /** In the order of the input. */
  note(item: RequestItem): void
  reset(reset: Reset, by: MergedItem): readonly RecordingItem[]
}

function createHistory(options: RecordingOptions): History {
  const known = new Map<string, Known>()
  const gone = new Set<string>()
  let lastAt = 0
  let cluster: string | undefined
  let newest: { readonly version: string; readonly at: number } | undefined

  const remember = (event: ObjectEvent): void => {
    const { key, uid } = identityOfObject(event.object)
    if (event.type === 'DELETED') {
      known.delete(key)
      if (gone.size >= MOST_GONE) gone.clear()
      if (uid !== '') gone.add(uid)
      return
    }
    const kept = keepObject(event.object)
    const { resourceVersion: version } = event.object.metadata
    known.set(key, {
      uid,
      version: typeof version === 'string' ? version : undefined,
      at: event.observedAt,
      text: kept === undefined ? '' : JSON.stringify(kept),
    })
  }

  const emit = (item: RequestItem, event: ObjectEvent): EventItem => {
    const { file, line, request } = item
    lastAt = Math.max(lastAt, event.observedAt)
    const timed = { ...event, observedAt: lastAt, audited: request.author }
    remember(timed)
    return { type: 'event', event: timed, file, line, isAudited: true }
  }

  const passedOver = ({ request, file, line }: RequestItem, why: string): RecordingItem => ({
    type: 'passed-over',
    kind: `${request.verb} of ${request.kind} ${why}`,
    observedAt: lastAt,
    file,
    line,
  })
  const gap = (item: RequestItem, why: string): RecordingItem => {
    const { request, file, line } = item
    lastAt = Math.max(lastAt, item.observedAt)
    return { type: 'gap', cause: why, request, observedAt: lastAt, file, line }
  }

  const settleRequest = (item: RequestItem): RecordingItem => {
    const { request } = item
    const { key, uid } = identityOf(item)
    const before = known.get(key)
    const isOther = before !== undefined && uid !== '' && before.uid !== '' && before.uid !== uid
    if (item.event !== undefined) {
      const { event } = item
      const version = versionOf(item)
      if (event.type === 'DELETED') {
        if (gone.has(uid) || isOther) return passedOver(item, 'that was deleted already')
        return emit(item, event)
      }
      if (uid !== '' && gone.has(uid)) return passedOver(item, 'that was deleted already')
      if (before !== undefined && !isOther && version !== undefined && before.version !== undefined) {
        const order = compareResourceVersions(version, before.version)
        if (order === 0) return passedOver(item, 'that changed nothing')
        if (order !== undefined && order < 0 && request.receivedAt <= before.at + SKEW_MS)
          return passedOver(item, 'that came after a later version')
      }
      return emit(item, event)
    }
    switch (request.effect.type) {
      case 'deleted': {
        if (gone.has(uid) || isOther) return passedOver(item, 'that was deleted already')
        if (finalizersOf(before).length > 0)
          return gap(item, `a deletion of ${labelOf(item)} that waits for a finalizer, without the object after it`)
        const parsed = eventOfObject(
          'DELETED',
          request.effect.object,
          { isBare: true, observedAt: item.observedAt },
          options,
        )
        if (parsed.type !== 'event' || parsed.event.type === 'BOOKMARK') return gap(item, 'a deletion without a name')
        const { object } = parsed.event
        // A level that does not hold the uid means the one that lives.
        const whole = uid === '' && before !== undefined && before.uid !== '' ? withUid(object, before.uid) : object
        return emit(item, { ...parsed.event, object: whole, observedAt: item.observedAt })
      }
      case 'patch': {
        if (before === undefined || isOther || before.text === '')
          return gap(item, `a patch of ${labelOf(item)} without the object after it, of which no version is known`)
        const result = applyAuditedPatch(JSON.parse(before.text) as JsonObject, {
          patch: request.effect.patch,
          kind: request.kind,
          subresource: request.subresource,
        })
        if (result.type === 'inexact')
          return gap(item, `a patch of ${labelOf(item)} without the object after it: ${result.why}`)
        if (result.type === 'same') return passedOver(item, 'of nothing that a service proxy reads')
        return emit(item, { type: 'MODIFIED', object: result.object, observedAt: item.observedAt })
      }
      case 'unknown':
        return gap(item, request.effect.why)
      case 'object':
        return passedOver(item, 'that cannot be read')
    }
  }

  return {
    settle(items) {
      const settled: RecordingItem[] = []
      const { matched, used } = matchWatch(items)
      // Of what was committed later, nothing ended earlier.
      const times = items.map(timeOf)
      for (let index = times.length - 2; index >= 0; index--)
        times[index] = Math.min(times[index] ?? 0, times[index + 1] ?? Number.POSITIVE_INFINITY)
      for (const [index, given] of items.entries()) {
        if (used.has(given)) continue
        const time = Math.max(lastAt, times[index] ?? 0)
        if (given.type === 'request') {
          const item = {
            ...given,
            observedAt: time,
            ...(given.event !== undefined && { event: { ...given.event, observedAt: time } }),
          }
          settled.push(settleRequest(item))
          continue
        }
        lastAt = time
        if (given.type !== 'event') {
          settled.push({ ...given, observedAt: time })
          continue
        }
        const request = matched.get(given)
        const event = { ...given.event, observedAt: time, ...(request && { audited: request.request.author }) }
        if (event.type !== 'BOOKMARK') remember(event)
        settled.push({ ...given, event, ...(request !== undefined && { isAudited: true }) })
      }
      return settled
    },
    resetBy(item) {
      const version = versionOf(item)
      if (item.request.verb !== 'create' || version === undefined) return undefined
      if (newest === undefined || !isOlderVersion(version, newest.version)) return undefined
      if (isClusterService(item) && cluster !== undefined && cluster !== identityOf(item).uid) return 'empty'
      return item.request.receivedAt > newest.at + SKEW_MS ? 'older' : undefined
    },
    note(item) {
      const version = versionOf(item)
      if (version !== undefined && (newest === undefined || isOlderVersion(newest.version, version)))
        newest = { version, at: item.observedAt }
      if (isClusterService(item)) cluster = identityOf(item).uid
    },
    reset(reset, by) {
      newest = undefined
      const { file, line } = by
      const time = Math.max(lastAt, by.type === 'request' ? by.request.receivedAt : timeOf(by))
      lastAt = time
      const cause =
        reset === 'empty'
          ? 'the API servers began with an empty store here: what was there before is gone, and resourceVersions begin anew'
          : 'the API servers began with an older state of the store here: resourceVersions go back'
      const notice: RecordingItem = { type: 'reset', cause, observedAt: time, file, line }
      if (reset === 'older') return [notice]
      const ended = [...known.values()].flatMap(({ text }): readonly EventItem[] => {
        if (text === '') return []
        const object = JSON.parse(text) as KubernetesObject
        return [{ type: 'event', event: { type: 'DELETED', object, observedAt: time, isBare: true }, file, line }]
      })
      known.clear()
      gone.clear()
      return [notice, ...ended]
    },
  }
}

/** The Service by which one cluster is told from another. */
function isClusterService(item: RequestItem): boolean {
  const { kind, namespace, name, verb } = item.request
  return kind === 'Service' && namespace === 'default' && name === 'kubernetes' && verb === 'create'
}

const withUid = (object: KubernetesObject, uid: string): KubernetesObject => ({
  ...object,
  metadata: { ...object.metadata, uid },
})

function finalizersOf(known: Known | undefined): readonly unknown[] {
  if (known === undefined || known.text === '') return []
  const { finalizers } = (JSON.parse(known.text) as KubernetesObject).metadata
  return Array.isArray(finalizers) ? finalizers : []
}

const labelOf = ({ request: { kind, namespace, name } }: RequestItem): string =>
  `${kind} ${namespace === undefined ? '' : `${namespace.slice(0, 200)}/`}${(name ?? '').slice(0, 200)}`
