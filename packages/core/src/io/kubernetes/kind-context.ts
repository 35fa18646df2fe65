import type { SchedulerLike } from 'rxjs'
import type { KubernetesObject, ObjectKind } from '../../model/kubernetes-object.js'
import type { ApiServer } from '../../ports/api-server.js'
import type { Patience } from './kind-machine.js'
import type { KnownVersion, RecentObjects } from './recent-objects.js'
import type { WatchReport } from './watch-report.js'
import type { WatchedKind } from './watched-kind.js'

/** What the steps of one kind share. */
export interface KindContext {
  readonly api: ApiServer
  readonly watched: WatchedKind
  readonly recent: RecentObjects
  readonly report: WatchReport
  readonly known: (kind: ObjectKind) => Iterable<KnownVersion>
  readonly lastVersion: (
    kind: ObjectKind,
    object: { readonly namespace: string; readonly name: string },
  ) => KubernetesObject | undefined
  readonly scheduler: SchedulerLike
  readonly random: () => number
  readonly limits: Limits
}

export interface Limits extends Patience {
  readonly pageSize: number
  readonly maxLineBytes: number
  readonly maxPageBytes: number
  /** A list that streams brings an object, or its end, at least so often, in milliseconds: bytes alone do not count. */
  readonly listIdleMs: number
  /** A page is whole within this time, in milliseconds. */
  readonly pageMs: number
  /** A list is whole within this time, in milliseconds. A server's own history, and so its tokens, is shorter. */
  readonly listMs: number
  /** Objects of a kind that are listed, or known. */
  readonly maxObjects: number
}
