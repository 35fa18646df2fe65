import type { ResourceName } from './api-resource.js'
import type { RequestKind } from './request-log.js'

/** What a server does wrong with an answer. */
export type Misbehaviour =
  /** The request is read, and nothing is said. */
  | { readonly type: 'hang' }
  /** The connection is cut before an answer. */
  | { readonly type: 'reset' }
  /** A refusal: 400, 401, 403, 410, 422, 429, 500, 503, 504. */
  | { readonly type: 'status'; readonly code: number; readonly retryAfterSeconds?: number }
  /** HTTP 504 with the cause ResourceVersionTooLarge: a replica that is behind, or another cluster's resourceVersion. */
  | { readonly type: 'too-large-resource-version'; readonly retryAfterSeconds?: number }
  /** A list: HTTP 410. A watch: HTTP 200 and an ERROR event 410. */
  | { readonly type: 'expired' }
  /** A streaming list is refused: by an ERROR event 500, or by an HTTP status. */
  | { readonly type: 'no-streaming-lists'; readonly as: 'event' | 400 | 422 }
  /** The body comes in pieces with pauses; a list's only. */
  | { readonly type: 'slow'; readonly bytes: number; readonly pauseMs: number }
  /** The body ends in its midst, and the connection with it; a list's only. */
  | { readonly type: 'truncated'; readonly bytes: number }
  /** A list, streaming or not, as of so many changes ago: a replica that is behind. A watch that follows catches up. */
  | { readonly type: 'behind'; readonly revisions: number }
  /** A list, streaming or not, lacks these objects (`namespace/name`), and no event will bring them. */
  | { readonly type: 'omit'; readonly keys: readonly string[] }
  /** A watch sends each event twice. */
  | { readonly type: 'duplicates' }
  /** A watch is disturbed after so many lines. */
  | { readonly type: 'disturbed'; readonly afterLines: number; readonly by: Disturbance }
  /**
   * The answer is these bytes, head and all, and the connection ends with them. Cut at the offsets of `cuts`, in pieces
   * that arrive one by one.
   */
  | { readonly type: 'replay'; readonly answer: Uint8Array; readonly cuts?: readonly number[] }

/** What becomes of a watch that is open. */
export type Disturbance =
  /** Ends as watches do, at a line's end. */
  | { readonly type: 'end' }
  /** The connection is reset. */
  | { readonly type: 'reset' }
  /** Part of a line; then the body ends as if it were whole (`clean`), or the connection does (`cut`). */
  | { readonly type: 'half-line'; readonly ending: 'clean' | 'cut' }
  /** As half a line, cut within a character of several bytes. */
  | { readonly type: 'half-character'; readonly ending: 'clean' | 'cut' }
  /** A line that is no JSON; the watch goes on. */
  | { readonly type: 'garbage-line' }
  /** Any line, its newline added; the watch goes on. */
  | { readonly type: 'line'; readonly text: string }
  /** What is no chunk where a chunk should begin; then the connection ends. */
  | { readonly type: 'bad-chunk' }
  /** An ERROR event with this code; then the body ends. */
  | { readonly type: 'error-event'; readonly code: number }
  /** Nothing more is sent, no bookmark and no end, and the connection stays. */
  | { readonly type: 'silence' }
  /** The last events are sent again, with their old resourceVersions; the watch goes on. */
  | { readonly type: 'repeat-events'; readonly count: number }

/** Which requests are meant; absent: any. */
export interface RequestFilter {
  readonly kind?: RequestKind | readonly RequestKind[]
  readonly resource?: ResourceName
}

export interface MisbehaviourPlan extends RequestFilter {
  /** How many matching requests; default 1. */
  readonly times?: number
}
