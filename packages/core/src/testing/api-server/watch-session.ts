import { assertNever } from '../../model/language.js'
import { eventLine, bookmarkLine, changeLine, errorLine } from './watch-event-lines.js'
import { type ApiResource, keyOf } from './api-resource.js'
import { statusBody } from './status-body.js'
import type { AnswerStream } from './answer-stream.js'
import type { ListFaults } from './list-objects.js'
import type { Disturbance } from './misbehaviour.js'
import type { ObjectStore, Revision } from './object-store.js'
import type { Matches } from './selectors.js'

export interface WatchPlan {
  readonly resource: ApiResource
  readonly matches: Matches
  /** Begin with what there is; and say when it is complete, if `bookmarked`. */
  readonly state?: { readonly bookmarked: boolean; readonly faults: ListFaults }
  /** Changes after this resourceVersion; passed over where the watch begins with what there is. */
  readonly after: number
  /** Milliseconds from one bookmark to the next; undefined: none are asked for. */
  readonly bookmarkIntervalMs?: number
  readonly timeoutMs: number
  readonly sendsTwice?: boolean
  readonly disturbance?: { readonly afterLines: number; readonly by: Disturbance }
}

/** A watch that is open. */
export interface WatchSession {
  readonly resource: ApiResource
  readonly disturb: (disturbance: Disturbance) => void
  readonly bookmark: () => void
  readonly close: () => void
}

/** Serves a watch until it ends; `closed` is called once then. */
export function serveWatch(
  store: ObjectStore,
  stream: AnswerStream,
  plan: WatchPlan,
  closed: () => void,
): WatchSession {
  const { resource, matches, disturbance } = plan
  let isSilent = false
  let lines = 0
  let seen = plan.after

  const send = (line: string): void => {
    if (isSilent || !stream.isOpen()) return
    stream.send(line)
    lines += 1
    if (lines === disturbance?.afterLines) disturb(disturbance.by)
  }
  const sendChange = (revision: Revision): void => {
    // A watch from the future is silent until the server has come there.
    if (revision.resource.name !== resource.name || revision.resourceVersion <= seen) return
    seen = revision.resourceVersion
    const line = changeLine(revision, matches)
    if (line === undefined) return
    send(line)
    if (plan.sendsTwice === true) send(line)
  }
  const bookmark = (): void => {
    if (plan.bookmarkIntervalMs !== undefined && store.resourceVersion() >= seen)
      send(bookmarkLine(resource, store.resourceVersion()))
  }
  const disturb = (what: Disturbance): void => {
    if (what.type === 'silence') isSilent = true
    else disturbStream(stream, what, { store, resource, matches })
    if (!stream.isOpen()) end()
  }

  const bookmarks = plan.bookmarkIntervalMs === undefined ? undefined : setInterval(bookmark, plan.bookmarkIntervalMs)
  const timeout = setTimeout(() => {
    if (!isSilent) close()
  }, plan.timeoutMs)
  const unsubscribe = store.subscribe(sendChange)
  stream.onClosed(() => end())
  let ended = false
  const end = (): void => {
    if (ended) return
    ended = true
    clearInterval(bookmarks)
    clearTimeout(timeout)
    unsubscribe()
    closed()
  }
  const close = (): void => {
    stream.end()
    end()
  }

  if (disturbance?.afterLines === 0) disturb(disturbance.by)
  if (plan.state !== undefined) {
    const { omit = [], behind = 0 } = plan.state.faults
    seen = Math.max(store.resourceVersion() - behind, store.compactedAt())
    for (const object of store.objects(resource.name, seen)) {
      if (!matches(object) || omit.includes(keyOf(object))) continue
      send(eventLine('ADDED', object))
      stream.flush()
    }
    if (plan.state.bookmarked) send(bookmarkLine(resource, seen, { initialEventsEnd: true }))
    stream.flush()
  }
  for (const revision of store.revisionsAfter(resource.name, seen)) sendChange(revision)

  return { resource, disturb, bookmark, close: () => (isSilent ? disturb({ type: 'reset' }) : close()) }
}

interface Surroundings {
  readonly store: ObjectStore
  readonly resource: ApiResource
  readonly matches: Matches
}

function disturbStream(
  stream: AnswerStream,
  disturbance: Exclude<Disturbance, { type: 'silence' }>,
  { store, resource, matches }: Surroundings,
): void {
  switch (disturbance.type) {
    case 'end':
      return stream.end()
    case 'reset':
      return stream.reset()
    case 'half-line':
      return half(stream, halfLine(resource), disturbance.ending)
    case 'half-character':
      return half(stream, halfCharacter(resource), disturbance.ending)
    case 'garbage-line':
      return stream.send('{"type":"ADDED","object":{"kind":\u0000}\n')
    case 'line':
      return stream.send(`${disturbance.text}\n`)
    case 'bad-chunk':
      return stream.spoil(Buffer.from('zz\r\nthis is no chunk\r\n'))
    case 'error-event':
      stream.send(errorLine(statusBody(disturbance.code, 'asked for by a test')))
      return stream.end()
    case 'repeat-events': {
      const last = store.revisionsAfter(resource.name, 0).slice(-disturbance.count)
      for (const revision of last) stream.send(changeLine(revision, matches) ?? '')
      return undefined
    }
    default:
      return assertNever(disturbance)
  }
}

function half(stream: AnswerStream, bytes: Uint8Array, ending: 'clean' | 'cut'): void {
  if (ending === 'cut') return stream.cut(bytes)
  stream.send(bytes)
  return stream.end()
}

/** An event that never was: if a reader takes it for whole, its state shows it. */
const falseEvent = ({ kind, apiVersion }: ApiResource): string =>
  eventLine('ADDED', { kind, apiVersion, metadata: { name: 'zürich', resourceVersion: '1' } })

const halfLine = (resource: ApiResource): Uint8Array => Buffer.from(falseEvent(resource).trimEnd().slice(0, -2))

function halfCharacter(resource: ApiResource): Uint8Array {
  const bytes = Buffer.from(falseEvent(resource))
  return bytes.subarray(0, bytes.indexOf('ü') + 1)
}
