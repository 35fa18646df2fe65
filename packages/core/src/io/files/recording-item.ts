import type { WatchEvent } from '../../model/watch-event.js'

/** Where something stands: messages say `FILE:LINE`. */
export interface Place {
  readonly file: string
  readonly line: number
}

interface Timed {
  /** Milliseconds since 1970 UTC: its own time, or that of the event before it. */
  readonly observedAt: number
}

/** What a recording holds, in the order in which it happened. */
export type RecordingItem =
  | ({ readonly type: 'event'; readonly event: WatchEvent } & Place)
  | ({ readonly type: 'passed-over'; readonly kind: string } & Place & Timed)
  | ({ readonly type: 'watch-error'; readonly message: string; readonly code?: number } & Place & Timed)
  | ({ readonly type: 'bad-line'; readonly cause: string } & Place & Timed)

export const timeOfItem = (item: RecordingItem): number =>
  item.type === 'event' ? item.event.observedAt : item.observedAt
