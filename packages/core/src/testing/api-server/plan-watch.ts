import { statusBody, tooLargeResourceVersion, tooOldResourceVersion } from './status-body.js'
import { beginsWithState } from './request-log.js'
import { watchedBy } from './watch-event-lines.js'
import type { ApiResource } from './api-resource.js'
import type { ListFaults, Query } from './list-objects.js'
import type { ObjectStore } from './object-store.js'
import type { StatusBody } from './status-body.js'
import type { WatchPlan } from './watch-session.js'

export interface WatchRequest {
  readonly resource: ApiResource
  readonly query: Query
  readonly namespace?: string
  readonly faults: ListFaults
  readonly bookmarkIntervalMs: number
  readonly watchTimeoutMs: number
}

/** `status`: refused with an HTTP status. `error`: HTTP 200, and an ERROR event is all that comes. */
export type PlannedWatch =
  | { readonly type: 'watch'; readonly plan: WatchPlan }
  | { readonly type: 'status'; readonly status: StatusBody }
  | { readonly type: 'error'; readonly status: StatusBody }

/** What a watch will send, by the rules for resourceVersion and sendInitialEvents of Kubernetes' API concepts. */
export function planWatch(
  store: ObjectStore,
  { resource, query, namespace, faults, ...times }: WatchRequest,
): PlannedWatch {
  const { sendInitialEvents, resourceVersion = '', resourceVersionMatch = '' } = query
  const matches = watchedBy(resource, query, namespace)
  if (typeof matches !== 'function') return refused(statusBody(400, matches.message))
  if ((sendInitialEvents !== undefined) !== (resourceVersionMatch === 'NotOlderThan')) {
    return refused(statusBody(422, 'sendInitialEvents and resourceVersionMatch NotOlderThan require each other'))
  }
  const asked = Number(resourceVersion)
  if (!Number.isSafeInteger(asked) || asked < 0) return refused(statusBody(400, `Invalid value: "${resourceVersion}"`))
  const bookmarked = query['allowWatchBookmarks'] === 'true' || query['allowWatchBookmarks'] === '1'
  const current = store.resourceVersion()
  const common = {
    resource,
    matches,
    timeoutMs: query['timeoutSeconds'] === undefined ? times.watchTimeoutMs : Number(query['timeoutSeconds']) * 1000,
    ...(bookmarked && { bookmarkIntervalMs: times.bookmarkIntervalMs }),
  }
  if (beginsWithState(query)) {
    if (asked > current) return refused(tooLargeResourceVersion(asked, current))
    const state = { bookmarked: bookmarked && sendInitialEvents === 'true', faults }
    return { type: 'watch', plan: { ...common, state, after: current } }
  }
  if (resourceVersion === '' || asked === 0) return { type: 'watch', plan: { ...common, after: current } }
  if (asked < store.compactedAt()) {
    return { type: 'error', status: tooOldResourceVersion(asked, store.compactedAt()) }
  }
  return { type: 'watch', plan: { ...common, after: asked } }
}

const refused = (status: StatusBody): PlannedWatch => ({ type: 'status', status })
