import type { JsonObject, ObjectKind } from '../../model/kubernetes-object.js'
import type { LogEntry } from '../../model/record.js'
import type { SourceItem, WatchStatus } from '../../ports/api-server.js'
import type { Failure } from './watch-failure.js'

/** What is reported of the watch of one kind, besides its events. Each gives the items to send. */
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
  let phase: WatchStatus['phase'] | undefined
  let loss: Loss | undefined
  const unreadable = new Set<string>()

  const status = (rest: Omit<WatchStatus, 'kind' | 'heardAt'>): SourceItem => {
    if (heardAt !== undefined) saidAt = heardAt
    phase = rest.phase
    return { type: 'status', status: { kind, ...rest, ...(heardAt !== undefined && { heardAt }) } }
  }

  return {
    connecting: () => (phase === 'connecting' ? [] : [status({ phase: 'connecting' })]),
    opened(current) {
      openedAt = now()
      heardAt = openedAt
      return [status({ phase: current })]
    },
    heard(current) {
      heardAt = now()
      const items: SourceItem[] = []
      if (loss !== undefined && heardAt - openedAt >= settledMs) {
        items.push({ type: 'notice', notice: resumedNotice(loss, { kind, openedAt, now: heardAt }) })
        loss = undefined
      }
      if (heardAt - saidAt >= heardEveryMs) items.push(status({ phase: current }))
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

/** A time without a watch: one notice at its beginning and one at its end, however many attempts are made. */
interface Loss {
  /** Milliseconds since 1970 UTC. */
  readonly since: number
  /** How often each failure was met. */
  readonly causes: Readonly<Record<string, number>>
}

/** Adds a failure to the loss under way, or begins one with a notice. */
function withFailure(
  loss: Loss | undefined,
  failure: Failure,
  { kind, resourceVersion, now }: { kind: ObjectKind; resourceVersion: string | undefined; now: number },
): { readonly loss: Loss; readonly notice?: Notice } {
  const { code } = failure
  const causes = { ...loss?.causes, [code]: (loss?.causes[code] ?? 0) + 1 }
  if (loss !== undefined) return { loss: { ...loss, causes } }
  const details = { cause: code, ...(resourceVersion !== undefined && { resourceVersion }) }
  const notice = sourceNotice('WATCH_LOST', { kind, message: failure.message, observedAt: now, details })
  return { loss: { since: now, causes }, notice }
}

/** The notice that ends a loss. `openedAt`: since when the watch is what it should be. */
function resumedNotice(
  { since, causes }: Loss,
  { kind, openedAt, now }: { kind: ObjectKind; openedAt: number; now: number },
): Notice {
  const lostForMs = openedAt - since
  const attempts = Object.values(causes).reduce((sum, count) => sum + count, 0)
  const met = Object.entries(causes)
    .map(([code, count]) => `${count} ${code}`)
    .join(', ')
  const message = `watch resumed after ${Math.round(lostForMs / 1000)} s (${met})`
  return sourceNotice('WATCH_RESUMED', { kind, message, observedAt: now, details: { lostForMs, attempts, causes } })
}

/** What a source has to tell beside the events, by the codes of its notices in the log. Each names its kind in `details`. */
export const SOURCE_NOTICE_CODES = {
  LIST_BEGUN: 'the changes found by a list follow; until LIST or RELIST the state of the kind is incomplete',
  LIST: 'the first list of a kind is complete: how many objects, and what changed',
  RELIST: 'a kind was relisted: why, and what had changed since',
  WATCH_LOST: 'the watch of a kind is down: why, and since which resourceVersion',
  WATCH_RESUMED: 'the watch of a kind resumed: how long it was down, how many attempts, and their errors',
  KIND_UNAVAILABLE:
    'the server does not serve this kind, or not to this user: the source goes on without it, and asks again about once an hour',
  OBJECT_UNREADABLE:
    "the server sent something else than an object of the kind, or one that is too deep or too large: it is skipped, and the object's last usable version stays in effect",
} as const
export type SourceNoticeCode = keyof typeof SOURCE_NOTICE_CODES

type Notice = Extract<LogEntry, { type: 'notice' }>

export const sourceNotice = (
  code: SourceNoticeCode,
  {
    kind,
    message,
    observedAt,
    details = {},
  }: {
    readonly kind: ObjectKind
    readonly message: string
    readonly observedAt: number
    readonly details?: JsonObject
  },
): Notice => ({ type: 'notice', code, message: `${kind}: ${message}`, observedAt, details: { kind, ...details } })
