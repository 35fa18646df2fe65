import { jsonContradicts } from '../../model/json-value.js'
import { keepObject, withVersionOf } from '../../model/keep-object.js'
import type { KubernetesObject, ObjectReference } from '../../model/kubernetes-object.js'
import { assertNever } from '../../model/language.js'
import { serviceLabelOf } from '../../model/names.js'
import { authorOfEvent, seq, unwritableNotice, type LogEntry } from '../../model/record.js'
import type { Author, BookmarkEvent, ObjectEvent } from '../../model/watch-event.js'
import type { AppendOutcome } from '../../ports/change-log.js'
import { MAX_TEXT_BYTES } from './checked-values.js'
import { holdVersions } from './load-objects.js'
import { createCounts, createNotices, type LogTables } from './log-tables.js'
import { createLives, lifeKey, type Life } from './object-lifetimes.js'
import {
  diffPacked,
  packedLine,
  packVersion,
  unpackVersion,
  type PackedDiff,
  type PackedVersion,
} from './packed-version.js'
import { RECORD_COLUMNS, storeChange, storeVersion } from './record-codec.js'
import { FLAG_ESTIMATED, FLAG_FAILED, KIND_CODES, TYPE_CODES } from './schema.js'

/** The writing side of an open log, inside the transaction of its caller. */
export interface Appender {
  readonly head: number
  readonly lastObservedAt: number
  append(entry: LogEntry): AppendOutcome
  /** Writes what is gathered over a batch. */
  finish(): void
  /** Writes a snapshot of the head. */
  snapshot(): void
  /** Event records since the last snapshot. */
  readonly sinceSnapshot: number
}

export interface AppenderOptions {
  /** Event records from one snapshot to the next. */
  readonly snapshotEvery: number
  /** Characters of the objects' present versions that are held in memory; Infinity: all of them. */
  readonly heldCharacters: number
  readonly onStep: (step: string) => void
}

/** Reads what the log holds at its head; afterwards that is kept up in memory. */
export function createAppender(
  tables: LogTables,
  { snapshotEvery, heldCharacters, onStep }: AppenderOptions,
): Appender {
  const { db, meta, authors, snapshots } = tables
  const insert = db.prepare(`INSERT INTO records (${RECORD_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`)
  const linkService = db.prepare('INSERT OR IGNORE INTO slice_services VALUES (?, ?, ?)')
  const findBookmarks = db
    .prepare("SELECT id FROM objects WHERE namespace = '' AND name = '' AND kind = ? AND uid = '' ORDER BY id DESC")
    .pluck()
  const findBookmark = db
    .prepare('SELECT seq FROM records WHERE object_id = ? AND resource_version IS ? AND type = ?')
    .pluck()
  const counts = createCounts(db)
  const lives = createLives(tables)
  const notices = createNotices(tables)
  let head = tables.head()
  let lastObservedAt = tables.record(head)?.[3] ?? 0
  const versions = holdVersions(tables, heldCharacters)
  const { received } = versions
  let sinceSnapshot = countSinceSnapshot(tables)

  const number = (entry: LogEntry): number => Math.max(head + 1, entry.seq ?? 0)
  const appended = (position: number, observedAt: number): AppendOutcome => {
    head = position
    lastObservedAt = observedAt
    return { type: 'appended', seq: seq(position) }
  }

  const appendObject = (event: ObjectEvent, position: number): AppendOutcome => {
    const object = preparing(() => keepObject(event.isBare === true ? lastVersionOf(event.object) : event.object))
    if (object === undefined) throw new Unwritable('it carries no object that a log can keep')
    const reference = referenceOf(object)
    const key = lifeKey(reference)
    const living = lives.get(key)
    const type = TYPE_CODES[event.type]
    const same = lives.duplicate({ reference, life: living, type, object, versions })
    if (same !== undefined && event.isNews !== true) return { type: 'duplicate', seq: seq(same) }
    if (event.isNews === true && isKnown(living, event, object)) {
      const made = same ?? lives.duplicate({ reference, life: living, type: TYPE_CODES.ADDED, object, versions })
      return { type: 'duplicate', seq: seq(made ?? head) }
    }
    if (event.observedAt < lastObservedAt) return tooOld(event.observedAt, lastObservedAt)
    const foreign = otherCluster(object, reference)
    if (foreign !== undefined) return foreign

    // A life has each version once: one that goes back to a version of its own ends, and another begins.
    const goesBack = same !== undefined && living !== undefined && tables.record(same)?.[4] === living.id
    const continued = living !== undefined && living.uid === reference.uid && !goesBack
    const previous = continued ? versions.get(living.id) : undefined
    const { packed, author, flags, patch } = preparing(() => stored(previous, { event, object }))
    const life = continued ? living : lives.begin(reference)
    const version = storeVersion(object.metadata['resourceVersion'])
    const estimated = event.estimated === true ? FLAG_ESTIMATED : 0
    const authorId = author === undefined ? null : authors.idOf(author)
    insert.run(
      position,
      type,
      flags + estimated,
      event.observedAt,
      life.id,
      toColumn(version),
      authorId,
      author?.time ?? null,
      patch,
    )
    counts.add(type, KIND_CODES[object.kind])
    noteVersion(life, version)
    noteService(life, object)
    if (event.type === 'DELETED') {
      lives.end(key, life, position)
      versions.delete(life.id)
    } else {
      if (living !== undefined && !continued) {
        lives.end(key, living, position)
        versions.delete(living.id)
      }
      if (!continued) lives.live(key, life)
      versions.set(life.id, packed)
    }
    return appended(position, event.observedAt)
  }

  /**
   * Whether a change that a list brings says what the log holds: after a restored backup the version alone does not tell. A field that
   * only one of two readings of one version has is a default of one of two API servers, and no change.
   */
  const isKnown = (living: Life | undefined, { type }: ObjectEvent, object: KubernetesObject): boolean => {
    const packed = living?.uid === referenceOf(object).uid ? versions.get(living.id) : undefined
    if (type !== 'MODIFIED' || packed === undefined) return false
    if (packedLine(packed) === packedLine(packVersion(object))) return true
    const held = unpackVersion(packed)
    const { resourceVersion } = object.metadata
    return (
      Boolean(resourceVersion) && held.metadata['resourceVersion'] === resourceVersion && !jsonContradicts(held, object)
    )
  }

  /** A bare object with all that the log holds of it. */
  const lastVersionOf = (bare: KubernetesObject): KubernetesObject => {
    const reference = referenceOf(bare)
    const life = lives.get(lifeKey(reference))
    const packed = life?.uid === reference.uid ? versions.get(life.id) : undefined
    return packed === undefined ? bare : withVersionOf(bare, unpackVersion(packed))
  }

  const noteService = (life: Life, object: KubernetesObject): void => {
    if (object.kind !== 'EndpointSlice') return
    const service = serviceLabelOf(object)
    if (service === undefined || service === life.service) return
    linkService.run(object.metadata.namespace ?? '', service, life.id)
    life.service = service
  }

  const otherCluster = (
    object: KubernetesObject,
    { namespace, name, uid }: ObjectReference,
  ): AppendOutcome | undefined => {
    if (object.kind !== 'Service' || namespace !== 'default' || name !== 'kubernetes' || uid === '') return undefined
    const known = meta.get('cluster_id')
    if (known === uid) return undefined
    const living = lives.get(lifeKey({ kind: 'Service', namespace, name, uid }))
    if (known === undefined || living?.uid !== known) {
      meta.set('cluster_id', uid)
      return undefined
    }
    const message = `the log is of cluster ${known}, the event of cluster ${uid} (uid of Service default/kubernetes)`
    return { type: 'refused', code: 'OTHER_CLUSTER', message }
  }

  const appendBookmark = (event: BookmarkEvent, position: number): AppendOutcome => {
    const kind = KIND_CODES[event.kind]
    const type = event.initialEventsEnd ? TYPE_CODES.LIST_END : TYPE_CODES.BOOKMARK
    const version = storeVersion(event.resourceVersion)
    const known = findBookmarks.get(kind) as number | undefined
    const same = known === undefined ? undefined : (findBookmark.get(known, version, type) as number | undefined)
    if (same !== undefined && event.isNews !== true) return { type: 'duplicate', seq: seq(same) }
    if (event.observedAt < lastObservedAt) return tooOld(event.observedAt, lastObservedAt)
    const begins = known === undefined || same !== undefined
    const id = begins ? lives.begin({ kind: event.kind, namespace: '', name: '', uid: '' }).id : known
    insert.run(
      position,
      type,
      event.estimated === true ? FLAG_ESTIMATED : 0,
      event.observedAt,
      id,
      toColumn(version),
      null,
      null,
      null,
    )
    counts.add(type, kind)
    if (event.initialEventsEnd) received.add(event.kind)
    return appended(position, event.observedAt)
  }

  const appendEngine = (entry: Exclude<LogEntry, { readonly type: 'event' }>, position: number): AppendOutcome => {
    const { observedAt, seq: _seq, ...body } = entry
    const text = preparing(() => fitting(JSON.stringify(body)))
    const same = entry.type === 'notice' && observedAt <= lastObservedAt ? notices.find(observedAt, text) : undefined
    if (same !== undefined) return { type: 'duplicate', seq: seq(same) }
    if (observedAt < lastObservedAt) return tooOld(observedAt, lastObservedAt)
    const failed = entry.type === 'sync' && entry.error !== undefined
    const type = typeOf(entry.type)
    insert.run(position, type, failed ? FLAG_FAILED : 0, observedAt, null, null, null, null, text)
    counts.add(type, 0)
    if (entry.type === 'notice') notices.add({ observedAt, text, position, isLater: observedAt > lastObservedAt })
    if (entry.type === 'sync' && !failed) meta.set(`applied/${entry.backend}`, position)
    return appended(position, observedAt)
  }

  function* lines(): Generator<readonly [id: number, line: string]> {
    const ids = lives.ids().sort((a, b) => a - b)
    let index = 0
    for (const line of versions.lines(ids)) {
      if (index++ === ids.length >> 1) onStep('snapshot')
      yield line
    }
  }

  const snapshot = (): void => {
    snapshots.write({ seq: head, observedAt: lastObservedAt, received, objects: lines() })
    sinceSnapshot = 0
  }

  const appendEntry = (entry: LogEntry, position: number): AppendOutcome => {
    if (entry.type !== 'event') return appendEngine(entry, position)
    const { event } = entry
    const outcome = event.type === 'BOOKMARK' ? appendBookmark(event, position) : appendObject(event, position)
    if (outcome.type === 'appended' && ++sinceSnapshot >= snapshotEvery) snapshot()
    return outcome
  }

  return {
    get head() {
      return head
    },
    get lastObservedAt() {
      return lastObservedAt
    },
    get sinceSnapshot() {
      return sinceSnapshot
    },
    append(entry) {
      try {
        return appendEntry(entry, number(entry))
      } catch (error) {
        if (!(error instanceof Unwritable)) throw error
        // One entry never stands in the way of those after it.
        return appendEngine(unwritableNotice(entry, error.message), number(entry))
      }
    },
    finish: () => counts.flush(),
    snapshot,
  }
}

function referenceOf({ kind, metadata }: KubernetesObject): ObjectReference {
  const { uid } = metadata
  return { kind, namespace: metadata.namespace ?? '', name: metadata.name, uid: typeof uid === 'string' ? uid : '' }
}

/** better-sqlite3 stores a number as a whole number only where the column or the type says so, and this column holds texts too. */
const toColumn = (version: string | number | null): string | bigint | null =>
  typeof version === 'number' ? BigInt(version) : version

/** What a record of an object says, and its author. */
function stored(
  previous: PackedVersion | undefined,
  { event, object }: { readonly event: ObjectEvent; readonly object: KubernetesObject },
): {
  readonly packed: PackedVersion
  readonly author: Author | undefined
  readonly flags: number
  readonly patch: string
} {
  const { change, packed, before } = previous === undefined ? first(object) : diffPacked(previous, object)
  const author = authorOfEvent(event, { previous: before, current: object })
  const { flags, patch } = storeChange({ change, object, author })
  return { packed, author, flags, patch: fitting(patch) }
}

/** An object that the log has no version of. */
const first = (object: KubernetesObject): Partial<PackedDiff> & Pick<PackedDiff, 'packed'> => ({
  packed: packVersion(object),
})

/** A text that reading would refuse is not written. */
function fitting(text: string): string {
  if (text.length * 3 > MAX_TEXT_BYTES && Buffer.byteLength(text) > MAX_TEXT_BYTES)
    throw new RangeError(`it takes more than ${MAX_TEXT_BYTES} bytes`)
  return text
}

/** An entry that has no form in a log. Nothing of it was written. */
class Unwritable extends Error {}

/** Makes something of an entry; whatever that throws is the entry's fault, and not the log's. */
function preparing<Result>(work: () => Result): Result {
  try {
    return work()
  } catch (error) {
    throw new Unwritable(String(error), { cause: error })
  }
}

function noteVersion(life: Life, version: string | number | null): void {
  if (typeof version === 'number' && (life.newest === undefined || version > life.newest)) life.newest = version
}

const tooOld = (observedAt: number, last: number): AppendOutcome => ({
  type: 'refused',
  code: 'RECORD_TOO_OLD',
  message: `observed at ${new Date(observedAt).toISOString()}, but the last record of the log is of ${new Date(last).toISOString()}`,
})

function typeOf(type: 'sync' | 'config' | 'notice'): number {
  switch (type) {
    case 'sync':
      return TYPE_CODES.SYNC
    case 'config':
      return TYPE_CODES.CONFIG
    case 'notice':
      return TYPE_CODES.NOTICE
    default:
      return assertNever(type)
  }
}

function countSinceSnapshot({ db, snapshots }: LogTables): number {
  const from = snapshots.before(Number.MAX_SAFE_INTEGER)?.seq ?? 0
  return db.prepare('SELECT count(*) FROM records WHERE seq > ? AND object_id IS NOT NULL').pluck().get(from) as number
}
