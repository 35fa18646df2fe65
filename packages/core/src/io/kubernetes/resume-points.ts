import { OBJECT_KINDS, type ObjectKind } from '../../model/kubernetes-object.js'
import type { LogRecord } from '../../model/record.js'

export type ResumePoints = { readonly [kind in ObjectKind]?: { readonly resourceVersion: string } }

/**
 * Where a log lets each watch go on: the last position that everything before is known of. `newestFirst` are a log's records
 * (no more are read than are needed), `received` the kinds whose list it holds whole. A kind is absent where only a new list
 * will do: it was never received whole, or the log ends within a list, whose events stand for no position.
 */
export function resumePoints(newestFirst: Iterable<LogRecord>, received: ReadonlySet<ObjectKind>): ResumePoints {
  const open = new Set(OBJECT_KINDS.filter((kind) => received.has(kind)))
  const newest: { [kind in ObjectKind]?: { readonly resourceVersion: string } } = {}
  if (open.size === 0) return newest
  for (const record of newestFirst) {
    const mark = markOf(record)
    if (mark === undefined || !open.has(mark.kind)) continue
    const { type, kind, resourceVersion } = mark
    if (type === 'list-begun') delete newest[kind]
    else if (newest[kind] === undefined && resourceVersion !== '') newest[kind] = { resourceVersion }
    // Events before a mark that all was well say nothing more; those after it may still be of a list that was begun.
    if (type !== 'event') open.delete(kind)
    if (open.size === 0) break
  }
  return newest
}

/** What a record says about where a kind's watch stood. */
interface Mark {
  readonly type: 'event' | 'whole' | 'list-begun'
  readonly kind: ObjectKind
  readonly resourceVersion: string
}

function markOf(record: LogRecord): Mark | undefined {
  if (record.type === 'object') return { ...pick(record), type: 'event' }
  if (record.type === 'bookmark') return { ...pick(record), type: 'whole' }
  if (record.type !== 'notice') return undefined
  const { code, details = {} } = record
  const { resourceVersion } = details
  const kind = OBJECT_KINDS.find((one) => one === details['kind'])
  if (kind === undefined) return undefined
  if (code === 'LIST_BEGUN') return { type: 'list-begun', kind, resourceVersion: '' }
  if ((code !== 'LIST' && code !== 'RELIST') || typeof resourceVersion !== 'string') return undefined
  return { type: 'whole', kind, resourceVersion }
}

const pick = ({ kind, resourceVersion }: Omit<Mark, 'type'>): Omit<Mark, 'type'> => ({ kind, resourceVersion })
