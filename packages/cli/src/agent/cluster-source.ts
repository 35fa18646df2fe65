import {
  type ObjectKind,
  record,
  type Recorded,
  type Recorder,
  type SourceItem,
  type WatchStatus,
} from '@pointsman/core'
import {
  ApiServerError,
  connectApiServer,
  type ConnectOptions,
  guardCluster,
  type KnownObjects,
  kubernetesSource,
  type RequestReport,
  type ResumePoints,
} from '@pointsman/core/io'
import {
  asyncScheduler,
  defer,
  filter,
  finalize,
  identity,
  map,
  merge,
  mergeMap,
  type Observable,
  retry,
  Subject,
  tap,
  throwError,
  timer,
} from 'rxjs'
import type { Context } from '../context.js'
import { CliError } from '../errors.js'

interface ClusterSourceOptions {
  readonly server: Pick<ConnectOptions, 'kubeconfig' | 'context' | 'master' | 'otherwise' | 'client' | 'qps' | 'burst'>
  /** The change log's file. */
  readonly log: string
  /** The Node to follow; absent: all. */
  readonly nodeName?: string
  /** Default: those that every rule system needs. */
  readonly kinds?: readonly ObjectKind[]
  readonly version: string
  /** What the log holds; kept up from the first item on. */
  readonly known: KnownObjects
  readonly resume: ResumePoints
  /** Fails with a CliError when the server turns out to be another cluster than this; absent: whichever it is. */
  readonly clusterId?: string | undefined
  /** A kubeconfig that cannot be used is read again so often, in milliseconds; absent: it ends the source. */
  readonly retryMs?: number
  /** Everything is listed again about so often, in milliseconds; Infinity: never. Default: an hour. */
  readonly relistMs?: number | undefined
  readonly onRequest?: (report: RequestReport) => void
  readonly onWarning: (message: string) => void
}

/**
 * What a cluster says, from where a log ends. Fails with an ApiServerError where it is not known which cluster, or how to be
 * let in.
 */
export function clusterSource(options: ClusterSourceOptions, context: Context): Observable<SourceItem> {
  const { server, nodeName, kinds, version, known, resume, clusterId, retryMs, onRequest, onWarning } = options
  const wrong = (id: string): CliError =>
    new CliError(
      'USAGE',
      `${options.log}: the log is of cluster ${clusterId ?? ''}, the API server of cluster ${id} (uid of Service default/kubernetes): use another --log`,
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
    retryMs === undefined ? identity : retry({ delay: patiently(retryMs, onWarning) }),
    mergeMap((api) => {
      const other = new Subject<never>()
      const items = kubernetesSource({
        api: clusterId === undefined ? api : guardCluster(api, { clusterId, onOther: (id) => other.error(wrong(id)) }),
        ...(nodeName !== undefined && { nodeName }),
        ...(kinds && { kinds }),
        resume,
        known,
        scheduler: asyncScheduler,
        random: Math.random,
        ...(options.relistMs !== undefined && { limits: { relistMs: options.relistMs } }),
      })
      return merge(items, other).pipe(finalize(() => void api.close()))
    }),
  )
}

/** Warns of each cause once. What is no fault of the kubeconfig ends the source. */
function patiently(retryMs: number, onWarning: (message: string) => void): (error: unknown) => Observable<unknown> {
  const told = new Set<string>()
  return (error) => {
    if (!(error instanceof ApiServerError)) return throwError(() => error)
    const message = `${error.message}; the rules follow the logged state; retrying every ${retryMs / 1000} s`
    if (!told.has(message)) onWarning(message)
    told.add(message)
    return timer(retryMs)
  }
}

type SourceNotice = Extract<SourceItem, { type: 'notice' }>['notice']

interface RecordedEventsOptions {
  readonly source: Observable<SourceItem>
  readonly recorder: Recorder
  readonly onStatus: (status: WatchStatus) => void
  /** Told of each notice, which is in the log by then or on its way. */
  readonly onNotice?: (notice: SourceNotice) => void
}

/** What a live source says, written to the log in its order; the events of it, as they may have their effect. */
export function recordedEvents({ source, recorder, onStatus, onNotice }: RecordedEventsOptions): Observable<Recorded> {
  return source.pipe(
    tap((item) => {
      if (item.type === 'notice') {
        recorder.put(item.notice)
        onNotice?.(item.notice)
      } else if (item.type === 'status') onStatus(item.status)
    }),
    filter((item) => item.type === 'event'),
    map(({ event }) => event),
    record(recorder),
  )
}
