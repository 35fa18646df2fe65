import { concat, concatMap, map, type Observable, of, type SchedulerLike, takeWhile } from 'rxjs'
import type { ApiServer, SourceItem } from '../../ports/api-server.js'
import { readAnswer } from './answer.js'
import { backoffMs, type Limits, type Next, stepByStep } from './kind-machine.js'
import { sourceNotice } from './watch-outage.js'
import type { WatchedKind } from './watch-kind.js'

interface OptionalKindContext {
  readonly api: ApiServer
  readonly watched: WatchedKind
  readonly scheduler: SchedulerLike
  /** From 0 to 1. */
  readonly random: () => number
  readonly limits: Pick<Limits, 'idleLimitMs' | 'backoff' | 'relistMs'>
}

/** Why a server cannot be asked for a kind: it serves none of its versions, or not to this user. */
type Lack = 'not served' | 'forbidden'

interface Search {
  /** How often in a row there was no answer. */
  readonly failures: number
  /** What was said last: it is said once. */
  readonly said?: Lack
}

/**
 * Watches a kind that a server may not have, or may keep from this user, and that one can do without: its paths are asked for
 * first, newest version first. `watch` is then given the one that is served. Else one notice says so, and the server is asked
 * again about as often as everything is listed again. No answer at all is the other kinds' to report.
 */
export function watchOptionalKind(
  context: OptionalKindContext,
  watch: (served: WatchedKind) => Observable<SourceItem>,
): Observable<SourceItem> {
  const { watched, scheduler, random, limits } = context
  const paths = [watched.path, ...(watched.olderPaths ?? [])]

  const unavailable = (lack: Lack, { said }: Search): readonly (SourceItem | Next<Search>)[] => {
    const message =
      lack === 'forbidden'
        ? `permission denied: grant this user list and watch on ${resourceIn(watched.path)}; continuing without`
        : `the server does not serve ${resourceIn(watched.path)}; continuing without`
    const next: Next<Search> = {
      type: 'next',
      state: { failures: 0, said: lack },
      // An hour, where nothing is ever listed again either.
      waitMs: Math.min(limits.relistMs, MOST_WAIT_MS) * (0.75 + random() / 2),
    }
    if (said === lack) return [next]
    const observedAt = scheduler.now()
    const details = { path: watched.path }
    return [
      {
        type: 'notice',
        notice: sourceNotice('KIND_UNAVAILABLE', { kind: watched.kind, message, observedAt, details }),
      },
      next,
    ]
  }

  const ask = (state: Search, [path = '', ...others]: readonly string[]): Observable<SourceItem | Next<Search>> =>
    statusOf(context, path).pipe(
      concatMap((status): Observable<SourceItem | Next<Search>> | readonly (SourceItem | Next<Search>)[] => {
        if (status === 200) return watch({ ...watched, path })
        if (status === 404) return others.length > 0 ? ask(state, others) : unavailable('not served', state)
        if (status === 403) return unavailable('forbidden', state)
        const failures = state.failures + 1
        const waitMs = backoffMs(limits.backoff, failures, random())
        return [{ type: 'next', state: { ...state, failures }, waitMs }]
      }),
    )

  return stepByStep<Search, SourceItem>({ failures: 0 }, (state) => ask(state, paths), scheduler)
}

const MOST_WAIT_MS = 3_600_000

/** `servicecidrs.networking.k8s.io`, as kubectl names it. */
const resourceIn = (path: string): string => path.replace(/^\/apis\/([^/]+)\/[^/]+\/(.+)$/, '$2.$1')

/** What a list of one object is answered with; undefined: there is no answer. */
function statusOf({ api, scheduler, limits }: OptionalKindContext, path: string): Observable<number | undefined> {
  const asked = readAnswer(api, { path, query: { limit: '1' } }, { idleLimitMs: limits.idleLimitMs, scheduler })
  return concat(
    asked.pipe(
      map((part) => {
        if (part.type === 'opened') return 200
        return part.type === 'ended' && part.ending.type === 'refused' ? part.ending.status : undefined
      }),
    ),
    of(undefined),
  ).pipe(takeWhile((_, index) => index === 0))
}
