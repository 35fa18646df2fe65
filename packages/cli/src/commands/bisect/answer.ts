import {
  buildState,
  fateKey,
  findBreak,
  isClusterScoped,
  followFate,
  loggedConfigAt,
  NO_SEQ,
  recordsInOrder,
  seq,
  serviceName,
  serviceOf,
  servicePortsOf,
  touchesPacket,
  type Broken,
  type ChangeLogReader,
  type FateFlip,
  type FateHistory,
  type FateQuestion,
  type FlipCause,
  type IpFamily,
  type KubernetesObject,
  type LogRecord,
  type NodeInfo,
  type PacketFate,
  type PacketTarget,
  type Protocol,
  type RecordFilter,
  type Seq,
  type ServiceName,
  type State,
} from '@pointsman/core'
import { CliError } from '../../errors.js'
import { describeAsked, type AskedObjects } from '../../input/open-input.js'
import { resolvePacket, type PacketText, type ResolvedPacket } from '../../packet/resolve-packet.js'
import { serviceFilter } from '../log/history.js'
import type { BisectQuestion, BisectSpan } from './question.js'

export interface Bisection extends Broken {
  /** In order. */
  readonly flips: readonly FateFlip[]
  /** At the beginning and at the end of the span. */
  readonly first: PacketFate
  readonly last: PacketFate
  readonly causeOf: (flip: FateFlip) => FlipCause
  /** Services that have or had a front that the packet is sent to. */
  readonly services: readonly ServiceName[]
  /** Records of the span that could touch the packet. */
  readonly candidates: number
}

/** Follows the packet from record to record. Yields the position every so often, to be watched and given up. */
export function* bisect(question: BisectQuestion): Generator<Seq, Bisection, undefined> {
  const { packet, fateAt, isGoodAtFrom, node } = question
  const { history, keyOf, ...searched } = yield* searchSpan(question, {
    targets: [packet],
    nodeName: node?.name,
    begin: (start) => followFate({ ...start, fateAt, nodeName: node?.name }),
  })
  const flips = history.flips()
  const first = history.first()
  return {
    ...findBreak(flips, { keyOf, ...(isGoodAtFrom && { good: first }) }),
    ...searched,
    flips,
    first,
    last: history.last(),
    causeOf: (flip) => history.causeOf(flip),
  }
}

interface Search<History> {
  readonly targets: readonly PacketTarget[]
  /** The node that the packet is on; absent: any Node counts. */
  readonly nodeName: string | undefined
  readonly begin: (start: Omit<FateQuestion<PacketFate>, 'fateAt' | 'nodeName'>) => History
}

/** Gives a history all records of a span that its packets' fates can depend on. Yields the position every so often. */
export function* searchSpan<History extends Pick<FateHistory, 'take'>>(
  span: BisectSpan,
  { targets, nodeName, begin }: Search<History>,
): Generator<
  Seq,
  Pick<Bisection, 'services' | 'candidates'> & {
    readonly history: History
    readonly keyOf: (fate: PacketFate) => string
  },
  undefined
> {
  const { reader, exact, from, to, configs } = span
  const keyOf = (fate: PacketFate): string => fateKey(fate, exact)
  const after = startFor(span)
  const { services, objects, records } = candidatesFor({ reader, targets, after, toSeq: to.seq, nodeName, configs })
  const config = (configs ? loggedConfigAt(reader, after) : undefined) ?? span.config
  const history = begin({ keyOf, after: from.seq, config, objects })
  let candidates = 0
  let taken = 0
  for (const record of records()) {
    history.take(record)
    if (record.seq > from.seq) candidates++
    if (++taken % BREATH === 0) yield record.seq
  }
  return { history, keyOf, services, candidates }
}

const BREATH = 500

function floorOf({ reader }: Pick<BisectQuestion, 'reader'>): Seq {
  const { pruned, firstSeq } = reader.info()
  return pruned ? ((firstSeq - 1) as Seq) : NO_SEQ
}

/** An edit is behind what follows within minutes: so much more than what is asked about has to be read. */
function startFor(question: Pick<BisectSpan, 'reader' | 'from' | 'isGoodAtFrom'>): Seq {
  const { reader, from, isGoodAtFrom } = question
  const floor = floorOf(question)
  if (!isGoodAtFrom || from.time === undefined) return floor
  const found = reader.seqAt(from.time - LONGEST_WAY_MS)
  return found > floor ? found : floor
}

const LONGEST_WAY_MS = 5 * 60_000

interface CandidateQuestion {
  readonly reader: ChangeLogReader
  readonly targets: readonly PacketTarget[]
  /** Records after this one, up to that one. */
  readonly after: Seq
  readonly toSeq: Seq
  /** The node that the packet is on; absent: any Node counts. */
  readonly nodeName: string | undefined
  /** Whether the configurations of the log count. */
  readonly configs: boolean
}

/** All that a packet's fate can depend on in a span of a log, and nothing else of it. */
interface Candidates {
  /** Services that have, or had, a front that the packet is sent to. */
  readonly services: readonly ServiceName[]
  /** What is there before the first record. */
  readonly objects: readonly KubernetesObject[]
  /** In order, found by index: of these Services, their slices, the Node and the configuration. */
  readonly records: () => Iterable<LogRecord>
}

function candidatesFor({ reader, targets, after, toSeq, nodeName, configs }: CandidateQuestion): Candidates {
  const span = { fromSeq: seq(after + 1), toSeq }
  const services = new Set<ServiceName>()
  const noteService = (object: KubernetesObject): void => {
    const { kind, metadata } = object
    if (kind !== 'Service') return
    const name = serviceName(metadata.namespace ?? '', metadata.name)
    if (
      !services.has(name) &&
      servicePortsOf(object).ports.some((port) => targets.some((target) => touchesPacket(port, target)))
    )
      services.add(name)
  }
  for (const record of reader.records({ ...span, types: ['object'], kinds: ['Service'] }))
    if (record.type === 'object') noteService(record.object)
  const objects: KubernetesObject[] = []
  if (after > 0) {
    reader.eachObjectAt(after, noteService)
    reader.eachObjectAt(after, (object) => {
      const service = serviceOf(object)
      if (isClusterScoped(object.kind) || (service !== undefined && services.has(service))) objects.push(object)
    })
  }
  const filters: readonly RecordFilter[] = [
    ...[...services].map((service): RecordFilter => {
      const [namespace = '', name = ''] = service.split('/')
      return { ...span, types: ['object'], object: { namespace, name } }
    }),
    nodeName === undefined
      ? { ...span, types: ['object'], kinds: ['Node'] }
      : { ...span, types: ['object'], object: { kind: 'Node', namespace: '', name: nodeName } },
    { ...span, types: ['object'], kinds: ['ServiceCIDR'] },
    ...(configs ? [{ ...span, types: ['config' as const] }] : []),
  ]
  return {
    services: [...services].toSorted(),
    objects,
    records: () => recordsInOrder(filters.map((filter) => reader.records(filter))),
  }
}

interface AnyTimeQuestion {
  readonly packet: PacketText<Protocol>
  readonly state: State
  readonly node: NodeInfo | undefined
  readonly nodeAddresses: readonly string[]
  readonly family: IpFamily | undefined
  readonly reader: ChangeLogReader
  readonly asked: AskedObjects
}

/**
 * The packet in addresses. The name of a Service, or of a port of it, that is there no longer means what it meant last. CliError
 * NOT_FOUND and USAGE as resolvePacket.
 */
export function resolveAtAnyTime(question: AnyTimeQuestion): {
  readonly packet: ResolvedPacket<Protocol>
  readonly assumption?: string
} {
  const { packet, state, node, nodeAddresses, family } = question
  const resolveIn = (names: State): ResolvedPacket<Protocol> =>
    resolvePacket({ packet, names, node, nodeAddresses, family })
  try {
    return { packet: resolveIn(state) }
  } catch (error) {
    if (!(error instanceof CliError) || error.code !== 'NOT_FOUND') throw error
    const found = lastResolved(question, resolveIn)
    if (found === undefined) throw error
    const { host, port } = packet.destination
    const name = port === undefined ? host : `${host}:${port}`
    return {
      packet: found.packet,
      assumption: `${name} is not there ${describeAsked(question.asked)}: taken for what it was at seq ${found.seq}`,
    }
  }
}

/** The names of today, with the Service as it was, the latest version first that has what is asked for. */
function lastResolved(
  { packet: { destination }, state, reader, asked }: AnyTimeQuestion,
  resolveIn: (names: State) => ResolvedPacket<Protocol>,
): { readonly packet: ResolvedPacket<Protocol>; readonly seq: number } | undefined {
  const object = serviceEver(reader, destination.host)
  if (object === undefined || asked.seq === undefined) return undefined
  for (const record of reader.records({
    types: ['object'],
    object: { kind: 'Service', ...object },
    toSeq: asked.seq,
    descending: true,
  })) {
    if (record.type !== 'object') continue
    const { services } = buildState({ objects: [record.object] }).state
    try {
      return { packet: resolveIn({ ...state, services: new Map([...state.services, ...services]) }), seq: record.seq }
    } catch (error) {
      if (!(error instanceof CliError)) throw error
    }
  }
  return undefined
}

function serviceEver(reader: ChangeLogReader, service: string): ReturnType<typeof serviceFilter> | undefined {
  try {
    return serviceFilter({ reader, service, namespace: undefined })
  } catch (error) {
    if (error instanceof CliError) return undefined
    throw error
  }
}
