import { isJsonObject } from '../../model/is-json-object.js'
import type { Json, KubernetesObject, ObjectKind } from '../../model/kubernetes-object.js'
import { parseJson } from './parse-json.js'
import { readObject, type Unreadable } from './read-object.js'

export interface Page {
  readonly type: 'page'
  readonly objects: readonly KubernetesObject[]
  /** What stood among the items and is none, or not to be used. */
  readonly unreadable: readonly Unreadable[]
  readonly resourceVersion: string
  /** Where the next page begins; absent: this is the last. */
  readonly continueToken?: string
}

export type PageRead = Page | { readonly type: 'garbled'; readonly cause: string }

/** Reads a page of a list of a kind. Never throws. */
export function readPage(bytes: Uint8Array, kind: ObjectKind): PageRead {
  const parsed = parseJson(bytes)
  if ('cause' in parsed) return { type: 'garbled', cause: parsed.cause }
  const { value } = parsed
  if (!isJsonObject(value) || value['kind'] !== `${kind}List`) return { type: 'garbled', cause: `no ${kind}List` }
  const { metadata, items, apiVersion } = value
  const { resourceVersion, continue: token } = isJsonObject(metadata) ? metadata : {}
  // A list that says nothing of where it stands cannot be followed by a watch, and one without items is no empty list.
  if (typeof resourceVersion !== 'string' || resourceVersion === '')
    return { type: 'garbled', cause: `a ${kind}List without a resourceVersion` }
  if (items != null && !Array.isArray(items)) return { type: 'garbled', cause: `a ${kind}List without items` }
  const reads = (items ?? []).map((item: Json) => readObject(withType(item, kind, apiVersion), kind))
  return {
    type: 'page',
    objects: reads.flatMap((read) => (read.type === 'object' ? [read.object] : [])),
    unreadable: reads.flatMap((read) => (read.type === 'unreadable' ? [read] : [])),
    resourceVersion,
    ...(typeof token === 'string' && token !== '' && { continueToken: token }),
  }
}

/** The items of a list do not say what they are: the list does. */
function withType(item: Json, kind: ObjectKind, apiVersion: Json | undefined): Json {
  return isJsonObject(item) && item['kind'] === undefined ? { apiVersion, ...item, kind } : item
}
