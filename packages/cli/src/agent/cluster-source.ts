import type { ChangeLogReader, KnownObjects, KubernetesObject, ObjectKind, SourceItem } from '@pointsman/core'
import {
  ChangeLogError,
  connectApiServer,
  type ConnectOptions,
  guardCluster,
  kubernetesSource,
  openChangeLog,
  type RequestReport,
  type ResumePoints,
} from '@pointsman/core/io'
import { asyncScheduler, defer, finalize, merge, mergeMap, type Observable, Subject } from 'rxjs'
import type { Context } from '../context.js'
import { CliError } from '../errors.js'

export interface ClusterSourceOptions {
  readonly server: Pick<ConnectOptions, 'kubeconfig' | 'context' | 'master' | 'otherwise' | 'qps' | 'burst'>
  /** The change log's file. */
  readonly log: string
  /** The Node to follow; absent: all. */
  readonly nodeName?: string
  readonly version: string
  /** What the log knows. */
  readonly known: Pick<KnownObjects, 'of'>
  readonly resume: ResumePoints
  /** Fails with a CliError when the server turns out to be another cluster than this; absent: whichever it is. */
  readonly clusterId?: string | undefined
  readonly onRequest?: (report: RequestReport) => void
  readonly onWarning: (message: string) => void
}

/**
 * What a cluster says, from where a log ends. Fails with an ApiServerError where it is not known which cluster, or how to be
 * let in.
 */
export function clusterSource(options: ClusterSourceOptions, context: Context): Observable<SourceItem> {
  const { server, nodeName, version, known, resume, clusterId, onRequest, onWarning } = options
  const wrong = (id: string): CliError =>
    new CliError(
      'USAGE',
      `${options.log}: the log belongs to the cluster ${clusterId ?? ''}, the API server to the cluster ${id} (uid of Service default/kubernetes): give another --log`,
    )
  const connect = () =>
    connectApiServer({
      ...server,
      env: context.env,
      userAgent: `pointsman/${version}`,
      ...(onRequest && { onRequest }),
      onWarning,
      now: context.now,
    })
  return defer(connect).pipe(
    mergeMap((api) => {
      const lastVersions = createLastVersions(options.log)
      const other = new Subject<never>()
      const items = kubernetesSource({
        api: clusterId === undefined ? api : guardCluster(api, { clusterId, onOther: (id) => other.error(wrong(id)) }),
        ...(nodeName !== undefined && { nodeName }),
        resume,
        known: known.of,
        lastVersion: (kind, { namespace, name }) => lastVersions.of({ kind, namespace, name }),
        scheduler: asyncScheduler,
        random: Math.random,
      })
      return merge(items, other).pipe(
        finalize(() => {
          lastVersions.close()
          void api.close()
        }),
      )
    }),
  )
}

interface LastVersions {
  /** An object as the log holds it. Undefined where the log cannot be read: then a deletion says no more than the name. */
  readonly of: (object: {
    readonly kind: ObjectKind
    readonly namespace: string
    readonly name: string
  }) => KubernetesObject | undefined
  readonly close: () => void
}

function createLastVersions(file: string): LastVersions {
  let log: ChangeLogReader | undefined
  return {
    of(object) {
      try {
        log ??= openChangeLog(file)
        for (const record of log.records({ types: ['object'], object, descending: true, limit: 1 })) {
          if (record.type === 'object') return record.object
        }
      } catch (error) {
        if (!(error instanceof ChangeLogError)) throw error
      }
      return undefined
    },
    close: () => log?.close(),
  }
}
