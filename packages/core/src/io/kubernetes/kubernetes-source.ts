import { defer, merge, type Observable, type SchedulerLike } from 'rxjs'
import { isJsonObject } from '../../model/json-value.js'
import { OBJECT_KINDS, type ObjectKind } from '../../model/kubernetes-object.js'
import type { LogPosition } from '../../ports/change-log.js'
import type { ApiAnswer, ApiServer, SourceItem } from '../../ports/api-server.js'
import { parseJson } from './answer.js'
import type { Limits } from './kind-machine.js'
import type { KnownObjects } from './known-objects.js'
import { ApiServerError } from './server/server-settings.js'
import { watchOptionalKind } from './optional-kind.js'
import { type WatchedKind, watchedKinds, watchKind } from './watch-kind.js'
import { createWatchReport, type ReportPace } from './watch-outage.js'

export interface KubernetesSourceOptions {
  readonly api: ApiServer
  /** The Node to watch; absent: all. */
  readonly nodeName?: string
  /** What is watched. Default: NEEDED_KINDS. A server may lack the others, or keep them from this user. */
  readonly kinds?: readonly ObjectKind[]
  /** Where each kind's watch goes on, as `resumePoints` finds it in a log; a kind that is absent is listed first. */
  readonly resume?: { readonly [kind in ObjectKind]?: { readonly resourceVersion: string } }
  /** What the log holds. The source's own from now on: it learns what the source says, as it says it. */
  readonly known: KnownObjects
  /** All time: pauses, limits, `observedAt`. */
  readonly scheduler: SchedulerLike
  /** From 0 to 1, as Math.random. */
  readonly random: () => number
  /** Objects in a page of a list. */
  readonly pageSize?: number
  /** Whether lists are asked for as streams first; a server that cannot is asked for pages. */
  readonly streamingLists?: boolean
  readonly limits?: Partial<SourceLimits>
}

export interface SourceLimits extends Omit<Limits, 'pageSize'>, ReportPace {}

const DEFAULT_LIMITS: SourceLimits = {
  backoff: { baseMs: 1000, capMs: 30_000 },
  // A server sends bookmarks about once a minute: two were missed, and half a minute more.
  idleLimitMs: 150_000,
  quickMs: 5000,
  steadyMs: 60_000,
  relistMs: 3_600_000,
  settledMs: 60_000,
  heardEveryMs: 5000,
  maxLineBytes: 16 * 1024 * 1024,
  maxPageBytes: 256 * 1024 * 1024,
  listIdleMs: 30_000,
  pageMs: 120_000,
  listMs: 600_000,
  // Ten times what Kubernetes supports of Services, and twice the endpoint slices of its largest cluster.
  maxObjects: 200_000,
}

/** client-go's, and that of kubectl. */
const PAGE_SIZE = 500

/**
 * What an API server says of Services, EndpointSlices, Nodes and, where asked for, ServiceCIDRs, as kube-proxy 1.36 asks for them: each kind in a loop of its
 * own that nothing ends but unsubscribing, which closes everything at once. Never completes, never fails: what goes wrong is
 * a status, and a notice where the log has to know (SOURCE_NOTICE_CODES).
 *
 * Of a kind the resourceVersions rise. A list becomes the differences to what is known, then a notice, then a BOOKMARK with
 * `initialEventsEnd`. An object goes back to an older version only where a list that is not older than what is known has it
 * so, or where the server's history was replaced: a cluster that was restored from a backup.
 */
export function kubernetesSource(options: KubernetesSourceOptions): Observable<SourceItem> {
  const { nodeName, kinds, resume = {}, streamingLists = true, pageSize = PAGE_SIZE } = options
  const { api, known, scheduler, random } = options
  const limits = { ...DEFAULT_LIMITS, ...options.limits, pageSize }

  const watchOne = (watched: WatchedKind): Observable<SourceItem> =>
    defer(() => {
      const report = createWatchReport(watched.kind, () => scheduler.now(), limits)
      return watchKind(
        { api, watched, known: known.of(watched.kind), report, scheduler, random, limits },
        { resourceVersion: resume[watched.kind]?.resourceVersion, streams: streamingLists },
      )
    })
  return merge(
    ...watchedKinds(nodeName, kinds).map((watched) =>
      watched.olderPaths === undefined
        ? watchOne(watched)
        : watchOptionalKind({ api, watched, scheduler, random, limits }, watchOne),
    ),
  )
}

export type ResumePoints = { readonly [kind in ObjectKind]?: { readonly resourceVersion: string } }

/**
 * Where a log lets each watch go on: the last position that everything before is known of. `newestFirst` are a log's positions
 * (no more are read than are needed), `received` the kinds whose list it holds whole. A kind is absent where only a new list
 * will do: it was never received whole, or the log ends within a list, whose events stand for no position.
 */
export function resumePoints(newestFirst: Iterable<LogPosition>, received: ReadonlySet<ObjectKind>): ResumePoints {
  const open = new Set(OBJECT_KINDS.filter((kind) => received.has(kind)))
  const newest: { [kind in ObjectKind]?: { readonly resourceVersion: string } } = {}
  if (open.size === 0) return newest
  for (const record of newestFirst) {
    const mark = markOf(record)
    if (mark === undefined || !open.has(mark.kind)) continue
    const { type, kind, resourceVersion } = mark
    if (type === 'list-begun') delete newest[kind]
    else if (newest[kind] === undefined && resourceVersion !== '') newest[kind] = { resourceVersion }
    // Events before a mark that all was well say nothing more; those after it may still be of a list that was begun.
    if (type !== 'event') open.delete(kind)
    if (open.size === 0) break
  }
  return newest
}

/** What a record says about where a kind's watch stood. */
interface Mark {
  readonly type: 'event' | 'whole' | 'list-begun'
  readonly kind: ObjectKind
  readonly resourceVersion: string
}

function markOf(record: LogPosition): Mark | undefined {
  if (record.type === 'object') return { ...pick(record), type: 'event' }
  if (record.type === 'bookmark') return { ...pick(record), type: 'whole' }
  const { code, details = {} } = record
  const { resourceVersion } = details
  const kind = OBJECT_KINDS.find((one) => one === details['kind'])
  if (kind === undefined) return undefined
  if (code === 'LIST_BEGUN') return { type: 'list-begun', kind, resourceVersion: '' }
  if ((code !== 'LIST' && code !== 'RELIST') || typeof resourceVersion !== 'string') return undefined
  // A list that was not compared with what the log held: what was gone by then is not in it.
  if (details['unread'] === true) return { type: 'list-begun', kind, resourceVersion: '' }
  return { type: 'whole', kind, resourceVersion }
}

const pick = ({ kind, resourceVersion }: Omit<Mark, 'type'>): Omit<Mark, 'type'> => ({ kind, resourceVersion })

interface ClusterGuard {
  /** The cluster that it should be: the uid of its Service default/kubernetes. */
  readonly clusterId: string
  /** Told once that it is another one. */
  readonly onOther: (clusterId: string) => void
}

/**
 * The same server, asked first of all which cluster it is: positions of one cluster mean nothing in another, and a watch from
 * one would be answered all the same. Of another cluster nothing is ever read. One that does not tell, because it has no such
 * Service or the user may not see it, is taken for the right one.
 */
export function guardCluster(api: ApiServer, { clusterId, onOther }: ClusterGuard): ApiServer {
  let checked: Promise<void> | undefined
  const check = async (): Promise<void> => {
    const found = await clusterIdOf(api)
    if (found === undefined || found === clusterId) return
    onOther(found)
    // Nobody is answered any more.
    await new Promise<never>(() => undefined)
  }
  return {
    ...api,
    async get(request, signal) {
      checked ??= check()
      try {
        await checked
      } catch (error) {
        checked = undefined
        throw error
      }
      return api.get(request, signal)
    },
  }
}

async function clusterIdOf(api: ApiServer): Promise<string | undefined> {
  // A list, because a user who may list Services need not be allowed to get one.
  const query = { fieldSelector: 'metadata.name=kubernetes', limit: '1' }
  const request = { path: '/api/v1/namespaces/default/services', query }
  const late = new AbortController()
  const fail = (detail: string): ApiServerError => new ApiServerError('TIMED_OUT', { subject: api.url, detail })
  const timer = setTimeout(
    () => late.abort(fail(`not which cluster it is within ${PATIENCE_MS / 1000} s`)),
    PATIENCE_MS,
  )
  const answer = await api.get(request, late.signal).catch((error: unknown) => {
    clearTimeout(timer)
    throw error
  })
  const body = await bytesOf(answer).finally(() => clearTimeout(timer))
  const parsed = parseJson(body)
  const list = answer.status === 200 && 'value' in parsed && isJsonObject(parsed.value) ? parsed.value : {}
  const object: unknown = Array.isArray(list['items']) ? list['items'][0] : undefined
  const metadata = isJsonObject(object) && isJsonObject(object['metadata']) ? object['metadata'] : {}
  return metadata['name'] === 'kubernetes' && typeof metadata['uid'] === 'string' ? metadata['uid'] : undefined
}

async function bytesOf({ body }: ApiAnswer): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  let length = 0
  for await (const bytes of body) {
    parts.push(bytes)
    length += bytes.length
    // What is as long as this is no answer to the question: it is not JSON when it is cut.
    if (length > MOST_BYTES) break
  }
  return Buffer.concat(parts)
}

const PATIENCE_MS = 30_000
const MOST_BYTES = 4 * 1024 * 1024
