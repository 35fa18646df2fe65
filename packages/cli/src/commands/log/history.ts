import {
  type ChangeLogReader,
  describeChange,
  diffMergePatch,
  type Json,
  type KubernetesObject,
  type LogRecord,
  OBJECT_KINDS,
  type ObjectKind,
  type ObjectRecord,
  type RecordFilter,
  seq,
  type Seq,
} from '@pointsman/core'
import { CliError } from '../../errors.js'
import { didYouMean } from '../../input/suggest.js'

/** A record with what it changed. */
export interface HistoryEntry {
  readonly record: LogRecord
  /** For people: `describeChange`. Absent for records that are no objects. */
  readonly changes?: readonly string[]
  /** The merge patch (RFC 7396) from the object's version before, or the whole object; absent where it was not asked for. */
  readonly patch?: Json
}

interface HistoryQuestion {
  readonly reader: ChangeLogReader
  readonly filter: RecordFilter
  /** Leaves out what no filter of the log can. */
  readonly accepts: (record: LogRecord) => boolean
  /** Entries wanted. */
  readonly limit: number
  readonly withPatch: boolean
}

/**
 * Entries in the filter's order. Records are read in growing portions: the version before an object's record is the next
 * older one of the same object, and only what a portion does not hold has to be looked up.
 */
export function* history({ reader, filter, accepts, limit, withPatch }: HistoryQuestion): Generator<HistoryEntry> {
  const isDescending = filter.descending === true
  const follow = remembered(reader)
  let wanted = limit
  for (const portion of isDescending ? portionsDown(reader, filter) : portions(reader.records(filter))) {
    // Versions are followed over all records, those that are left out as well.
    const versions = (isDescending ? remembered(reader) : follow)(portion.filter((record) => record.type === 'object'))
    for (const record of isDescending ? portion.toReversed() : portion) {
      if (!accepts(record)) continue
      if (wanted-- <= 0) return
      yield entryOf(record, versions, withPatch)
    }
  }
}

const FIRST_PORTION = 100
const LAST_PORTION = 20_000

/** Records in order, in growing portions: the first comes at once, and long histories are not read bit by bit. */
function* portions(records: Iterable<LogRecord>): Generator<readonly LogRecord[]> {
  let portion: LogRecord[] = []
  let size = FIRST_PORTION
  for (const record of records) {
    portion.push(record)
    if (portion.length < size) continue
    yield portion
    portion = []
    size = Math.min(size * 2, LAST_PORTION)
  }
  yield portion
}

/** From so many records on, a span is read forwards: a log follows versions in one direction, the other costs look-ups. */
const READ_FORWARDS = 1000

/** Portions from the newest to the oldest, each of them in order. */
function* portionsDown(reader: ChangeLogReader, filter: RecordFilter): Generator<readonly LogRecord[]> {
  for (const portion of portions(reader.records(filter))) {
    yield portion.toReversed()
    const last = portion.at(-1)
    if (portion.length < READ_FORWARDS || last === undefined || filter.object !== undefined) continue
    yield* spansDown(reader, filter, { before: last.seq })
    return
  }
}

function* spansDown(
  reader: ChangeLogReader,
  filter: RecordFilter,
  { before }: { readonly before: Seq },
): Generator<readonly LogRecord[]> {
  const first = Math.max(filter.fromSeq ?? 1, reader.info().firstSeq)
  for (let end = before - 1; end >= first; end -= LAST_PORTION) {
    const start = Math.max(first, end - LAST_PORTION + 1)
    yield [...reader.records({ ...filter, descending: false, fromSeq: seq(start), toSeq: seq(end) })]
  }
}

/** Answers the versions before the given records, for those that had one. */
type OlderVersions = (records: readonly ObjectRecord[]) => ReadonlyMap<Seq, KubernetesObject>

function entryOf(record: LogRecord, older: ReturnType<OlderVersions>, withPatch: boolean): HistoryEntry {
  if (record.type !== 'object') return { record }
  const previous = older.get(record.seq)
  const changes = describeChange({ event: record.event, previous, object: record.object })
  return { record, changes, ...(withPatch && { patch: diffMergePatch(previous, record.object) ?? {} }) }
}

/** For records that come in order: each object's last version is kept from one portion to the next. */
function remembered(reader: ChangeLogReader): OlderVersions {
  const last = new Map<string, KubernetesObject | undefined>()
  return (records) => {
    const older = new Map<Seq, KubernetesObject>()
    const unseen = firstOfEach(records).filter((record) => !last.has(keyOf(record)))
    for (const [key, object] of versionsBefore(reader, unseen)) last.set(key, object)
    for (const record of records) {
      const previous = last.get(keyOf(record))
      if (previous !== undefined) older.set(record.seq, previous)
      last.set(keyOf(record), record.event === 'DELETED' ? undefined : record.object)
    }
    return older
  }
}

/** From here on, all objects at the portion's beginning cost less than each by itself. */
const MANY = 200

function versionsBefore(
  reader: ChangeLogReader,
  records: readonly ObjectRecord[],
): readonly (readonly [string, KubernetesObject | undefined])[] {
  const [first] = records
  if (first === undefined) return []
  if (records.length < MANY) return records.map((record) => [keyOf(record), versionBefore(reader, record)])
  const objects = new Map(reader.objectsAt(before(first.seq)).objects.map((object) => [keyOfObject(object), object]))
  return records.map((record) => [keyOf(record), objects.get(keyOf(record))])
}

function versionBefore(reader: ChangeLogReader, record: ObjectRecord): KubernetesObject | undefined {
  const { kind, namespace, name } = record
  const filter = {
    object: { kind, namespace, name },
    toSeq: before(record.seq),
    types: ['object'],
    descending: true,
  } as const
  for (const older of reader.records(filter)) {
    // The log also answers with slices of the Service of that name.
    if (older.type !== 'object' || older.name !== name) continue
    return older.event === 'DELETED' ? undefined : older.object
  }
  return undefined
}

function firstOfEach(records: readonly ObjectRecord[]): readonly ObjectRecord[] {
  const first = new Map<string, ObjectRecord>()
  for (const record of records) if (!first.has(keyOf(record))) first.set(keyOf(record), record)
  return [...first.values()]
}

const before = (position: Seq): Seq => seq(position - 1)

const keyOf = ({ kind, namespace, name }: Pick<ObjectRecord, 'kind' | 'namespace' | 'name'>): string =>
  `${kind} ${namespace}/${name}`
const keyOfObject = ({ kind, metadata }: KubernetesObject): string =>
  keyOf({ kind, namespace: metadata.namespace ?? '', name: metadata.name })

type RecordType = LogRecord['type']
type EventType = 'ADDED' | 'MODIFIED' | 'DELETED'

/** Which records `--type` asks for: whole types, and events of objects. */
export interface WantedTypes {
  readonly types: readonly RecordType[]
  /** Absent: every event. */
  readonly events?: readonly EventType[]
}

const RECORD_TYPES: readonly RecordType[] = ['object', 'bookmark', 'sync', 'config', 'notice']
const EVENT_TYPES: readonly EventType[] = ['ADDED', 'MODIFIED', 'DELETED']

/** Without `--type` everything but bookmarks, which say nothing to people. */
export function parseTypes(given: readonly string[]): WantedTypes {
  const names = given.flatMap((text) => text.split(','))
  if (names.length === 0) return { types: RECORD_TYPES.filter((type) => type !== 'bookmark') }
  const types = new Set<RecordType>()
  const events: EventType[] = []
  for (const name of names) {
    const event = EVENT_TYPES.find((one) => one === name.toUpperCase())
    const type = RECORD_TYPES.find((one) => one === name.toLowerCase())
    if (event === undefined && type === undefined) throw unknown('--type', name, [...RECORD_TYPES, ...EVENT_TYPES])
    types.add(type ?? 'object')
    if (event !== undefined) events.push(event)
  }
  return { types: [...types], ...(events.length === 0 || names.includes('object') ? {} : { events }) }
}

/** Kinds as kubectl takes them: `Service`, `services`, `svc`. */
export function parseKinds(given: readonly string[]): readonly ObjectKind[] {
  return given
    .flatMap((text) => text.split(','))
    .map((name) => {
      const kind = OBJECT_KINDS.find((one) => spellings(one).includes(name.toLowerCase()))
      if (kind === undefined) throw unknown('--kind', name, OBJECT_KINDS)
      return kind
    })
}

/** Whether an author is the one that `--by` names; a name of a client stands for all its versions. */
export function isBy({ author }: ObjectRecord, by: string): boolean {
  if (author === undefined) return false
  const { manager, requester } = author
  if (manager === by || requester === undefined) return manager === by
  const { user, userAgent, impersonatedBy } = requester
  return (
    user === by ||
    user === `system:serviceaccount:${by}` ||
    impersonatedBy === by ||
    (userAgent !== undefined && (userAgent === by || userAgent.startsWith(`${by}/`)))
  )
}

const SHORT: { readonly [kind in ObjectKind]: readonly string[] } = {
  Service: ['svc'],
  EndpointSlice: ['eps'],
  Node: ['no'],
  ServiceCIDR: [],
}
const spellings = (kind: ObjectKind): readonly string[] => [
  kind.toLowerCase(),
  `${kind.toLowerCase()}s`,
  ...SHORT[kind],
]

function unknown(option: string, name: string, known: readonly string[]): CliError {
  return new CliError('USAGE', `${option} ${name}: give ${known.join(', ')}${didYouMean(name, known)}`)
}

interface ServiceQuestion {
  readonly reader: ChangeLogReader
  /** `checkout` or `shop/checkout`. */
  readonly service: string
  readonly namespace: string | undefined
}

/** Finds the Service in the log, in all its life. CliError NOT_FOUND, USAGE where several namespaces have one. */
export function serviceFilter({ reader, service, namespace }: ServiceQuestion): NonNullable<RecordFilter['object']> {
  const parts = service.split('/')
  const [first = '', second] = parts
  if (parts.length > 2 || parts.includes(''))
    throw new CliError('USAGE', `${service}: name a service as NAME or NAMESPACE/NAME`)
  const inNamespace = second === undefined ? namespace : first
  const name = second ?? first
  if (inNamespace !== undefined && holdsObject(reader, inNamespace, name)) return { namespace: inNamespace, name }
  const known = new Set<string>()
  for (const record of reader.records({ types: ['object'], kinds: ['Service'] })) {
    if (record.type === 'object') known.add(`${record.namespace}/${record.name}`)
  }
  const found = [...known].filter((full) => full.endsWith(`/${name}`) && inNamespace === undefined).sort()
  const [only] = found
  if (only !== undefined && found.length === 1) return { namespace: only.slice(0, only.indexOf('/')), name }
  if (found.length > 1) throw new CliError('USAGE', `${name} is ambiguous: give one of ${found.join(', ')}`)
  const names = second === undefined ? [...known].map((full) => full.slice(full.indexOf('/') + 1)) : known
  throw new CliError('NOT_FOUND', `the log has no service ${service}${didYouMean(service, names)}`)
}

function holdsObject(reader: ChangeLogReader, namespace: string, name: string): boolean {
  for (const _ of reader.records({ object: { namespace, name }, limit: 1 })) return true
  return false
}
