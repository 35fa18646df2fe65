import { Observable, type OperatorFunction } from 'rxjs'
import { assertNever } from '../../model/assert-never.js'
import type { Ending } from './classify-failure.js'
import { createLineCutter } from './json-lines.js'
import type { AnswerPart } from './read-answer.js'

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
