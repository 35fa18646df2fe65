import { isJsonObject } from '../../model/json-value.js'
import { OBJECT_KINDS, type Json, type JsonObject, type KubernetesObject } from '../../model/kubernetes-object.js'
import { cutDeep, OBJECT_BOUNDS } from '../../model/object-bounds.js'
import type { ConfigRecord, NoticeRecord, SyncRecord } from '../../model/record.js'
import { Damage } from './errors.js'
import { TYPE_CODES } from './schema.js'

/**
 * A log may come from another source: SQLite stores a value of any type and size in any column. What a column holds is looked
 * at here before anything else sees it, and what no writer of ours stores is a `Damage`, which becomes LOG_DAMAGED.
 */

/** Bytes of the longest text that is read from a column, and of an object: an API server takes 3 MB. */
export const MAX_TEXT_BYTES = 8 * 1024 * 1024

/** SQL that gives a value, or, of a longer one, its length in bytes: SQLite finds that in the row's header and loads nothing. */
export const bounded = (column: string): string =>
  `iif(octet_length(${column}) > ${MAX_TEXT_BYTES}, octet_length(${column}), ${column})`

/** SQL that gives a whole number or null, and -1 for anything else, however long. */
export const whole = (column: string): string => `iif(typeof(${column}) IN ('integer', 'null'), ${column}, -1)`

/** A place in a log, as `seq 12` or `snapshot 50000` names it. */
export type Place = `seq ${number}` | `snapshot ${number}` | `object ${number}` | `author ${number}` | `meta ${string}`

export function checkText(value: unknown, place: Place, name: string): string {
  if (typeof value === 'string') return value
  throw new Damage(
    place,
    typeof value === 'number' && value > MAX_TEXT_BYTES ? tooLong(name, value) : wrong(name, value),
  )
}

export function checkBytes(value: unknown, place: Place, name: string): Buffer {
  if (Buffer.isBuffer(value)) return value
  throw new Damage(
    place,
    typeof value === 'number' && value > MAX_TEXT_BYTES ? tooLong(name, value) : wrong(name, value),
  )
}

/** A whole number from 0 to a maximum. */
export function checkCount(value: unknown, place: Place, name: string, max = Number.MAX_SAFE_INTEGER): number {
  if (isCount(value, max)) return value
  throw new Damage(place, `${name} is out of range`)
}

export const isCount = (value: unknown, max: number = Number.MAX_SAFE_INTEGER): value is number =>
  Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= max

/** The latest time that a Date can be. https://tc39.es/ecma262/#sec-time-values-and-time-range */
export const MAX_TIME = 8.64e15

const tooLong = (name: string, bytes: number): string => `${name} has ${bytes} bytes, more than ${MAX_TEXT_BYTES}`
const wrong = (name: string, value: unknown): string =>
  `${name} is ${value === null ? 'null' : Buffer.isBuffer(value) ? 'a blob' : `a ${typeof value}`}`

/** JSON; what nests deeper than an object can is cut, as older versions wrote such objects. */
export function parseStored(text: string, place: Place, name: string): Json {
  try {
    const value = JSON.parse(text) as Json
    return mayNestDeep(text) ? cutDeep<Json>(value) : value
  } catch (error) {
    throw new Damage(place, `${name} is not JSON`, { cause: error })
  }
}

/** Whether a text has as many levels to open as the deepest object that is stored has. Far cheaper than to walk the value. */
function mayNestDeep(text: string): boolean {
  let opened = 0
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if ((code === OPENING_BRACE || code === OPENING_BRACKET) && ++opened > OBJECT_BOUNDS.depth) return true
  }
  return false
}

const [OPENING_BRACE, OPENING_BRACKET] = [0x7b, 0x5b]

export function parseStoredObject(text: string, place: Place, name: string): JsonObject {
  const parsed = parseStored(text, place, name)
  if (!isJsonObject(parsed)) throw new Damage(place, `${name} is not a JSON object`)
  return parsed
}

/** An object as kept: of a known kind, with a name. Its other fields may hold anything; the model reports them. */
export function checkKept(object: unknown, place: Place): KubernetesObject {
  if (!isJsonObject(object)) throw new Damage(place, 'the object is not a JSON object')
  const { kind, metadata } = object
  if (!OBJECT_KINDS.some((known) => known === kind) || !isJsonObject(metadata))
    throw new Damage(place, 'the object has no known kind')
  const { name, namespace } = metadata
  if (typeof name !== 'string' || name === '') throw new Damage(place, 'the object has no name')
  if (namespace !== undefined && typeof namespace !== 'string') throw new Damage(place, 'its namespace is not a text')
  return object as KubernetesObject
}

/** The body of a record of the engine's own, by the type in its column. */
export function checkEngineBody(
  body: JsonObject,
  type: number,
  place: Place,
):
  | Omit<SyncRecord, 'seq' | 'observedAt'>
  | Omit<ConfigRecord, 'seq' | 'observedAt'>
  | Omit<NoticeRecord, 'seq' | 'observedAt'> {
  const rule = ENGINE_BODIES[type]
  if (rule === undefined) throw new Damage(place, `no record without an object has the type ${type}`)
  if (body['type'] !== rule.type) throw new Damage(place, `the record is not a ${rule.type}`)
  const wrongField = rule.fields.find(([name, isRight]) => !isRight(body[name]))
  if (wrongField !== undefined) throw new Damage(place, `${wrongField[0]} of the ${rule.type} has a wrong value`)
  return body as ReturnType<typeof checkEngineBody>
}

type IsRight = (value: Json | undefined) => boolean
const isText: IsRight = (value) => typeof value === 'string'
const isNumber: IsRight = (value) => typeof value === 'number'
const isFlag: IsRight = (value) => typeof value === 'boolean'
const isObject: IsRight = (value) => isJsonObject(value)
const optional =
  (isRight: IsRight): IsRight =>
  (value) =>
    value === undefined || isRight(value)
const isFailure: IsRight = (value) => isJsonObject(value) && isText(value['code']) && isText(value['message'])

const ENGINE_BODIES: {
  readonly [type: number]: { readonly type: string; readonly fields: readonly (readonly [string, IsRight])[] }
} = {
  [TYPE_CODES.SYNC]: {
    type: 'sync',
    fields: [
      ['backend', isText],
      ['fromSeq', isCount],
      ['toSeq', isCount],
      ['full', isFlag],
      ['changed', isCount],
      ['durationMs', isNumber],
      ['rules', optional(isNumber)],
      ['bytes', optional(isNumber)],
      ['digest', optional(isText)],
      ['mark', optional(isText)],
      ['refused', optional(isCount)],
      ['error', optional(isFailure)],
    ],
  },
  [TYPE_CODES.CONFIG]: { type: 'config', fields: [['config', isObject]] },
  [TYPE_CODES.NOTICE]: {
    type: 'notice',
    fields: [
      ['code', isText],
      ['message', isText],
      ['details', optional(isObject)],
    ],
  },
}
