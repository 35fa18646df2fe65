import { catchError, Observable, of, type SchedulerLike, timeout } from 'rxjs'
import type { ApiAnswer, ApiRequest, ApiServer } from '../../ports/api-server.js'
import type { Ending } from './classify-failure.js'

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
