import { isJsonObject } from './json-value.js'
import type { JsonObject } from './kubernetes-object.js'
import type { Author } from './watch-event.js'

/**
 * Who made an object what it is: the managedFields entry that is new or changed against the previous version (both as
 * `keepObject` gives them); undefined where there is none. The newest time wins. At the same time, an entry that is new or
 * whose time moved wins over one that has only other fields: an edit takes fields from their former owner. Then the last.
 * Source: https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management
 */
export function authorOf(previous: Managed | undefined, current: Managed): Author | undefined {
  const before = entriesOf(previous)
  let best: Candidate | undefined
  for (const entry of entriesOf(current)) {
    const candidate = candidateOf(entry, before)
    if (candidate !== undefined && (best === undefined || !isBehind(candidate, best))) best = candidate
  }
  return best?.author
}

/** A kept object, or as much of one as says who manages it. */
interface Managed {
  readonly metadata: JsonObject
}

interface Candidate {
  readonly author: Author
  /** New, or at another time than before; else only its fields differ. */
  readonly moved: boolean
}

function candidateOf(entry: JsonObject, before: readonly JsonObject[]): Candidate | undefined {
  const manager = entry['manager']
  if (typeof manager !== 'string') return undefined
  const former = before.find((other) => isSameManager(entry, other))
  const moved = former === undefined || former['time'] !== entry['time']
  if (!moved && former['fieldsDigest'] === entry['fieldsDigest']) return undefined
  const { operation, subresource, time } = entry
  const at = typeof time === 'string' ? Date.parse(time) : Number.NaN
  const author = {
    manager,
    operation: typeof operation === 'string' ? operation : '',
    ...(Number.isNaN(at) ? {} : { time: at }),
    ...(typeof subresource === 'string' && subresource !== '' ? { subresource } : {}),
  }
  return { author, moved }
}

const isSameManager = (one: JsonObject, other: JsonObject): boolean =>
  one['manager'] === other['manager'] &&
  one['operation'] === other['operation'] &&
  one['subresource'] === other['subresource']

function isBehind(candidate: Candidate, best: Candidate): boolean {
  const time = candidate.author.time ?? -Infinity
  const bestTime = best.author.time ?? -Infinity
  return time === bestTime ? best.moved && !candidate.moved : time < bestTime
}

function entriesOf(object: Managed | undefined): readonly JsonObject[] {
  const entries = object?.metadata['managedFields']
  return Array.isArray(entries) ? entries.filter(isJsonObject) : []
}
