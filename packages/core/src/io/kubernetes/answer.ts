import { isUtf8 } from 'node:buffer'
import { catchError, Observable, of, timeout, type OperatorFunction, type SchedulerLike } from 'rxjs'
import { isJsonObject } from '../../model/json-value.js'
import { assertNever, messageOf } from '../../model/language.js'
import { printable } from '../../model/shown-text.js'
import type { ApiAnswer, ApiRequest, ApiServer } from '../../ports/api-server.js'
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
