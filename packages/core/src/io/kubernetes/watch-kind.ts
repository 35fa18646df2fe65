import { isDeepStrictEqual } from 'node:util'
import { concat, concatMap, takeWhile, type Observable } from 'rxjs'
import { keepObject } from '../../model/keep-object.js'
import {
  compareResourceVersions,
  isOlderVersion,
  NEEDED_KINDS,
  type KubernetesObject,
  type ObjectKind,
} from '../../model/kubernetes-object.js'
import { assertNever } from '../../model/language.js'
import type { ApiRequest, SourceItem } from '../../ports/api-server.js'
import { limitSilence, readAnswer, readWatchLine, toLines, type LinePart, type WatchLine } from './answer.js'
import { streamingListRequest, watchRequest, watchTimeoutSeconds } from './api-requests.js'
import {
  afterStep,
  beginKind,
  stepByStep,
  stepEnded,
  stepOf,
  type KindContext,
  type KindState,
  type Next,
  type StepEnd,
  type StepPart,
} from './kind-machine.js'
import { keyOf, versionOf, type Difference } from './known-objects.js'
import { checkHistory, createListing, listInPages, type Listing, type WantedList } from './list.js'
import { failureOf, failureOfEnding, failureOfErrorEvent, type Failure } from './watch-failure.js'

/** Lists and watches one kind for as long as it is subscribed, whatever happens. Never completes, never fails. */
export function watchKind(
  context: KindContext,
  { resourceVersion, streams }: { readonly resourceVersion: string | undefined; readonly streams: boolean },
): Observable<SourceItem> {
  return stepByStep<KindState, SourceItem>(
    beginKind(resourceVersion, streams),
    (state) => takeStep(context, state),
    context.scheduler,
  )
}

function takeStep(context: KindContext, state: KindState): Observable<SourceItem | Next<KindState>> {
  const { report } = context
  return concat(report.connecting(), partsOf(context, state)).pipe(
    concatMap((part) => (part.type === 'step-ended' ? conclude(context, state, part.end) : [part])),
  )
}

function partsOf(context: KindContext, state: KindState): Observable<StepPart> {
  const step = stepOf(state)
  switch (step.type) {
    case 'watch':
      return watchFrom(context, step.resourceVersion)
    case 'list': {
      const list = { ...step, everything: state.historyReplaced }
      return step.way === 'stream' ? listAsStream(context, list) : listInPages(context, list)
    }
    case 'check':
      return checkHistory(context, step.resourceVersion)
    default:
      return assertNever(step)
  }
}

function conclude(
  { report, limits, random }: KindContext,
  before: KindState,
  end: StepEnd,
): readonly (SourceItem | Next<KindState>)[] {
  const { state, waitMs, lost } = afterStep(before, end, limits, random())
  const { resourceVersion } = state
  const told =
    lost === undefined ? [] : report.lost(lost, { waitMs, ...(resourceVersion !== undefined && { resourceVersion }) })
  return [...told, { type: 'next', state, waitMs }]
}

/** A kind as it is asked for: where it is served, and which of its objects a service proxy reads. */
export interface WatchedKind {
  readonly kind: ObjectKind
  readonly path: string
  readonly selectors: Readonly<Record<string, string>>
  /** Whether the server may lack the kind, or keep it from this user; with where older servers have it. Default: it may not. */
  readonly olderPaths?: readonly string[]
}

/**
 * The kinds that kube-proxy 1.36 watches, with its selectors (cmd/kube-proxy/app/server.go): slices are not selected by
 * proxy name, so that those of another proxy's Services come too and find no Service. Without a node's name all Nodes.
 */
export function watchedKinds(nodeName?: string, kinds: readonly ObjectKind[] = NEEDED_KINDS): readonly WatchedKind[] {
  const known: readonly WatchedKind[] = [
    {
      kind: 'Service',
      path: '/api/v1/services',
      selectors: {
        labelSelector: '!service.kubernetes.io/service-proxy-name',
        fieldSelector: 'spec.clusterIP!=None',
      },
    },
    {
      kind: 'EndpointSlice',
      path: '/apis/discovery.k8s.io/v1/endpointslices',
      selectors: { labelSelector: '!service.kubernetes.io/headless' },
    },
    {
      kind: 'Node',
      path: '/api/v1/nodes',
      selectors: nodeName === undefined ? {} : { fieldSelector: `metadata.name=${nodeName}` },
    },
    {
      kind: 'ServiceCIDR',
      path: '/apis/networking.k8s.io/v1/servicecidrs',
      selectors: {},
      // v1 from Kubernetes 1.33, v1beta1 from 1.31.
      olderPaths: ['/apis/networking.k8s.io/v1beta1/servicecidrs'],
    },
  ]
  return known.filter(({ kind }) => kinds.includes(kind))
}

/** Watches a kind from a resourceVersion on. */
function watchFrom(context: KindContext, resourceVersion: string): Observable<StepPart> {
  const timeoutSeconds = timeoutOf(context)
  return follow(context, watchRequest(context.watched, { resourceVersion, timeoutSeconds }), { resourceVersion })
}

/** Lists a kind by a watch that begins with all there is, and watches on. */
function listAsStream(context: KindContext, { atLeast, because, everything }: WantedList): Observable<StepPart> {
  const floor = atLeast === undefined ? {} : { atLeast }
  const request = streamingListRequest(context.watched, {
    ...floor,
    timeoutSeconds: timeoutOf(context),
  })
  return follow(context, request, {
    listing: createListing(context, { because, way: 'stream', everything }),
    everything,
    ...floor,
  })
}

/** As client-go's, or shorter where a relist, which comes between two watches, would be late else. */
function timeoutOf({ random, limits }: KindContext): number {
  const forRelist = Math.max(2 * limits.quickMs, limits.relistMs / 4)
  return Math.min(watchTimeoutSeconds(random), Math.ceil(forRelist / 1000))
}

interface Start {
  /** Where the watch begins; absent: with a list. */
  readonly resourceVersion?: string
  /** The list that comes first. */
  readonly listing?: Listing
  readonly atLeast?: string
  /** See `WantedList`. */
  readonly everything?: boolean
}

function follow(context: KindContext, request: ApiRequest, start: Start): Observable<StepPart> {
  const { api, watched, known, report, scheduler, limits } = context
  const { kind } = watched
  let { listing, resourceVersion: position } = start
  let openedAt: number | undefined
  let heard = false

  const end = (failure: Failure | undefined): StepPart =>
    stepEnded({
      at: scheduler.now(),
      wentBack: start.listing?.wentBack() === true,
      listed: start.listing !== undefined && listing === undefined,
      ...(openedAt !== undefined && { livedMs: scheduler.now() - openedAt }),
      heard,
      ...(position !== undefined && { resourceVersion: position }),
      ...(failure && { failure }),
    })

  const takeListed = (change: Difference, list: Listing): readonly StepPart[] => {
    const items = change.type === 'DELETED' ? list.gone(change) : list.see(change.object)
    const excess = list.excess()
    return excess === undefined ? items : [...items, end(failureOf('LIST_TOO_LONG', { detail: excess }))]
  }

  const takeListEnd = ({ resourceVersion, initialEventsEnd }: BookmarkLine, list: Listing): readonly StepPart[] => {
    if (!initialEventsEnd) return [end(failureOf('STREAMING_LIST_REFUSED', NOT_STREAMED))]
    if (start.atLeast !== undefined && isOlderVersion(resourceVersion, start.atLeast)) {
      const detail = `list at resourceVersion ${resourceVersion}, expected at least ${start.atLeast}`
      return [end(failureOf('TOO_NEW', { remedy: 'wait-for-newer', detail }))]
    }
    listing = undefined
    position = resourceVersion
    const items = list.finish(resourceVersion)
    // What no difference showed is to be listed as well: see `afterStep`.
    if (list.wentBack() && start.everything !== true) return [...items, end(undefined)]
    return [...items, ...report.opened('watching')]
  }

  const takeBookmark = ({ resourceVersion }: BookmarkLine): readonly StepPart[] => {
    if (!isBeyond(resourceVersion, position)) return []
    position = resourceVersion
    const observedAt = scheduler.now()
    return [event({ type: 'BOOKMARK', kind, resourceVersion, initialEventsEnd: false, observedAt })]
  }

  const takeChange = (change: Difference): readonly StepPart[] => {
    const { resourceVersion } = versionOf(change.object)
    // Another server may be behind the address that we spoke to before, and tell what is long known.
    const isNew = isBeyond(resourceVersion, position)
    if (known.isStale(change) || !(isNew || known.isEndOf(change))) return []
    if (change.type === 'ADDED' && known.size >= limits.maxObjects)
      return [end(failureOf('LIST_TOO_LONG', { detail: `more than ${limits.maxObjects} objects` }))]
    if (isNew && resourceVersion !== '') position = resourceVersion
    const isHeartbeat = kind === 'Node' && change.type === 'MODIFIED' && saysNothingNew(change.object, known.latest())
    known.learn(change)
    if (isHeartbeat) return []
    return [event({ ...change, observedAt: scheduler.now() })]
  }

  const takeObject = (change: Difference): readonly StepPart[] =>
    listing === undefined ? takeChange(change) : takeListed(change, listing)

  const takeUnreadable = ({ message, bare, event: change }: UnreadableLine): readonly StepPart[] => {
    if (bare !== undefined && change === 'DELETED')
      return takeObject({ type: change, object: withKnown(bare), isBare: true })
    if (bare !== undefined) listing?.spare(bare)
    const excess = listing?.excess()
    const told = report.unreadable(message)
    return excess === undefined ? told : [...told, end(failureOf('LIST_TOO_LONG', { detail: excess }))]
  }

  /** What is known of the object whose deletion cannot be read, where it is this one. */
  const withKnown = (bare: KubernetesObject): KubernetesObject => {
    const { uid, resourceVersion } = versionOf(bare)
    const last = known.get(keyOf(bare))
    return last?.uid === uid ? known.bare({ ...last, resourceVersion }) : bare
  }

  const heardNow = (): readonly StepPart[] => report.heard(listing === undefined ? 'watching' : 'listing')

  const takeLine = (line: WatchLine): readonly StepPart[] => {
    switch (line.type) {
      case 'object':
        heard = true
        return [...heardNow(), ...takeObject({ type: line.event, object: line.object })]
      case 'bookmark':
        heard = true
        return [...heardNow(), ...(listing === undefined ? takeBookmark(line) : takeListEnd(line, listing))]
      case 'unreadable':
        heard = true
        return takeUnreadable(line)
      case 'garbled':
        return [end(failureOf('GARBLED', { remedy: 'retry-then-relist', detail: line.cause }))]
      case 'error':
        return [end(failureOfErrorEvent(line.status, listing === undefined ? 'watch' : 'streaming-list'))]
      default:
        return assertNever(line)
    }
  }

  const take = (part: LinePart): readonly StepPart[] => {
    switch (part.type) {
      case 'opened':
        openedAt = scheduler.now()
        return report.opened(listing === undefined ? 'watching' : 'listing')
      case 'line':
        return takeLine(readWatchLine(part.bytes, kind))
      case 'ended': {
        const asked = listing === undefined ? 'watch' : 'streaming-list'
        const failure = failureOfEnding(part.ending, asked, scheduler.now())
        return [end(failure ?? (listing === undefined ? undefined : failureOf('CLOSED_EARLY', UNFINISHED_LIST)))]
      }
      default:
        return assertNever(part)
    }
  }

  return readAnswer(api, request, { idleLimitMs: limits.idleLimitMs, scheduler }).pipe(
    toLines(limits.maxLineBytes),
    // Blanks keep a connection, and say nothing.
    limitSilence(
      () => (listing === undefined ? limits.idleLimitMs : Math.min(limits.listIdleMs, limits.idleLimitMs)),
      (afterMs): LinePart => ({ type: 'ended', ending: { type: 'silent', afterMs } }),
      scheduler,
    ),
    concatMap(take),
    takeWhile((part) => part.type !== 'step-ended', true),
  )
}

type UnreadableLine = Extract<WatchLine, { type: 'unreadable' }>
type BookmarkLine = Extract<WatchLine, { type: 'bookmark' }>

const event = (watchEvent: Extract<SourceItem, { type: 'event' }>['event']): SourceItem => ({
  type: 'event',
  event: watchEvent,
})

const NOT_STREAMED = { remedy: 'list-in-pages', detail: 'it watches, and leaves the list out' } as const
const UNFINISHED_LIST = { detail: 'before the list was whole' } as const

/** Of a Node: its kubelet says every few minutes that it lives, in fields that nobody here reads. */
function saysNothingNew(object: KubernetesObject, latest: Difference | undefined): boolean {
  if (latest === undefined || latest.type === 'DELETED' || keyOf(latest.object) !== keyOf(object)) return false
  return isDeepStrictEqual(withoutVersion(latest.object), withoutVersion(object))
}

function withoutVersion(object: KubernetesObject): unknown {
  const kept = keepObject(object)
  if (kept === undefined) return object
  const { resourceVersion: _version, managedFields: _fields, ...metadata } = kept.metadata
  return { ...kept, metadata }
}

/** Whether a version says more than a position: it is newer, or not to be compared and another. */
function isBeyond(resourceVersion: string, position: string | undefined): boolean {
  if (position === undefined) return true
  const order = compareResourceVersions(resourceVersion, position)
  return order === undefined ? resourceVersion !== position : order > 0
}
