import { type Matches, parseSelectors } from './selectors.js'
import { type Query, selectorsOf } from './list-objects.js'
import type { KubernetesObject } from '../../model/kubernetes-object.js'
import type { ApiResource } from './api-resource.js'
import { type Revision, withVersion } from './object-store.js'
import type { StatusBody } from './status-body.js'

/** What a watch lets through: by its selectors and, if its path names one, its namespace. A refusal: see `parseSelectors`. */
export function watchedBy(resource: ApiResource, query: Query, namespace: string | undefined) {
  const matches = parseSelectors(selectorsOf(query), resource)
  if (typeof matches !== 'function' || namespace === undefined) return matches
  return (object: KubernetesObject) => object.metadata.namespace === namespace && matches(object)
}

/**
 * The line of one change for one watcher: an object that begins to match is ADDED to it, one that ceases to is DELETED as it was
 * last seen, at the resourceVersion of the change. Undefined: none of its business.
 */
export function changeLine(
  { type, object, previous, resourceVersion }: Revision,
  matches: Matches,
): string | undefined {
  const isSeen = type !== 'DELETED' && matches(object)
  const wasSeen = previous !== undefined && matches(previous)
  if (isSeen) return eventLine(wasSeen ? 'MODIFIED' : 'ADDED', object)
  return wasSeen ? eventLine('DELETED', withVersion(previous, resourceVersion)) : undefined
}

/** One object's event; ends in a newline, as all lines of a watch. */
export function eventLine(type: Revision['type'], object: KubernetesObject): string {
  const text = TEXTS.get(object) ?? JSON.stringify(object)
  TEXTS.set(object, text)
  return `{"type":"${type}","object":${text}}\n`
}

/** Many watchers read the same object. */
const TEXTS = new WeakMap<KubernetesObject, string>()

export const errorLine = ({ body }: StatusBody): string => `${JSON.stringify({ type: 'ERROR', object: body })}\n`

export function bookmarkLine(
  { kind, apiVersion, empty }: ApiResource,
  resourceVersion: number,
  { initialEventsEnd = false }: { readonly initialEventsEnd?: boolean } = {},
): string {
  const annotations = { 'k8s.io/initial-events-end': 'true' }
  const metadata = { resourceVersion: String(resourceVersion), ...(initialEventsEnd && { annotations }) }
  return `${JSON.stringify({ type: 'BOOKMARK', object: { kind, apiVersion, metadata, ...empty } })}\n`
}
