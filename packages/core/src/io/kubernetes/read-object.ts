import { isJsonObject } from '../../model/is-json-object.js'
import { bareObject, excessOfObject, isNamedObject, keepObject } from '../../model/keep-object.js'
import type { Json, KubernetesObject, ObjectKind } from '../../model/kubernetes-object.js'
import { printable } from '../../model/shown-text.js'
import { kindOf } from '../files/parse-watch-event.js'

export type ObjectRead = { readonly type: 'object'; readonly object: KubernetesObject } | Unreadable

/** Not what was asked for, or not to be used. */
export interface Unreadable {
  readonly type: 'unreadable'
  /** What it is in place of an object of the kind. */
  readonly message: string
  /** The object's name and version and nothing else, where it says so much. */
  readonly bare?: KubernetesObject
}

/** Reads what the server says is an object of a kind, as much of it as is kept. Never throws. */
export function readObject(value: unknown, kind: ObjectKind): ObjectRead {
  if (!isJsonObject(value)) return unreadable(`not an object where a ${kind} should be`)
  if (kindOf(value) !== kind) return unreadable(`an object of another kind where a ${kind} should be: ${nameOf(value)}`)
  if (!isNamedObject(value)) return unreadable(`the ${kind} has no usable metadata: ${nameOf(value)}`)
  try {
    const object = keepObject(value)
    return object === undefined
      ? unusable(value, excessOfObject(value) ?? 'it cannot be read')
      : { type: 'object', object }
  } catch (error) {
    // The last line of defence: whatever an object is, it costs no more than itself.
    return unusable(value, `reading it failed with ${printable(String(error))}`)
  }
}

const unreadable = (message: string): Unreadable => ({ type: 'unreadable', message })

const unusable = (object: KubernetesObject, why: string): Unreadable => ({
  ...unreadable(`${nameIn(object)} is not used, and its last version counts on: ${why}`),
  bare: bareObject(object),
})

/** The kind is said by whoever tells the message. */
const nameIn = ({ metadata: { namespace, name } }: KubernetesObject): string =>
  printable(namespace == null ? name : `${namespace}/${name}`)

function nameOf(value: { readonly [key: string]: unknown }): string {
  const { apiVersion, kind, metadata } = value
  const { namespace, name } = isJsonObject(metadata) ? metadata : {}
  return printable(JSON.stringify({ apiVersion, kind, namespace, name }, textAlone))
}

/** Members that are no text may be of any size and depth. */
const textAlone = (key: string, value: Json | undefined): Json | undefined =>
  key === '' || typeof value !== 'object' || value === null ? value : Array.isArray(value) ? 'a list' : 'an object'
