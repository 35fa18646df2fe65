import { OBJECT_KINDS, type ObjectKind, type WatchEvent } from '@pointsman/core'
import type { KnownObjects } from '@pointsman/core/io'
import {
  asyncScheduler,
  combineLatest,
  delay,
  filter,
  type Observable,
  of,
  race,
  ReplaySubject,
  type SchedulerLike,
  take,
  tap,
  timer,
} from 'rxjs'
import type { AgentObservers } from './agent-observers.js'
import type { SourceNotice } from './cluster-source.js'

export interface FirstSyncOptions {
  readonly nodeName: string
  /** What a log knows. */
  readonly known: KnownObjects
  /** Whether rules are made from ServiceCIDRs. */
  readonly usesServiceCidrs: boolean
  readonly observers: Pick<AgentObservers, 'warn' | 'emit'>
  readonly scheduler?: SchedulerLike
}

/** What the first sync waits for beside Services and EndpointSlices, where no log says what is in the cluster. */
export interface FirstSync {
  readonly onEvent: (event: WatchEvent) => void
  /** A Node that is deleted has been seen; a kind that the server does not have, or not for this user, is not waited for. */
  readonly onNotice: (notice: SourceNotice) => void
  /** Emits once all have come, or have been waited for long enough. */
  readonly ready: Observable<unknown>
}

/**
 * - The Node: rules need the node's own addresses. kube-proxy waits for them as long (30 s), and then goes on without.
 * - ServiceCIDRs: without them a first sync would take away the rule that drops what is sent to unused cluster IPs, until they come. kube-proxy
 *   does not wait for them (its `isInitialized` asks for Services and EndpointSlices), and needs no server that has them; neither do we wait
 *   where the server says that it cannot be asked, or is silent for longer than the other lists took.
 */
export function createFirstSync(options: FirstSyncOptions): FirstSync {
  const { nodeName, known, usesServiceCidrs, scheduler = asyncScheduler } = options
  const { warn, emit } = options.observers
  const nodeSeen = new ReplaySubject<void>(1)
  /** Kinds that are known whole, or are not to be had. */
  const settled = new Set<ObjectKind>()
  const kindSettled = new ReplaySubject<void>(1)
  const settle = (kind: ObjectKind): void => {
    settled.add(kind)
    kindSettled.next()
  }
  const areSettled = (...kinds: readonly ObjectKind[]): Observable<unknown> =>
    kindSettled.pipe(
      filter(() => kinds.every((kind) => settled.has(kind))),
      take(1),
    )
  const node = race(
    nodeSeen,
    timer(NODE_PATIENCE_MS, scheduler).pipe(
      tap(() =>
        warn(
          `the cluster has no Node ${nodeName}: programming rules without its addresses and local endpoints; check --hostname-override`,
        ),
      ),
    ),
  )
  const serviceCidrs = race(
    areSettled('ServiceCIDR'),
    areSettled('Service', 'EndpointSlice').pipe(
      delay(SERVICE_CIDR_PATIENCE_MS, scheduler),
      tap(() =>
        warn(
          `no list of ServiceCIDRs within ${SERVICE_CIDR_PATIENCE_MS / 1000} s of Services and EndpointSlices: programming rules without; ${UNUSED_NOT_DROPPED} until it comes`,
        ),
      ),
    ),
  )
  return {
    onEvent: (event) => {
      if (isOfNode(event, known)) nodeSeen.next()
      if (event.type === 'BOOKMARK' && event.initialEventsEnd) settle(event.kind)
    },
    onNotice: ({ code, message, observedAt, details }) => {
      // The state has it.
      if (code === 'NODE_DELETED') nodeSeen.next()
      const kind = OBJECT_KINDS.find((each) => each === details?.['kind'])
      if (code !== 'KIND_UNAVAILABLE' || kind === undefined) return
      const effect = kind === 'ServiceCIDR' ? `: ${UNUSED_NOT_DROPPED}` : ''
      emit({ type: 'unavailable', kind, message: `${message}${effect}`, at: observedAt })
      settle(kind)
    },
    // What has been seen is tracked right after.
    ready: combineLatest([node, usesServiceCidrs ? serviceCidrs : of(undefined)]).pipe(take(1), delay(0, scheduler)),
  }
}

/** The Node has come; or its list is whole, and had no news of the one that the log knows. */
const isOfNode = (event: WatchEvent, known: KnownObjects): boolean =>
  event.type === 'BOOKMARK'
    ? event.kind === 'Node' && event.initialEventsEnd && known.of('Node').size > 0
    : event.object.kind === 'Node'

const UNUSED_NOT_DROPPED = 'packets to unused addresses of the service network are not dropped'
const NODE_PATIENCE_MS = 30_000
/** All lists are asked for at once, and this one is short. */
const SERVICE_CIDR_PATIENCE_MS = 10_000
