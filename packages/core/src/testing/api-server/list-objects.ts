import { type ApiResource, keyOf } from './api-resource.js'
import { formatContinueToken, parseContinueToken } from './continue-token.js'
import { parseSelectors } from './selectors.js'
import { statusBody, type StatusBody, tooLargeResourceVersion } from './status-body.js'
import type { JsonObject, KubernetesObject } from '../../model/kubernetes-object.js'
import type { ObjectStore } from './object-store.js'

/** A request's query; a parameter that is given twice counts once. */
export type Query = Readonly<Record<string, string | undefined>>

export interface ListRequest {
  readonly resource: ApiResource
  readonly query: Query
  /** Only of this namespace. */
  readonly namespace?: string
  /** What a misbehaving server answers with. */
  readonly faults?: ListFaults
}

export interface ListFaults {
  /** The list is as of so many changes ago, as of a replica that is behind. */
  readonly behind?: number
  /** Keys (`namespace/name`) of objects that the list lacks although they are there. */
  readonly omit?: readonly string[]
}

export type ListAnswer =
  | { readonly type: 'list'; readonly body: JsonObject }
  | { readonly type: 'status'; readonly status: StatusBody }

/** A list, or a page of one, by the rules for resourceVersion and resourceVersionMatch of Kubernetes' API concepts. */
export function listObjects(store: ObjectStore, { resource, query, namespace, faults = {} }: ListRequest): ListAnswer {
  const matches = parseSelectors(selectorsOf(query), resource)
  if (typeof matches !== 'function') return refuse(statusBody(400, matches.message))
  const plan = planList(store, query)
  if ('code' in plan) return refuse(plan)
  const at = Math.max(plan.at - (faults.behind ?? 0), store.compactedAt())
  const omitted = new Set(faults.omit)
  const found = store
    .objects(resource.name, at)
    .filter((object) => matches(object) && !omitted.has(keyOf(object)))
    .filter((object) => namespace === undefined || object.metadata.namespace === namespace)
    .filter((object) => keyOf(object) >= plan.start)
  const page = found.slice(0, plan.limit)
  const isSelective = (query['labelSelector'] ?? '') !== '' || (query['fieldSelector'] ?? '') !== ''
  const metadata = {
    resourceVersion: String(at),
    ...nextPage({ page, rest: found.length - page.length, at, isSelective }),
  }
  const items = page.map(withoutType)
  return { type: 'list', body: { kind: `${resource.kind}List`, apiVersion: resource.apiVersion, metadata, items } }
}

/** The selectors of a query, as `parseSelectors` takes them. */
export const selectorsOf = ({ labelSelector = '', fieldSelector = '' }: Query) => ({ labelSelector, fieldSelector })

const refuse = (status: StatusBody): ListAnswer => ({ type: 'status', status })

interface ListPlan {
  readonly at: number
  readonly start: string
  readonly limit: number | undefined
}

function planList(store: ObjectStore, query: Query): ListPlan | StatusBody {
  const { resourceVersion = '', resourceVersionMatch = '', continue: token = '' } = query
  const current = store.resourceVersion()
  const limit = Number(query['limit'] ?? 0) > 0 ? Number(query['limit']) : undefined
  if (resourceVersionMatch !== '' && (resourceVersion === '' || token !== '')) {
    return invalid(
      `resourceVersionMatch is forbidden ${token === '' ? 'unless resourceVersion' : 'when continue'} is provided`,
    )
  }
  if (resourceVersionMatch === 'Exact' && resourceVersion === '0') {
    return invalid('resourceVersionMatch "Exact" is forbidden for resourceVersion "0"')
  }
  if (token !== '') return planPage(store, token, { resourceVersion, limit })
  const asked = Number(resourceVersion)
  if (!Number.isSafeInteger(asked) || asked < 0) return statusBody(400, `Invalid value: "${resourceVersion}"`)
  if (asked > current) return tooLargeResourceVersion(asked, current)
  // A page with a resourceVersion and nothing else is exactly of it; from 0 on the limit is passed over: it is answered from memory.
  const isExact = resourceVersionMatch === 'Exact' || (resourceVersionMatch === '' && limit !== undefined && asked > 0)
  if (isExact && asked < store.compactedAt()) {
    return statusBody(410, 'The resourceVersion for the provided list is too old.')
  }
  return { at: isExact ? asked : current, start: '', limit: resourceVersion === '0' ? undefined : limit }
}

function planPage(
  store: ObjectStore,
  token: string,
  { resourceVersion, limit }: { readonly resourceVersion: string; readonly limit: number | undefined },
): ListPlan | StatusBody {
  const from = parseContinueToken(token)
  if (from === undefined) return statusBody(400, 'continue key is not valid')
  if (resourceVersion !== '' && resourceVersion !== '0') {
    return statusBody(400, 'specifying resource version is not allowed when using continue')
  }
  if (from.resourceVersion !== undefined && from.resourceVersion < store.compactedAt()) {
    const again = formatContinueToken({ resourceVersion: undefined, start: from.start })
    const message = 'The provided continue parameter is too old to display a consistent list result.'
    return statusBody(410, message, { metadata: { continue: again } })
  }
  return { at: from.resourceVersion ?? store.resourceVersion(), start: from.start, limit }
}

const invalid = (message: string): StatusBody => statusBody(422, `ListOptions.meta.k8s.io "" is invalid: ${message}`)

interface PageEnd {
  readonly page: readonly KubernetesObject[]
  readonly rest: number
  readonly at: number
  /** How many are left is not known to a server that would have to look at each. */
  readonly isSelective: boolean
}

function nextPage({ page, rest, at, isSelective }: PageEnd): JsonObject {
  const last = page.at(-1)
  if (last === undefined || rest === 0) return {}
  const token = formatContinueToken({ resourceVersion: at, start: `${keyOf(last)}\0` })
  return { continue: token, ...(!isSelective && { remainingItemCount: rest }) }
}

/** Items of a list leave out what the list says of all of them. */
function withoutType({ kind: _kind, apiVersion: _apiVersion, ...object }: KubernetesObject): JsonObject {
  return object
}
