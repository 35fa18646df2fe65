import { API_RESOURCES } from './api-resource.js'
import type { ApiResource, ResourceName } from './api-resource.js'
import type { Query } from './list-objects.js'
import type { RequestFilter } from './misbehaviour.js'

/**
 * What a request asks for. `list`: a whole list or its first page; `page`: a further page; `watch`: changes alone;
 * `streaming-list`: a watch that begins with what there is; `get`: one object; `check`: a list of one object by its name, or of any
 * one at an exact resourceVersion; `event`: an Event is written; `other`: no resource of this server.
 */
export type RequestKind = 'list' | 'page' | 'watch' | 'streaming-list' | 'get' | 'check' | 'event' | 'other'

/** One request, as the server got it. */
export interface SeenRequest {
  /** Milliseconds since 1970 UTC. */
  readonly at: number
  readonly method: string
  readonly path: string
  readonly query: Query
  readonly kind: RequestKind
  readonly resource?: ResourceName
  readonly userAgent?: string
}

/** What a path leads to; undefined: nothing that this server has. */
export interface Route {
  readonly resource: ApiResource
  readonly namespace?: string
  /** Of one object. */
  readonly name?: string
}

export function routeOf(path: string): Route | undefined {
  for (const resource of Object.values(API_RESOURCES)) {
    const root = resource.path.slice(0, -resource.name.length)
    if (!path.startsWith(root)) continue
    const [, namespace, name] =
      new RegExp(`^(?:namespaces/([^/]+)/)?${resource.name}(?:/([^/]+))?$`).exec(path.slice(root.length)) ?? []
    const isIt = path === resource.path || namespace !== undefined || name !== undefined
    if (isIt) return { resource, ...(namespace !== undefined && { namespace }), ...(name !== undefined && { name }) }
  }
  return undefined
}

export function requestKindOf(route: Route | undefined, query: Query): RequestKind {
  if (route === undefined) return 'other'
  if (route.name !== undefined) return 'get'
  if (isWatch(query)) return beginsWithState(query) ? 'streaming-list' : 'watch'
  const { limit, continue: token } = query
  if (limit === '1' && token === undefined && (query['resourceVersionMatch'] === 'Exact' || isOfOneName(query)))
    return 'check'
  return token === undefined ? 'list' : 'page'
}

const isOfOneName = ({ fieldSelector = '' }: Query): boolean => /(?:^|,)metadata\.name=/.test(fieldSelector)

export const isWatch = ({ watch = 'false' }: Query): boolean => watch !== 'false' && watch !== '0'

/** By `sendInitialEvents`, or for want of a resourceVersion to begin at. */
export const beginsWithState = ({ sendInitialEvents, resourceVersion = '' }: Query): boolean =>
  sendInitialEvents === undefined ? resourceVersion === '' || resourceVersion === '0' : sendInitialEvents === 'true'

export function isMeant({ kind, resource }: RequestFilter, request: Pick<SeenRequest, 'kind' | 'resource'>): boolean {
  const kinds = kind === undefined || typeof kind === 'string' ? [kind ?? request.kind] : kind
  return kinds.includes(request.kind) && (resource === undefined || resource === request.resource)
}
