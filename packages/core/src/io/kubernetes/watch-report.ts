import type { ObjectKind } from '../../model/kubernetes-object.js'
import type { SourceItem, WatchStatus } from '../../ports/live-source.js'
import { type Loss, resumedNotice, withFailure } from './loss.js'
import { sourceNotice } from './source-notices.js'
import type { Failure } from './watch-failure.js'

/** What is told of the watch of one kind, beside its events. Each gives the items to send. */
export interface WatchReport {
  connecting(): readonly SourceItem[]
  /** The server answers. */
  opened(phase: 'listing' | 'watching'): readonly SourceItem[]
  /** Something came that could be used. Said from time to time, not each time. */
  heard(phase: 'listing' | 'watching'): readonly SourceItem[]
  unreadable(message: string): readonly SourceItem[]
  lost(failure: Failure, next: { readonly waitMs: number; readonly resourceVersion?: string }): readonly SourceItem[]
}

export interface ReportPace {
  /** The time since something was last heard is said so often at most, in milliseconds. */
  readonly heardEveryMs: number
  /**
   * A watch that was lost counts as resumed when it has lived so long, in milliseconds, and brings something: one that comes and
   * goes all the time is one loss.
   */
  readonly settledMs: number
}

// A server that sends nothing but nonsense must not fill the log with it.
const MOST_UNREADABLE = 1000

export function createWatchReport(
  kind: ObjectKind,
  now: () => number,
  { heardEveryMs, settledMs }: ReportPace,
): WatchReport {
  let heardAt: number | undefined
  let saidAt = 0
  let openedAt = 0
  let loss: Loss | undefined
  const unreadable = new Set<string>()

  const status = (rest: Omit<WatchStatus, 'kind' | 'heardAt'>): SourceItem => {
    if (heardAt !== undefined) saidAt = heardAt
    return { type: 'status', status: { kind, ...rest, ...(heardAt !== undefined && { heardAt }) } }
  }

  return {
    connecting: () => [status({ phase: 'connecting' })],
    opened(phase) {
      openedAt = now()
      heardAt = openedAt
      return [status({ phase })]
    },
    heard(phase) {
      heardAt = now()
      const items: SourceItem[] = []
      if (loss !== undefined && heardAt - openedAt >= settledMs) {
        items.push({ type: 'notice', notice: resumedNotice(loss, { kind, openedAt, now: heardAt }) })
        loss = undefined
      }
      if (heardAt - saidAt >= heardEveryMs) items.push(status({ phase }))
      return items
    },
    unreadable(message) {
      if (unreadable.has(message) || unreadable.size >= MOST_UNREADABLE) return []
      unreadable.add(message)
      return [{ type: 'notice', notice: sourceNotice('OBJECT_UNREADABLE', { kind, message, observedAt: now() }) }]
    },
    lost(failure, { waitMs, resourceVersion }) {
      const { code, message } = failure
      const told = withFailure(loss, failure, { kind, resourceVersion, now: now() })
      loss = told.loss
      return [
        ...(told.notice === undefined ? [] : [{ type: 'notice' as const, notice: told.notice }]),
        status({ phase: 'lost', error: { code, message }, retryAt: now() + waitMs }),
      ]
    },
  }
}
