import {
  type ApiServer,
  type Dataplane,
  NEEDED_KINDS,
  OBJECT_KINDS,
  type ApiWriter,
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
  type SlicesServed,
  withOlderSlices,
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
  take,
  takeUntil,
  tap,
  throwError,
  timer,
} from 'rxjs'
import type { Context } from '../context.js'
import { CliError } from '../errors.js'

/** The kinds that the rules of a data plane are made from. */
export const watchedBy = ({ usesServiceCidrs }: Pick<Dataplane, 'usesServiceCidrs'>): readonly ObjectKind[] =>
  usesServiceCidrs === true ? OBJECT_KINDS : NEEDED_KINDS

interface ClusterSourceOptions {
  readonly server: Pick<ConnectOptions, 'kubeconfig' | 'context' | 'master' | 'otherwise' | 'client' | 'qps' | 'burst'>
  /** The change log's file. */
  readonly log: string
  /** The Node to follow; absent: all. */
  readonly nodeName?: string
  /** Default: those that every rule system needs. */
  readonly kinds?: readonly ObjectKind[]
  /** Endpoints are followed where the server has no EndpointSlices. Default: they are not. */
  readonly endpoints?: boolean
  readonly version: string
  /** What the log holds; kept up from the first item on. */
  readonly known: KnownObjects
  readonly resume: ResumePoints
  /** Which cluster the log is of; absent: whichever it is. */
  readonly clusterId?: string | undefined
  /** When the server is another cluster's: fail with a CliError, or warn and list all that this cluster has. Default: fail. */
  readonly ofOther?: 'fail' | 'list'
  /** A kubeconfig that cannot be used is read again so often, in milliseconds; absent: it ends the source. */
  readonly retryMs?: number
  /** Everything is listed again about so often, in milliseconds; Infinity: never. Default: an hour. */
  readonly relistMs?: number | undefined
  readonly onRequest?: (report: RequestReport) => void
  readonly onWarning: (message: string) => void
  /** Where to write to, once that is known. */
  readonly onConnected?: (writer: ApiWriter) => void
}

/**
 * What a cluster says, from where a log ends. Fails with an ApiServerError where it is not known which cluster, or how to be
 * let in.
 */
export function clusterSource(options: ClusterSourceOptions, context: Context): Observable<SourceItem> {
  const { server, nodeName, kinds, version, known, resume, clusterId, retryMs, onRequest, onWarning } = options
  const otherText = (id: string): string =>
    `${options.log}: the log is of cluster ${clusterId ?? ''}, the API server of cluster ${id} (uid of Service default/kubernetes)`
  const wrong = (id: string): CliError => new CliError('USAGE', `${otherText(id)}: use another --log`)
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
    tap((api) => options.onConnected?.(api)),
    map((api) =>
      withOlderSlices(api, { endpoints: options.endpoints === true, onServed: (served) => onWarning(SERVED[served]) }),
    ),
    mergeMap((api) => {
      const other = new Subject<string>()
      const itemsFrom = (from: ApiServer, points: ResumePoints): Observable<SourceItem> =>
        kubernetesSource({
          api: from,
          ...(nodeName !== undefined && { nodeName }),
          ...(kinds && { kinds }),
          resume: points,
          known,
          scheduler: asyncScheduler,
          random: Math.random,
          ...(options.relistMs !== undefined && { limits: { relistMs: options.relistMs } }),
        })
      const guarded = clusterId === undefined ? api : guardCluster(api, { clusterId, onOther: (id) => other.next(id) })
      // Positions of one cluster mean nothing in another: everything is listed anew, as what differs from what is known.
      const anew = (id: string): Observable<SourceItem> => {
        if (options.ofOther !== 'list') throw wrong(id)
        onWarning(`${otherText(id)}: listing everything, and following the API server; use another --log`)
        return itemsFrom(api, {})
      }
      const items = itemsFrom(guarded, resume).pipe(takeUntil(other))
      return merge(other.pipe(take(1), mergeMap(anew)), items).pipe(finalize(() => void api.close()))
    }),
  )
}

const SERVED: { readonly [served in SlicesServed]: string } = {
  v1: 'the API server has EndpointSlices of discovery.k8s.io/v1: following those',
  v1beta1: 'the API server has no EndpointSlices of discovery.k8s.io/v1: following those of v1beta1',
  Endpoints: 'the API server has no EndpointSlices: following Endpoints in their place',
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

export type SourceNotice = Extract<SourceItem, { type: 'notice' }>['notice']

interface RecordedEventsOptions {
  readonly source: Observable<SourceItem>
  readonly recorder: Recorder
  /**
   * The Node that rules are for: as in kube-proxy 1.36, its deletion changes no rule. It is recorded as a notice, NODE_DELETED, and the
   * Node's last version stays in the log's state until the Node is there again. Absent: deletions of Nodes are events.
   */
  readonly keepNode?: string
  readonly onStatus: (status: WatchStatus) => void
  /** Told of each notice, which is in the log by then or on its way. */
  readonly onNotice?: (notice: SourceNotice) => void
}

/** What a live source says, written to the log in its order; the events of it, as they may have their effect. */
export function recordedEvents(options: RecordedEventsOptions): Observable<Recorded> {
  const { source, recorder, keepNode, onStatus, onNotice } = options
  return source.pipe(
    map((item) => (keepNode === undefined ? item : withNodeKept(item, keepNode))),
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

function withNodeKept(item: SourceItem, name: string): SourceItem {
  if (item.type !== 'event' || item.event.type !== 'DELETED') return item
  const { object, observedAt } = item.event
  if (object.kind !== 'Node' || object.metadata.name !== name) return item
  const message = `Node ${name} was deleted: its last addresses, pod CIDRs and zone stay in effect until it is there again`
  const { uid } = object.metadata
  const details = { kind: 'Node', name, ...(typeof uid === 'string' && { uid }) }
  return { type: 'notice', notice: { type: 'notice', observedAt, code: 'NODE_DELETED', message, details } }
}
