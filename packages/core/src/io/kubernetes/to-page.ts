import { Observable, type OperatorFunction } from 'rxjs'
import { assertNever } from '../../model/assert-never.js'
import type { ObjectKind } from '../../model/kubernetes-object.js'
import type { Ending } from './classify-failure.js'
import type { AnswerPart } from './read-answer.js'
import { type PageRead, readPage } from './read-page.js'

export type PagePart =
  | { readonly type: 'opened' }
  | PageRead
  /** The answer was no page. */
  | { readonly type: 'ended'; readonly ending: Exclude<Ending, { type: 'closed' }> }

/** Reads an answer as a page of a list, in one piece. */
export function toPage(kind: ObjectKind, maxBytes: number): OperatorFunction<AnswerPart, PagePart> {
  return (source) =>
    new Observable<PagePart>((subscriber) => {
      let parts: Uint8Array[] = []
      let length = 0
      const last = (part: PagePart): void => {
        subscriber.next(part)
        subscriber.complete()
      }
      const take = (bytes: Uint8Array): void => {
        parts.push(bytes)
        length += bytes.length
        if (length <= maxBytes) return
        parts = []
        last({ type: 'ended', ending: { type: 'too-long', limitBytes: maxBytes } })
      }
      return source.subscribe({
        next: (part) => {
          switch (part.type) {
            case 'opened':
              return subscriber.next(part)
            case 'bytes':
              return take(part.bytes)
            case 'ended':
              return last(
                part.ending.type === 'closed'
                  ? readPage(Buffer.concat(parts), kind)
                  : { type: 'ended', ending: part.ending },
              )
            default:
              return assertNever(part)
          }
        },
        error: (error: unknown) => subscriber.error(error),
        complete: () => subscriber.complete(),
      })
    })
}
