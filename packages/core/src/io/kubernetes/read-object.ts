import { isJsonObject } from '../../model/is-json-object.js'
import { keepObject } from '../../model/keep-object.js'
import type { KubernetesObject, ObjectKind } from '../../model/kubernetes-object.js'
import { printable } from '../../model/shown-text.js'
import { kindOf } from '../files/parse-watch-event.js'

export type ObjectRead =
  | { readonly type: 'object'; readonly object: KubernetesObject }
  /** No object of the kind that was asked for. The message says what it is in place of one. */
  | { readonly type: 'unreadable'; readonly message: string }

/** Reads what the server says is an object of a kind, as much of it as is kept. */
export function readObject(value: unknown, kind: ObjectKind): ObjectRead {
  if (!isJsonObject(value)) return unreadable(`not an object where a ${kind} should be`)
  if (kindOf(value) !== kind) return unreadable(`an object of another kind where a ${kind} should be: ${nameOf(value)}`)
  const object = keepObject(value)
  return object === undefined
    ? unreadable(`the ${kind} has no usable metadata: ${nameOf(value)}`)
    : { type: 'object', object }
}

const unreadable = (message: string): ObjectRead => ({ type: 'unreadable', message })

function nameOf(value: { readonly [key: string]: unknown }): string {
  const { apiVersion, kind, metadata } = value
  const { namespace, name } = isJsonObject(metadata) ? metadata : {}
  return printable(JSON.stringify({ apiVersion, kind, namespace, name }))
}
