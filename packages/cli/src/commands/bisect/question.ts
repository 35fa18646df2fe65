import {
  arrivalOf,
  assertNever,
  isLoopback,
  nodeWithoutObject,
  parseAddress,
  route,
  type ChangeLogReader,
  type NodeInfo,
  type Packet,
  type PacketFate,
  type Protocol,
  type ProxyConfig,
  type State,
} from '@pointsman/core'
import { warn, type Context } from '../../context.js'
import { CliError } from '../../errors.js'
import { type AskedObjects, objectsAtPoint, type Input } from '../../input/open-input.js'
import { pointAt, resolvePoint, seqOfLists, type ResolvedPoint } from '../../input/point-in-time.js'
import { givesConfig } from '../../input/proxy-config.js'
import { interfaceAddressesOf, rulesQuestion, type RulesQuestionOptions } from '../../input/rules-question.js'
import { formatTime } from '../../output/json.js'
import {
  meansBothFamilies,
  packetFamilyAsked,
  type PacketText,
  parseServicePacket,
  type ResolvedPacket,
} from '../../packet/resolve-packet.js'
import { resolveAtAnyTime } from './answer.js'

/** As commander parses the options of `bisect`. */
export interface BisectOptions extends RulesQuestionOptions {
  readonly log?: string
  readonly good?: string
  readonly bad?: string
  readonly exact?: true
  readonly inInterface?: string
}

/** Which records of which log, and what counts as a change. */
export interface BisectSpan {
  readonly reader: ChangeLogReader
  readonly exact: boolean
  /** Flips count after this record. */
  readonly from: ResolvedPoint
  /** That the packet was as it should be at `from`. */
  readonly isGoodAtFrom: boolean
  readonly to: ResolvedPoint
  readonly config: ProxyConfig
  /** Whether each configuration of the log counts from its record on. */
  readonly configs: boolean
  /** What was taken for granted, for people. */
  readonly assumptions: readonly string[]
}

export interface BisectQuestion extends BisectSpan {
  readonly packet: ResolvedPacket<Protocol>
  readonly fateAt: (state: State, config: ProxyConfig) => PacketFate
  readonly node: NodeInfo | undefined
  /** The state at `to`, for names. */
  readonly state: State
}

/** Of every Node at `to`. */
export interface NodesQuestion extends BisectSpan {
  /** As it was written. */
  readonly packetText: string
  /** What it is on each Node, by the Node's name, in order: in addresses, and as `route` is asked. */
  readonly packets: ReadonlyMap<string, PacketOnNode>
  /** The addresses that each node is given by options. */
  readonly nodeAddresses: readonly string[] | undefined
}

export interface PacketOnNode {
  readonly packet: ResolvedPacket<Protocol>
  readonly mockPacket: Packet
}

/** CliError USAGE for points in the wrong order, and for what is no packet; NOT_FOUND for names that the log never had. */
export async function bisectQuestion(
  text: string,
  options: BisectOptions,
  { input, context }: { readonly input: Extract<Input, { type: 'log' }>; readonly context: Context },
): Promise<BisectQuestion> {
  const { reader } = input
  const packetText = parseServicePacket(text)
  const span = spanOf(reader, options, context)
  const asked = objectsAtPoint(reader, span.to)
  const { state, config } = await rulesQuestion(asked, options, context, { anyMode: true })
  const { node } = state
  const { packet, mockPacket, assumptions } = packetOn(node, { packetText, options, state, config, reader, asked })
  const addresses = interfaceAddressesOf(options)
  return {
    ...askedSpan(options, { reader, span, asked, config }),
    packet,
    fateAt: (at, inForce) => route(onNode(at, { name: node?.name, addresses }), inForce, mockPacket),
    node,
    state,
    assumptions,
  }
}

/** As `bisectQuestion`, of every Node. CliError BAD_INPUT where there is none. */
export async function nodesQuestion(
  text: string,
  options: BisectOptions,
  { input, context }: { readonly input: Extract<Input, { type: 'log' }>; readonly context: Context },
): Promise<NodesQuestion> {
  const { reader } = input
  const packetText = parseServicePacket(text)
  const span = spanOf(reader, options, context)
  const asked = objectsAtPoint(reader, span.to)
  const names = asked.objects.flatMap(({ kind, metadata }) => (kind === 'Node' ? [metadata.name] : [])).toSorted()
  const [first] = names
  if (first === undefined) throw new CliError('BAD_INPUT', '--node all: the log has no Node')
  const { state, config } = await rulesQuestion(asked, { ...options, node: first }, context, { anyMode: true })
  const packets = new Map<string, PacketOnNode>()
  const assumptions = new Set<string>()
  for (const name of names) {
    const found = packetOn(state.nodes.get(name), { packetText, options, state, config, reader, asked })
    packets.set(name, found)
    for (const assumption of found.assumptions) assumptions.add(assumption)
  }
  return {
    ...askedSpan(options, { reader, span, asked, config }),
    packetText: text,
    packets,
    nodeAddresses: interfaceAddressesOf(options)?.filter(isNoLoopback),
    assumptions: [...assumptions],
  }
}

const askedSpan = (
  options: BisectOptions,
  {
    reader,
    span: { from, to },
    asked,
    config,
  }: Pick<BisectSpan, 'reader' | 'config'> & {
    readonly span: Pick<BisectSpan, 'from' | 'to'>
    readonly asked: AskedObjects
  },
): Omit<BisectSpan, 'assumptions'> => ({
  reader,
  exact: options.exact === true,
  from,
  isGoodAtFrom: options.good !== undefined,
  to,
  config,
  configs: !givesConfig(options) && asked.logged !== undefined,
})

interface PacketQuestion {
  readonly packetText: PacketText<Protocol>
  readonly options: BisectOptions
  readonly state: State
  readonly config: ProxyConfig
  readonly reader: ChangeLogReader
  readonly asked: AskedObjects
}

/** The packet as it is on one node, at `to`. */
function packetOn(
  node: NodeInfo | undefined,
  { packetText, options, state, config, reader, asked }: PacketQuestion,
): PacketOnNode & { readonly assumptions: readonly string[] } {
  const givenAddresses = interfaceAddressesOf(options)
  const nodeAddresses = (givenAddresses ?? node?.addresses ?? []).filter((address) => !isLoopback(address))
  const family = packetFamilyAsked(options)
  const { packet, assumption } = resolveAtAnyTime({
    packet: packetText,
    state,
    node,
    nodeAddresses,
    family,
    reader,
    asked,
  })
  const arrival = assumedArrival(packet, { config, options })
  const mockPacket: Packet = {
    from:
      packetText.source.host === 'outside' || packetText.source.host === 'node'
        ? packetText.source.host
        : packet.source,
    to: packet.destination,
    port: packet.destinationPort,
    protocol: packet.protocol,
    ...(arrival.interface !== undefined && { interface: arrival.interface }),
  }
  const assumptions = [assumption, arrival.assumption, localhostWords({ packet: packetText, family }, packet)]
  return { packet, mockPacket, assumptions: assumptions.filter((each) => each !== undefined) }
}

/** kube-proxy has no node ports on IPv6 loopback: what is sent there reaches no Service, whatever the records say. */
function localhostWords(
  question: Parameters<typeof meansBothFamilies>[0],
  { destination, destinationPort }: ResolvedPacket,
): string | undefined {
  if (!meansBothFamilies(question)) return undefined
  return `localhost is also ::1, where no Service answers, whatever the records: this is about ${destination} (give [::1]:${destinationPort} for the other)`
}

/** Where to look: from `--good`, else from where the lists had been received, to `--bad`, else to the last record. */
function spanOf(
  reader: ChangeLogReader,
  { good, bad }: BisectOptions,
  context: Context,
): { readonly from: ResolvedPoint; readonly to: ResolvedPoint } {
  const to = resolvePoint({ reader, text: bad, option: '--bad' })
  const from =
    good === undefined
      ? pointAt(reader, seqOfLists(reader, to.seq))
      : resolvePoint({ reader, text: good, option: '--good' })
  if (from.seq > to.seq)
    throw new CliError(
      'USAGE',
      `--good ${good ?? ''} is after ${bad === undefined ? 'the last record' : `--bad ${bad}`}`,
    )
  if (to.afterEnd !== undefined && to.time !== undefined)
    warn(context, `the log ends at ${formatTime(to.time)}, before --bad ${bad ?? ''}: its last record is looked at`)
  return { from, to }
}

interface AssumedArrival {
  readonly interface?: string
  readonly assumption?: string
}

/** How a packet arrives is taken for what it is at the end: one packet is followed, whatever else is sent. */
function assumedArrival(
  packet: ResolvedPacket,
  { config, options }: { readonly config: ProxyConfig; readonly options: BisectOptions },
): AssumedArrival {
  if (options.inInterface !== undefined) return { interface: options.inInterface }
  const { source } = packet
  const arrival = arrivalOf(packet, config)
  switch (arrival.type) {
    case 'pod':
      return {
        interface: arrival.interface,
        assumption: `${source} is a pod of this node: taken to arrive by ${arrival.interface} (--in-interface)`,
      }
    case 'another':
      return {
        interface: 'another',
        assumption: `${source} is no pod of this node: taken to arrive by another interface than a pod's (--in-interface)`,
      }
    case 'unknown':
      return {}
    default:
      return assertNever(arrival)
  }
}

/** The node as it is asked about: also where its object is not known, and with the addresses that were given. */
function onNode(
  { node: seen, ...state }: State,
  { name, addresses }: { readonly name: string | undefined; readonly addresses: readonly string[] | undefined },
): State {
  const node = seen ?? (name === undefined ? undefined : nodeWithoutObject(name))
  if (node === undefined) return state
  return { ...state, node: addresses === undefined ? node : { ...node, addresses: addresses.filter(isNoLoopback) } }
}

const isNoLoopback = (address: string): boolean => parseAddress(address) !== undefined && !isLoopback(address)
