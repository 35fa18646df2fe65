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
}
