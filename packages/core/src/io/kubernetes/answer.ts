import { isUtf8 } from 'node:buffer'
import { catchError, Observable, of, timeout, type OperatorFunction, type SchedulerLike } from 'rxjs'
import { isJsonObject } from '../../model/json-value.js'
import { bareObject, excessOfObject, isNamedObject, keepObject } from '../../model/keep-object.js'
import type { Json, JsonObject, KubernetesObject, ObjectKind } from '../../model/kubernetes-object.js'
import { assertNever, messageOf } from '../../model/language.js'
import { printable } from '../../model/shown-text.js'
import { asCurrentVersion } from '../../model/slice-forms.js'
import type { ObjectEvent } from '../../model/watch-event.js'
import type { ApiAnswer, ApiRequest, ApiServer } from '../../ports/api-server.js'
import { kindOf } from '../files/parse-watch-event.js'
import type { Ending } from './watch-failure.js'

/** An answer as it comes. The last part is its ending. */
export type AnswerPart =
  /** The server has agreed: 200. */
  | { readonly type: 'opened' }
  | { readonly type: 'bytes'; readonly bytes: Uint8Array }
  | { readonly type: 'ended'; readonly ending: Ending }

/** What a server says about a refusal; a page of HTML in its place is not read to its end. */
const MOST_REFUSAL_BYTES = 64 * 1024
const REFUSAL_MS = 5000

/**
 * Asks, and gives the answer as it comes. Never an error: what goes wrong is an ending. An answer that brings nothing for
 * `idleLimitMs`, its head included, ends. Unsubscribing ends the request at once.
 */
export function readAnswer(
  api: ApiServer,
  request: ApiRequest,
  { idleLimitMs, scheduler }: { readonly idleLimitMs: number; readonly scheduler: SchedulerLike },
): Observable<AnswerPart> {
  return answerOf(api, request, scheduler).pipe(
    catchError((error: unknown) => of(ended({ type: 'threw', error }))),
    timeout({ each: idleLimitMs, scheduler, with: () => of(ended({ type: 'silent', afterMs: idleLimitMs })) }),
  )
}

const ended = (ending: Ending): AnswerPart => ({ type: 'ended', ending })

const answerOf = (api: ApiServer, request: ApiRequest, scheduler: SchedulerLike): Observable<AnswerPart> =>
  new Observable<AnswerPart>((subscriber) => {
    const abort = new AbortController()
    const read = async (): Promise<void> => {
      const answer = await api.get(request, abort.signal)
      if (answer.status !== 200) {
        subscriber.next(ended(await refusalOf(answer, scheduler)))
        return subscriber.complete()
      }
      subscriber.next({ type: 'opened' })
      for await (const bytes of answer.body) {
        // Leaving the loop closes the connection.
        if (subscriber.closed) return
        subscriber.next({ type: 'bytes', bytes })
      }
      subscriber.next(ended({ type: 'closed' }))
      subscriber.complete()
    }
    read().catch((error: unknown) => subscriber.error(error))
    return () => abort.abort()
  })

async function refusalOf({ status, headers, body }: ApiAnswer, scheduler: SchedulerLike): Promise<Ending> {
  const parts: Uint8Array[] = []
  const chunks = body[Symbol.asyncIterator]()
  const giveUp = (): void => void chunks.return?.()
  const late = scheduler.schedule(giveUp, REFUSAL_MS)
  let length = 0
  try {
    for (let next = await chunks.next(); next.done !== true; next = await chunks.next()) {
      parts.push(next.value)
      length += next.value.length
      if (length <= MOST_REFUSAL_BYTES) continue
      giveUp()
      break
    }
  } catch {
    // The status has said it; what came of the explanation is enough.
  } finally {
    late.unsubscribe()
  }
  return { type: 'refused', status, headers, body: Buffer.concat(parts) }
}

export type LinePart =
  | { readonly type: 'opened' }
  | { readonly type: 'line'; readonly bytes: Uint8Array }
  | { readonly type: 'ended'; readonly ending: Ending }

/**
 * Cuts an answer into lines as it comes. One that closes within a line was cut off; one whose line grows over the limit
 * ends, so that memory has a bound.
 */
export function toLines(maxLineBytes: number): OperatorFunction<AnswerPart, LinePart> {
  return (source) =>
    new Observable<LinePart>((subscriber) => {
      const cutter = createLineCutter()
      const end = (ending: Ending): void => {
        subscriber.next({ type: 'ended', ending })
        subscriber.complete()
      }
      const take = (bytes: Uint8Array): void => {
        for (const line of cutter.push(bytes)) subscriber.next({ type: 'line', bytes: line })
        if (cutter.pendingBytes > maxLineBytes) end({ type: 'too-long', limitBytes: maxLineBytes })
      }
      return source.subscribe({
        next: (part) => {
          switch (part.type) {
            case 'opened':
              return subscriber.next(part)
            case 'bytes':
              return take(part.bytes)
            case 'ended': {
              const { pendingBytes } = cutter
              const isCut = part.ending.type === 'closed' && pendingBytes > 0
              return end(isCut ? { type: 'cut', pendingBytes } : part.ending)
            }
            default:
              return assertNever(part)
          }
        },
        error: (error: unknown) => subscriber.error(error),
        complete: () => subscriber.complete(),
      })
    })
}

/** Cuts bytes, that come in whatever pieces, at line feeds. */
interface LineCutter {
  /** The lines that are whole now, without their line feeds; blank ones are left out. A line may share memory with `bytes`. */
  push(bytes: Uint8Array): readonly Uint8Array[]
  /** Bytes of the line that has no end yet: what the cutter keeps in memory. */
  readonly pendingBytes: number
}

const LINE_FEED = 10

/** Lines stay bytes: a character may be cut in two between pieces, never between lines. */
export function createLineCutter(): LineCutter {
  let pending: Uint8Array[] = []
  let pendingBytes = 0

  const keep = (bytes: Uint8Array): void => {
    if (bytes.length === 0) return
    pending.push(bytes)
    pendingBytes += bytes.length
  }

  const takeLine = (end: Uint8Array): Uint8Array => {
    if (pending.length === 0) return end
    const line = Buffer.concat([...pending, end])
    pending = []
    pendingBytes = 0
    return line
  }

  return {
    push(bytes) {
      const lines: Uint8Array[] = []
      let start = 0
      for (let end = bytes.indexOf(LINE_FEED); end !== -1; end = bytes.indexOf(LINE_FEED, start)) {
        const line = takeLine(bytes.subarray(start, end))
        if (!isBlank(line)) lines.push(line)
        start = end + 1
      }
      keep(bytes.subarray(start))
      return lines
    },
    get pendingBytes() {
      return pendingBytes
    },
  }
}

const isBlank = (line: Uint8Array): boolean => line.every((byte) => byte === 32 || byte === 9 || byte === 13)

type ParsedJson = { readonly value: unknown } | { readonly cause: string }

/** Reads JSON from bytes. Bytes that are no UTF-8 are refused, where a lenient reader would alter a name. */
export function parseJson(bytes: Uint8Array): ParsedJson {
  if (!isUtf8(bytes)) return { cause: 'not UTF-8' }
  try {
    return { value: JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8')) }
  } catch (error) {
    return { cause: `not JSON: ${printable(messageOf(error))}` }
  }
}

/** What an API server says of a request that failed: the Status object of a refused request, or of a watch's ERROR event. */
export interface ApiStatus {
  readonly code?: number
  readonly reason: string
  readonly message: string
  /** The reasons in `details.causes`. */
  readonly causes: readonly string[]
  readonly retryAfterSeconds?: number
}

/** Reads a Status; what is none, such as a proxy's page in HTML, gives an empty one. Never throws. */
export function readStatus(value: unknown): ApiStatus {
  if (!isJsonObject(value)) return { reason: '', message: '', causes: [] }
  const { code, reason, message, details } = value
  const { causes, retryAfterSeconds } = isJsonObject(details) ? details : {}
  const reasons = Array.isArray(causes) ? causes.map((cause: unknown) => isJsonObject(cause) && cause['reason']) : []
  return {
    ...(typeof code === 'number' && { code }),
    reason: typeof reason === 'string' ? reason : '',
    message: typeof message === 'string' ? printable(message) : '',
    causes: reasons.filter((cause) => typeof cause === 'string'),
    ...(typeof retryAfterSeconds === 'number' && { retryAfterSeconds }),
  }
}

/**
 * Passes values on; where none has come for `limitMs()`, asked anew after each value, it gives `late(limitMs)` and completes. The
 * first value is waited for likewise.
 */
export const limitSilence =
  <Value>(
    limitMs: () => number,
    late: (limitMs: number) => Value,
    scheduler: SchedulerLike,
  ): OperatorFunction<Value, Value> =>
  (source) =>
    new Observable<Value>((subscriber) => {
      const wait = () => {
        const ms = limitMs()
        return scheduler.schedule(() => {
          subscriber.next(late(ms))
          subscriber.complete()
        }, ms)
      }
      let timer = wait()
      subscriber.add(() => timer.unsubscribe())
      subscriber.add(
        source.subscribe({
          next: (value) => {
            timer.unsubscribe()
            subscriber.next(value)
            if (!subscriber.closed) timer = wait()
          },
          error: (error: unknown) => subscriber.error(error),
          complete: () => subscriber.complete(),
        }),
      )
    })

type ObjectRead = { readonly type: 'object'; readonly object: KubernetesObject } | Unreadable

/** Not what was asked for, or not to be used. */
export interface Unreadable {
  readonly type: 'unreadable'
  /** What it is in place of an object of the kind. */
  readonly message: string
  /** The object's name and version and nothing else, where it says so much. */
  readonly bare?: KubernetesObject
}

/** Reads what the server says is an object of a kind, as much of it as is kept. Never throws. */
export function readObject(given: unknown, kind: ObjectKind): ObjectRead {
  const value = isJsonObject(given) ? asCurrentVersion(given) : given
  if (!isJsonObject(value)) return unreadable(`not an object where a ${kind} should be`)
  if (kindOf(value) !== kind) return unreadable(`an object of another kind where a ${kind} should be: ${nameOf(value)}`)
  if (!isNamedObject(value)) return unreadable(`the ${kind} has no usable metadata: ${nameOf(value)}`)
  try {
    const object = keepObject(value)
    return object === undefined
      ? unusable(value, excessOfObject(value) ?? 'it cannot be read')
      : { type: 'object', object }
  } catch (error) {
    // The last line of defence: whatever an object is, it costs no more than itself.
    return unusable(value, `reading it failed: ${printable(String(error))}`)
  }
}

const unreadable = (message: string): Unreadable => ({ type: 'unreadable', message })

const unusable = (object: KubernetesObject, why: string): Unreadable => ({
  ...unreadable(`${nameIn(object)} is skipped, and its last usable version stays in effect: ${why}`),
  bare: bareObject(object),
})

/** The caller adds the kind. */
const nameIn = ({ metadata: { namespace, name } }: KubernetesObject): string =>
  printable(namespace == null ? name : `${namespace}/${name}`)

function nameOf(value: { readonly [key: string]: unknown }): string {
  const { apiVersion, kind, metadata } = value
  const { namespace, name } = isJsonObject(metadata) ? metadata : {}
  return printable(JSON.stringify({ apiVersion, kind, namespace, name }, textAlone))
}

/** Members that are no text may be of any size and depth. */
const textAlone = (key: string, value: Json | undefined): Json | undefined =>
  key === '' || typeof value !== 'object' || value === null ? value : Array.isArray(value) ? 'a list' : 'an object'

/** What a line of a watch says. */
export type WatchLine =
  | { readonly type: 'object'; readonly event: ObjectEvent['type']; readonly object: KubernetesObject }
  | { readonly type: 'bookmark'; readonly resourceVersion: string; readonly initialEventsEnd: boolean }
  /** The server ends the watch. */
  | { readonly type: 'error'; readonly status: ApiStatus }
  /** An event of something that is not what was asked for: it is passed over. */
  | (Unreadable & { readonly event?: ObjectEvent['type'] })
  /** No event at all: an event was lost, and the watch cannot be trusted. */
  | { readonly type: 'garbled'; readonly cause: string }

/** Reads a line of a watch of a kind. Never throws. */
export function readWatchLine(bytes: Uint8Array, kind: ObjectKind): WatchLine {
  const parsed = parseJson(bytes)
  if ('cause' in parsed) return { type: 'garbled', cause: parsed.cause }
  const { value } = parsed
  if (!isJsonObject(value) || typeof value['type'] !== 'string') return { type: 'garbled', cause: 'not a watch event' }
  const { type, object } = value
  switch (type) {
    case 'ADDED':
    case 'MODIFIED':
    case 'DELETED': {
      const read = readObject(object, kind)
      return { ...read, event: type }
    }
    case 'BOOKMARK':
      return readBookmark(isJsonObject(object) && isJsonObject(object['metadata']) ? object['metadata'] : {})
    case 'ERROR':
      return { type: 'error', status: readStatus(object) }
    default:
      return { type: 'unreadable', message: `unknown event type ${JSON.stringify(type.slice(0, 40))}` }
  }
}

function readBookmark({ resourceVersion, annotations }: JsonObject): WatchLine {
  if (typeof resourceVersion !== 'string' || resourceVersion === '')
    return { type: 'unreadable', message: 'a bookmark without a resourceVersion' }
  const initialEventsEnd = isJsonObject(annotations) && annotations['k8s.io/initial-events-end'] === 'true'
  return { type: 'bookmark', resourceVersion, initialEventsEnd }
}
