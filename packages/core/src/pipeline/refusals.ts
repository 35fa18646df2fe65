import { codeOf, shortList } from '../model/language.js'
import type { ServicePortName } from '../model/names.js'
import type { LogEntry } from '../model/record.js'
import type { RefusedService } from '../ports/backend.js'

/** A service port whose rules are refused. Times in milliseconds since 1970 UTC. */
export interface Refusal extends RefusedService {
  /** Since when its rules have not been those of the state, as far as this process knows. */
  readonly since: number
  /** When it is tried again; sooner if it changes. */
  readonly retryAt: number
}

/** What a sync changed about refusals. */
export interface RefusalChanges {
  /** All there are after it, oldest first. */
  readonly current: readonly Refusal[]
  readonly begun: readonly Refusal[]
  /** Service ports that have their rules now, or are gone. */
  readonly ended: readonly ServicePortName[]
}

/** Service ports that the backend refused, each retried with a backoff of its own. */
export interface Refusals {
  /** Those that are to be tried again by now. */
  due(now: number): readonly ServicePortName[]
  /** Milliseconds until the next one is due; undefined: none is refused. */
  nextInMs(now: number): number | undefined
  after(sync: SyncedRefusals): RefusalChanges
}

export interface SyncedRefusals {
  readonly refused: readonly RefusedService[]
  /** What the sync was asked for. */
  readonly requested: ReadonlySet<ServicePortName> | 'all'
  /** Of that, service ports that are not what they were when they were tried before: their backoff begins anew. */
  readonly changed: ReadonlySet<ServicePortName>
  readonly at: number
}

export interface RefusalsOptions {
  /** The pause before the first retry; it doubles with each that follows. */
  readonly retryMs: number
  /** No pause is longer. */
  readonly maxRetryMs: number
}

export function createRefusals({ retryMs, maxRetryMs }: RefusalsOptions): Refusals {
  let known: ReadonlyMap<ServicePortName, Refusal & { readonly failures: number }> = new Map()

  return {
    due: (now) =>
      [...known.values()].flatMap(({ owner, retryAt }) => {
        // One that is further away than any pause is due as well: the clock was set back.
        return retryAt <= now + EARLY_MS || retryAt > now + maxRetryMs ? [owner] : []
      }),
    nextInMs(now) {
      let next: number | undefined
      for (const { retryAt } of known.values()) next = Math.min(next ?? maxRetryMs, retryAt - now)
      return next === undefined ? undefined : Math.max(0, next)
    },
    after({ refused, requested, changed, at }) {
      const before = known
      const current = refused.map(({ owner, error }) => {
        const last = before.get(owner)
        // Not tried: it waits on.
        if (last !== undefined && requested !== 'all' && !requested.has(owner)) return { ...last, error }
        const failures = last === undefined || changed.has(owner) ? 1 : last.failures + 1
        const pauseMs = Math.min(maxRetryMs, retryMs * 2 ** (failures - 1))
        return { owner, error, since: last?.since ?? at, retryAt: at + pauseMs, failures }
      })
      current.sort((a, b) => a.since - b.since || (a.owner < b.owner ? -1 : 1))
      known = new Map(current.map((refusal) => [refusal.owner, refusal]))
      return {
        current,
        begun: current.filter(({ owner }) => !before.has(owner)),
        ended: [...before.keys()].filter((owner) => !known.has(owner)),
      }
    },
  }
}

/** A timer may fire a moment before the clock shows its time. */
const EARLY_MS = 10

/** Notices that the engine puts into the log. A code is a contract: codes are added, not renamed. */
export const ENGINE_NOTICE_CODES = {
  SERVICES_REFUSED:
    'the rules of service ports cannot be planned, or the rule system rejects them: the previous rules stay in place, and the agent retries',
  SERVICES_ACCEPTED: 'service ports whose rules were refused have their rules now, or are gone',
} as const

/** What a log says of refusals that a sync began or ended: at most two notices, however many service ports they are about. */
export function refusalNotices(
  { begun, ended }: RefusalChanges,
  observedAt: number,
): readonly Extract<LogEntry, { type: 'notice' }>[] {
  const head = { type: 'notice', observedAt } as const
  const notices: Extract<LogEntry, { type: 'notice' }>[] = []
  const [first] = begun
  if (first !== undefined) {
    const owners = begun.map(({ owner }) => owner)
    notices.push({
      ...head,
      code: 'SERVICES_REFUSED',
      message: `the rules of ${shortList(owners, MAX_NAMED)} are refused, and the previous ones stay in place: ${first.error.message}`,
      details: {
        servicePorts: owners.slice(0, MAX_LISTED),
        count: owners.length,
        errors: begun
          .slice(0, MAX_ERRORS)
          .map(({ owner, error }) => ({ servicePort: owner, code: codeOf(error), message: error.message })),
      },
    })
  }
  if (ended.length > 0) {
    notices.push({
      ...head,
      code: 'SERVICES_ACCEPTED',
      message: `the rules of ${shortList(ended, MAX_NAMED)} are no longer refused`,
      details: { servicePorts: ended.slice(0, MAX_LISTED), count: ended.length },
    })
  }
  return notices
}

const MAX_NAMED = 5
const MAX_ERRORS = 20
const MAX_LISTED = 1000
