import type { KubernetesObject } from '../model/kubernetes-object.js'
import { type ServiceName, serviceOf } from '../model/names.js'
import { DEFAULT_PROXY_CONFIG, type ProxyConfig } from '../model/proxy-config.js'
import { type LogRecord, NO_SEQ, seq, type Seq } from '../model/record.js'
import { type ChangeLogReader, loggedConfigAt, type RecordFilter } from '../ports/change-log.js'
import type { RuleItem } from '../ports/rule-item.js'
import {
  type BlamedRule,
  createRuleHistory,
  type GoneRule,
  type RuleHistory,
  type RuleHistoryOptions,
} from './rule-history.js'

export interface BlameQuestion<Item extends RuleItem = RuleItem> extends Pick<
  RuleHistoryOptions<Item>,
  'planner' | 'options' | 'nodeName'
> {
  readonly reader: ChangeLogReader
  /** Rules are asked for as they were after this record. */
  readonly toSeq: Seq
  /**
   * Only of this Service; `none`: the rules that exist whatever Services there are; absent: of all, from every record of
   * the log.
   */
  readonly service?: ServiceName | 'none' | undefined
  /** `recorded`: those of the log, each from its record on. */
  readonly config: ProxyConfig | 'recorded'
  /** Which rules are asked about; absent: all. */
  readonly accepts?: (item: Item) => boolean
}

export interface Blame<Item extends RuleItem = RuleItem> {
  readonly rules: readonly BlamedRule<Item>[]
  /** Those that no longer exist, of the last record that removed any. */
  readonly lastGone: readonly GoneRule<Item>[]
  readonly editBehind: RuleHistory['editBehind']
}

/**
 * Where rules come from: each with the records that made it and that last changed it. Yields the position that it has come
 * to every so often, so that a long history can be watched and given up.
 */
export function* blameRules<Item extends RuleItem>(
  question: BlameQuestion<Item>,
): Generator<Seq, Blame<Item>, undefined> {
  const { planner, reader, toSeq, service, nodeName, options, accepts } = question
  const { pruned, firstSeq } = reader.info()
  const floor = pruned ? seq(firstSeq - 1) : NO_SEQ
  const history = createRuleHistory({
    planner,
    options,
    nodeName,
    config: question.config === 'recorded' ? (loggedConfigAt(reader, floor) ?? DEFAULT_PROXY_CONFIG) : question.config,
    ...(accepts && { accepts }),
    ...(pruned && { objects: objectsAt(floor, question) }),
  })
  let lastGone: readonly GoneRule<Item>[] = []
  const configs = question.config === 'recorded'
  let count = 0
  for (const record of touchingRecords(reader, { fromSeq: seq(floor + 1), toSeq, service, nodeName, configs })) {
    const gone = history.take(record)
    if (gone.length > 0) lastGone = gone
    if (++count % BREATH === 0) yield record.seq
  }
  return { rules: history.rules(), lastGone, editBehind: (cause) => history.editBehind(cause) }
}

const BREATH = 500

function objectsAt(
  floor: Seq,
  { reader, service }: Pick<BlameQuestion, 'reader' | 'service'>,
): readonly KubernetesObject[] {
  const objects: KubernetesObject[] = []
  reader.eachObjectAt(floor, (object) => {
    if (service === undefined || isAbout(object, service)) objects.push(object)
  })
  return objects
}

const isAbout = (object: KubernetesObject, service: ServiceName | 'none'): boolean =>
  object.kind === 'Node' || serviceOf(object) === service

interface TouchingQuestion extends Pick<BlameQuestion, 'service' | 'nodeName'> {
  readonly fromSeq: Seq
  readonly toSeq: Seq
  /** Whether the configurations of the log count. */
  readonly configs: boolean
}

/**
 * The records that can touch a node's rules, in order: of one Service those of itself and its slices, found by index, of the
 * Node, and of the configuration. No other record changes what that Service's rules say.
 */
function* touchingRecords(
  reader: Pick<ChangeLogReader, 'records'>,
  { fromSeq, toSeq, service, nodeName, configs }: TouchingQuestion,
): Generator<LogRecord, void, undefined> {
  const span = { fromSeq, toSeq }
  if (service === undefined) {
    yield* reader.records({ ...span, types: ['object', ...(configs ? (['config'] as const) : [])] })
    return
  }
  const [namespace = '', name = ''] = service.split('/')
  const filters: readonly RecordFilter[] = [
    ...(service === 'none' ? [] : [{ ...span, types: ['object' as const], object: { namespace, name } }]),
    nodeName === undefined
      ? { ...span, types: ['object'], kinds: ['Node'] }
      : { ...span, types: ['object'], object: { kind: 'Node', namespace: '', name: nodeName } },
    ...(configs ? [{ ...span, types: ['config' as const] }] : []),
  ]
  yield* recordsInOrder(filters.map((filter) => reader.records(filter)))
}

/** Records of several histories, each of them in order, as one; a record that is in two of them once. */
export function* recordsInOrder(histories: readonly Iterable<LogRecord>[]): Generator<LogRecord, void, undefined> {
  const iterators = histories.map((history) => history[Symbol.iterator]())
  const waiting = iterators.map(nextOf)
  for (;;) {
    const record = waiting.reduce(earlier, undefined)
    if (record === undefined) return
    yield record
    for (const [index, iterator] of iterators.entries()) {
      if (waiting[index]?.seq === record.seq) waiting[index] = nextOf(iterator)
    }
  }
}

function nextOf(iterator: Iterator<LogRecord>): LogRecord | undefined {
  const next = iterator.next()
  return next.done === true ? undefined : next.value
}

const earlier = (one: LogRecord | undefined, other: LogRecord | undefined): LogRecord | undefined =>
  one === undefined || (other !== undefined && other.seq < one.seq) ? other : one
