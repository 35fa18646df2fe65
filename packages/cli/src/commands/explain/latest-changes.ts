import {
  type ChangeLogReader,
  type FateFlip,
  type FlipCause,
  followFate,
  type KubernetesObject,
  loggedConfigAt,
  type LogRecord,
  NO_SEQ,
  type ObjectRecord,
  type ProxyConfig,
  type RecordFilter,
  seq,
  type Seq,
  type ServiceName,
  type State,
} from '@pointsman/core'
import { seqOfLists } from '../../input/point-in-time.js'
import { serviceFate, type ServiceFate } from './answer.js'

/** A record that changed what becomes of packets to a Service, with what is behind it. */
export interface AnswerChange {
  readonly flip: FateFlip<ServiceFate>
  readonly cause: FlipCause
}

export interface LatestChanges {
  /** The newest first. */
  readonly changes: readonly AnswerChange[]
  /** Whether the log holds records of the Service before those that were looked at, or more changes. */
  readonly areMore: boolean
}

interface LatestQuestion {
  readonly reader: ChangeLogReader
  readonly service: ServiceName
  readonly toSeq: Seq
  /** Those of the Service and the Node at `toSeq`. */
  readonly objects: readonly KubernetesObject[]
  readonly nodeName: string | undefined
  readonly config: ProxyConfig
  /** Whether the configurations of the log count, each from its record on. */
  readonly configs: boolean
  /** The state of a node of which more is known than its object says. */
  readonly onNode: (state: State) => State
  readonly limit: number
  /** Records of the Service that are looked at: enough for the latest changes, few enough for a busy log. */
  readonly mostRecords: number
}

/**
 * The latest records that changed the answer, from the latest records of the Service, its slices and the Node alone: of a
 * long log no more than these is read.
 */
export function latestChanges(question: LatestQuestion): LatestChanges {
  const { reader, service, toSeq, nodeName, config, configs, onNode, limit, mostRecords } = question
  const [namespace = '', name = ''] = service.split('/')
  const latest = { types: ['object'], toSeq, descending: true, limit: mostRecords } as const
  const ofService = [...reader.records({ ...latest, object: { namespace, name } })]
  const ofNode = [...reader.records({ ...latest, ...nodeFilter(nodeName) })]
  const cut = [ofService, ofNode].filter((each) => each.length === mostRecords)
  const start = seq(Math.max(NO_SEQ, floorOf(reader), ...cut.map((each) => each.at(-1)?.seq ?? NO_SEQ)))
  const ofConfig = configs ? [...reader.records({ types: ['config'], fromSeq: start, toSeq })] : []
  const records = inOrder([...ofService, ...ofNode, ...ofConfig], start)
  const history = followFate({
    fateAt: (state, inForce) => serviceFate(service, onNode(state), inForce),
    keyOf: ({ signature }: ServiceFate) => signature,
    after: cut.length > 0 ? NO_SEQ : seqOfLists(reader, toSeq),
    nodeName,
    config: (configs ? loggedConfigAt(reader, start) : undefined) ?? config,
    objects: start === NO_SEQ ? [] : versionsBefore(question, records, start),
  })
  for (const record of records) history.take(record)
  const flips = history.flips().toReversed()
  return {
    changes: flips.slice(0, limit).map((flip) => ({ flip, cause: history.causeOf(flip) })),
    areMore: cut.length > 0 || flips.length > limit,
  }
}

const nodeFilter = (nodeName: string | undefined): Pick<RecordFilter, 'kinds' | 'object'> =>
  nodeName === undefined ? { kinds: ['Node'] } : { object: { kind: 'Node', namespace: '', name: nodeName } }

/** The first record of a log whose beginning was pruned: what was before it is there all the same. */
const floorOf = (reader: ChangeLogReader): Seq => {
  const { pruned, firstSeq } = reader.info()
  return pruned ? firstSeq : NO_SEQ
}

/** Each once, the oldest first. */
function inOrder(records: readonly LogRecord[], start: Seq): readonly LogRecord[] {
  const bySeq = new Map(records.filter((record) => record.seq >= start).map((record) => [record.seq, record]))
  return [...bySeq.values()].toSorted((a, b) => a.seq - b.seq)
}

/** The objects of the Service, and the Node, right before a record: each looked up by itself. */
function versionsBefore(
  { reader, objects }: LatestQuestion,
  records: readonly LogRecord[],
  start: Seq,
): readonly KubernetesObject[] {
  const names = new Map<string, ObjectName>()
  for (const { kind, metadata } of objects) note({ kind, namespace: metadata.namespace ?? '', name: metadata.name })
  for (const record of records) if (record.type === 'object') note(record)
  const found = new Map([...names].map(([key, name]) => [key, versionBefore(reader, name, start)]))
  const unseen = [...found].filter(([, version]) => version === undefined).map(([key]) => key)
  return [...[...found.values()].flatMap((version) => version?.object ?? []), ...keptAtFloor(reader, new Set(unseen))]

  function note({ kind, namespace, name }: ObjectName): void {
    names.set(keyOf({ kind, namespace, name }), { kind, namespace, name })
  }
}

type ObjectName = Pick<ObjectRecord, 'kind' | 'namespace' | 'name'>

const keyOf = ({ kind, namespace, name }: ObjectName): string => `${kind} ${namespace}/${name}`

/** The last version before a record, none where that is a deletion; undefined: the log has no record of it before. */
function versionBefore(
  reader: ChangeLogReader,
  object: ObjectName,
  start: Seq,
): { readonly object?: KubernetesObject } | undefined {
  const filter = { types: ['object'], object, toSeq: seq(start - 1), descending: true } as const
  // The log also answers with slices of the Service of that name: then one record is not enough.
  for (const limit of [1, undefined]) {
    for (const record of reader.records({ ...filter, ...(limit !== undefined && { limit }) })) {
      if (record.type !== 'object' || record.name !== object.name) continue
      return record.event === 'DELETED' ? {} : { object: record.object }
    }
  }
  return undefined
}

/** Of a log whose beginning was pruned: objects that have no record since. */
function keptAtFloor(reader: ChangeLogReader, keys: ReadonlySet<string>): readonly KubernetesObject[] {
  const { pruned, firstSeq } = reader.info()
  const kept: KubernetesObject[] = []
  if (!pruned || keys.size === 0) return kept
  reader.eachObjectAt(seq(firstSeq - 1), (object) => {
    const { kind, metadata } = object
    if (keys.has(keyOf({ kind, namespace: metadata.namespace ?? '', name: metadata.name }))) kept.push(object)
  })
  return kept
}
