import { endpointCondition, endpointKey, type Endpoint } from '../model/endpoint.js'
import { isClusterScoped, type KubernetesObject } from '../model/kubernetes-object.js'
import { assertNever } from '../model/language.js'
import { serviceOf, type ServiceName } from '../model/names.js'
import { DEFAULT_PROXY_CONFIG, type ProxyConfig } from '../model/proxy-config.js'
import { NO_SEQ, seq, type LogRecord, type ObjectRecord, type Seq } from '../model/record.js'
import { loggedConfigAt, type ChangeLogReader, type RecordFilter } from '../ports/change-log.js'
import type { RuleItem, RulePlanner } from '../ports/dataplane.js'
import { describeChange } from './describe-change.js'
import {
  createRuleHistory,
  usedEndpoints,
  type BlamedRule,
  type GoneRule,
  type PortMoment,
  type RuleChange,
  type RuleHistory,
  type RuleHistoryOptions,
} from './rule-history.js'

interface BlameQuestion<Item extends RuleItem = RuleItem> extends Pick<
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
  isClusterScoped(object.kind) || serviceOf(object) === service

interface TouchingQuestion extends Pick<BlameQuestion, 'service' | 'nodeName'> {
  readonly fromSeq: Seq
  readonly toSeq: Seq
  /** Whether the configurations of the log count. */
  readonly configs: boolean
}

/**
 * The records that can touch a node's rules, in order: of one Service those of itself and its slices, found by index, of the
 * Node, of ServiceCIDRs, and of the configuration. No other record changes what that Service's rules say.
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
    { ...span, types: ['object'], kinds: ['ServiceCIDR'] },
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

/**
 * What a change was to one rule, in a few words for people: `endpoint 10.244.1.14:8080 (checkout-v1-0): not ready -> ready`,
 * `2 -> 0 endpoints in use`, `Service: selector app=a -> app=b`.
 */
export function whatChanged(
  { cause, before, after }: RuleChange,
  { item }: Pick<BlamedRule, 'item'>,
  { endpointOf }: Pick<RulePlanner, 'endpointOf'>,
): string {
  switch (cause.type) {
    case 'start':
      return 'there where the log begins'
    case 'config':
      return 'the configuration'
    case 'object':
      break
    default:
      assertNever(cause)
  }
  const { record, previous } = cause
  if (record.kind !== 'EndpointSlice') return objectChange(record, previous)
  const endpoint = (before && endpointOf(item, before)) ?? (after && endpointOf(item, after))
  return endpoint === undefined ? countChange({ before, after }) : endpointChange(endpoint, { before, after })
}

/** What changed a rule's odds and nothing else of it: `neighbour 10.244.1.9:8080 came`. */
export function whoseOdds({ cause, before, after }: RuleChange): string {
  const [was, is] = [usedEndpoints(before), usedEndpoints(after)]
  const came = is.filter((one) => !was.some((other) => isSame(one, other)))
  const left = was.filter((one) => !is.some((other) => isSame(one, other)))
  const parts = [...told(came, 'came'), ...told(left, 'left')]
  if (parts.length > 0) return parts.join(', ')
  return cause.type === 'object' ? objectChange(cause.record, cause.previous) : countChange({ before, after })
}

interface Moments {
  readonly before: PortMoment | undefined
  readonly after: PortMoment | undefined
}

function told(endpoints: readonly Endpoint[], verb: string): readonly string[] {
  const [only] = endpoints
  if (only === undefined) return []
  return [endpoints.length === 1 ? `neighbour ${named(only)} ${verb}` : `${endpoints.length} neighbours ${verb}`]
}

function objectChange(record: ObjectRecord, previous: ObjectRecord | undefined): string {
  const { kind, event, object } = record
  if (event === 'DELETED') return `${kind} deleted`
  if (event === 'ADDED' && previous === undefined) return `${kind} ${isNew(record) ? 'created' : 'first seen'}`
  const [first = '', ...others] = describeChange({ event, previous: previous?.object, object })
  return `${kind}: ${first}${others.length === 0 ? '' : ` and ${others.length} more`}`
}

/** What a watch reports as added may have been there for long. */
function isNew({ object, observedAt }: ObjectRecord): boolean {
  const created = object.metadata['creationTimestamp']
  return typeof created === 'string' && observedAt - Date.parse(created) < SOON_MS
}

/** Times of creation are whole seconds, and clocks differ. */
const SOON_MS = 10_000

const countChange = ({ before, after }: Moments): string =>
  `${usedEndpoints(before).length} -> ${usedEndpoints(after).length} endpoints in use`

function endpointChange(endpoint: Endpoint, { before, after }: Moments): string {
  const was = before?.endpoints.find((one) => isSame(one, endpoint))
  const is = after?.endpoints.find((one) => isSame(one, endpoint))
  const name = `endpoint ${named(endpoint)}`
  if (was === undefined) return `${name} came`
  if (is === undefined) return `${name} left`
  const conditions = [endpointCondition(was), endpointCondition(is)]
  if (conditions[0] !== conditions[1]) return `${name}: ${conditions.join(' -> ')}`
  const isUsed = usedEndpoints(after).some((one) => isSame(one, endpoint))
  return `${name} ${isUsed ? 'in use' : 'no longer in use'}: ${countChange({ before, after })}`
}

const named = (endpoint: Endpoint): string =>
  `${endpointKey(endpoint)}${endpoint.pod === undefined ? '' : ` (${endpoint.pod})`}`

const isSame = (one: Endpoint, other: Endpoint): boolean => one.address === other.address && one.port === other.port
