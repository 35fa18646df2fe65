import type { ObjectKind } from '../../model/kubernetes-object.js'
import { type Notice, sourceNotice } from './source-notices.js'
import type { Failure } from './watch-failure.js'

/** A time without a watch: one notice at its beginning and one at its end, however many attempts are made. */
export interface Loss {
  /** Milliseconds since 1970 UTC. */
  readonly since: number
  /** How often each failure was met. */
  readonly causes: Readonly<Record<string, number>>
}

/** Adds a failure to the loss under way, or begins one with a notice. */
export function withFailure(
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
export function resumedNotice(
  { since, causes }: Loss,
  { kind, openedAt, now }: { kind: ObjectKind; openedAt: number; now: number },
): Notice {
  const lostForMs = openedAt - since
  const attempts = Object.values(causes).reduce((sum, count) => sum + count, 0)
  const met = Object.entries(causes)
    .map(([code, count]) => `${count} ${code}`)
    .join(', ')
  const message = `watched again after ${Math.round(lostForMs / 1000)} s (${met})`
  return sourceNotice('WATCH_RESUMED', { kind, message, observedAt: now, details: { lostForMs, attempts, causes } })
}
