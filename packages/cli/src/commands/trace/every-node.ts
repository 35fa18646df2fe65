import {
  frontsOf,
  nodeClassOf,
  nodesByAddress,
  oddsToNumber,
  TraceError,
  type Assumption,
  type Dataplane,
  type Endpoint,
  type NodeInfo,
  type ProxyConfig,
  type ServicePort,
  type ServicePortName,
  shortList,
  singledOut,
  type State,
  type Trace,
} from '@pointsman/core'
import { dataplaneOf, type Context } from '../../context.js'
import { CliError } from '../../errors.js'
import { askedObjects, describeAsked, withInput, type AskedObjects } from '../../input/open-input.js'
import { interfaceAddressesOf, rulesQuestion } from '../../input/rules-question.js'
import { countOf, warnOfDiagnostics } from '../../output/format-text.js'
import { pointOf } from '../../output/json.js'
import { renderTable } from '../../output/table.js'
import type { Style } from '../../output/terminal.js'
import { skippedServices, type Names } from '../../packet/names.js'
import { parsePacket, type ResolvedPacket } from '../../packet/resolve-packet.js'
import {
  assumedArrival,
  type Found,
  certaintyOf,
  exitStatusOf,
  questionOf,
  resolved,
  type TraceOptions,
} from './answer.js'
import type { TraceOfNodesJson } from './schema.js'

/** What becomes of one packet on every Node of the input. */
export interface TraceOfNodes {
  readonly asked: AskedObjects
  /** As it was written. */
  readonly packet: string
  /** Nodes with the same answer, those where it gets nowhere first. */
  readonly groups: readonly NodeGroup[]
  readonly nodeCount: number
}

export interface NodeGroup {
  /** The packet on the first of the nodes. */
  readonly packet: ResolvedPacket
  readonly trace: Trace
  readonly assumptions: readonly Assumption[]
  /** Sorted. */
  readonly nodes: readonly string[]
}

/**
 * Follows a packet through the rules of every Node, each by itself. Rules of service ports that the packet cannot meet are not
 * made. CliError for what is wrong with the packet, or where the input has no Node.
 */
export async function traceEveryNode(text: string, options: TraceOptions, context: Context): Promise<TraceOfNodes> {
  if (options.rules !== undefined)
    throw new CliError(
      'USAGE',
      '--node all asks for the rules of each node, and --rules gives those of one: leave one of the two out',
    )
  const packet = parsePacket(text)
  return withInput(options, context, async (input) => {
    const asked = askedObjects(input, options, context)
    const nodes = asked.objects
      .filter(({ kind }) => kind === 'Node')
      .map(({ metadata }) => metadata.name)
      .toSorted()
    const [first] = nodes
    if (first === undefined) throw new CliError('BAD_INPUT', '--node all: the input has no Node')
    const { state, config, diagnostics, skipped } = await rulesQuestion(asked, { ...options, node: first }, context)
    warnOfDiagnostics(diagnostics, '`pointsman services --wide` lists them', context)
    const names: Names = { ...state, skipped: skippedServices(skipped) }
    const dataplane = dataplaneOf(context, config)
    const groups = await groupsOfNodes(
      nodes.flatMap((name) => state.nodes.get(name) ?? []),
      { packet, options, names, state, config, dataplane, context },
    )
    return { asked, packet: text, groups, nodeCount: nodes.length }
  })
}

/**
 * The answers of these nodes, those where the packet gets nowhere first. Of nodes that are alike to the packet (`nodeClassOf`) one is asked. CliError as
 * `traceEveryNode`.
 */
export async function groupsOfNodes(
  nodes: readonly NodeInfo[],
  question: NodesQuestion,
): Promise<readonly NodeGroup[]> {
  const groups = new Map<string, NodeGroup & { nodes: string[] }>()
  const alike = new Map<string, NodeGroup & { nodes: string[] }>()
  const classOf = classesOf(question)
  for (const node of nodes) {
    question.context.interrupted.throwIfAborted()
    const found = resolved(question.packet, { ...question.options, node: node.name }, { names: question.names, node })
    const ofClass = classOf(node, found)
    let group = alike.get(ofClass)
    if (group === undefined) {
      const answer = await answerOn(node, found, question)
      const key = keyOf(answer)
      group = groups.get(key) ?? { ...answer, nodes: [] }
      groups.set(key, group)
      alike.set(ofClass, group)
    }
    group.nodes.push(node.name)
  }
  return [...groups.values()].toSorted(
    (a, b) => RANK[exitStatusOf(a.trace)] - RANK[exitStatusOf(b.trace)] || a.nodes.length - b.nodes.length,
  )
}

/** A text for each node and what the packet is there: where two have the same, so are the answers. */
function classesOf({ packet, state, config, options }: NodesQuestion): (node: NodeInfo, found: Found) => string {
  const byAddress = nodesByAddress(state.nodes.values())
  const known = new Map<string, ReturnType<typeof classer>>()
  const classer = (source: string, { destination, destinationPort, family }: ResolvedPacket) => {
    const met = portsMet({ destination, destinationPort, family }, state)
    const packetOfClass = { family, source, destination }
    return {
      singled: singledOut(met.endpoints, byAddress),
      classOf: nodeClassOf({ packet: packetOfClass, services: met.services, config, serviceCidrs: state.serviceCidrs }),
    }
  }
  // Addresses that are given are those of every node.
  const isGiven = interfaceAddressesOf(options) !== undefined
  return (node, { packet: there, maybeNodeAddresses }) => {
    const source = packet.source.host === 'node' && !isGiven ? 'node' : there.source
    const common = JSON.stringify([source, there.from, there.destination, there.destinationPort, there.family])
    const { singled, classOf } = known.get(common) ?? classer(source, there)
    if (!known.has(common)) known.set(common, { singled, classOf })
    return JSON.stringify([
      common,
      maybeNodeAddresses,
      // What a node sends to an address of its own comes from there.
      source === 'node' && there.source === there.destination,
      singled.has(node.name) ? node.name : classOf(node),
    ])
  }
}

const RANK = { 1: 0, 4: 1, 0: 2 } as const

interface NodesQuestion {
  readonly packet: ReturnType<typeof parsePacket>
  readonly options: TraceOptions
  readonly names: Names
  readonly state: State
  readonly config: ProxyConfig
  readonly dataplane: Dataplane
  readonly context: Pick<Context, 'interrupted' | 'stdin'>
}

async function answerOn(
  node: NodeInfo,
  found: Found,
  { options, state, config: common, dataplane, context }: NodesQuestion,
): Promise<Omit<NodeGroup, 'nodes'>> {
  const config = { ...common, nodeName: node.name }
  const met = portsMet(found.packet, state)
  const at = { ...state, node, services: met.services, endpoints: met.endpoints }
  const plan = dataplane.plan(
    { state: at, config },
    { family: found.packet.family, interfaceAddresses: interfaceAddressesOf(options) },
  )
  const rules = dataplane.loaded(plan)
  const arrival = assumedArrival(options, { packet: found.packet, config })
  const question = await questionOf(
    options,
    { ...found, listings: [{ dataplane, rules }], inInterface: arrival.inInterface },
    context,
  )
  try {
    const trace = dataplane.trace(rules, question)
    return { packet: found.packet, trace, assumptions: [...arrival.assumptions, ...trace.assumptions] }
  } catch (error) {
    if (!(error instanceof TraceError)) throw error
    throw new CliError('BAD_INPUT', `node ${node.name}: ${error.message}`, { cause: error })
  }
}

/**
 * The service ports whose rules a packet can meet: those that have its destination's address or node port, and those that have an endpoint which one of them
 * leads to, since the packet goes on with that destination. Rules of all others ask for an address or a port that it never has.
 */
function portsMet(
  { destination, destinationPort, family }: Pick<ResolvedPacket, 'destination' | 'destinationPort' | 'family'>,
  { services, endpoints }: Pick<State, 'services' | 'endpoints'>,
): Pick<State, 'services' | 'endpoints'> {
  const met = new Map<ServicePortName, ServicePort>()
  const lists = new Map<ServicePortName, readonly Endpoint[]>()
  const byFront = portsByFront(services)
  const waiting = [{ address: destination, port: destinationPort }]
  const asked = new Set<string>()
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const key = `${next.address} ${next.port}`
    if (asked.has(key)) continue
    asked.add(key)
    for (const port of [...(byFront.get(next.address) ?? []), ...(byFront.get(`* ${next.port}`) ?? [])]) {
      if (port.family !== family || met.has(port.id)) continue
      met.set(port.id, port)
      const list = endpoints.get(port.id) ?? []
      lists.set(port.id, list)
      waiting.push(...list.map((endpoint) => ({ address: endpoint.address, port: endpoint.port })))
    }
  }
  return { services: met, endpoints: lists }
}

const indexes = new WeakMap<State['services'], ReadonlyMap<string, readonly ServicePort[]>>()

/**
 * `10.96.0.10`, on whatever port, since some modes refuse those that a Service does not have; and `* 30080` for a node port, `* 0` for a
 * ping, which has none. Made once for all nodes.
 */
function portsByFront(services: State['services']): ReadonlyMap<string, readonly ServicePort[]> {
  const known = indexes.get(services)
  if (known !== undefined) return known
  const index = new Map<string, ServicePort[]>()
  const list = (key: string, port: ServicePort): void => {
    const ports = index.get(key)
    if (ports === undefined) index.set(key, [port])
    else ports.push(port)
  }
  for (const port of services.values()) {
    for (const front of frontsOf(port))
      for (const key of front.address === undefined ? [`* ${front.port}`, '* 0'] : [front.address]) list(key, port)
    if (port.healthCheckNodePort !== 0) list(`* ${port.healthCheckNodePort}`, port)
  }
  indexes.set(services, index)
  return index
}

const keyOf = ({ trace, packet, assumptions }: Omit<NodeGroup, 'nodes'>): string =>
  JSON.stringify([
    trace.fates.map(({ fate, odds }) => [fate, oddsToNumber(odds)]),
    trace.endpoints.map(({ address, port, odds }) => [address, port, oddsToNumber(odds)]),
    trace.dependsOn?.map(({ text }) => text),
    assumptions.map(({ code }) => code),
    [packet.destination, packet.destinationPort, packet.family],
  ])

/** 0: it reaches endpoints on all nodes; 1: on some it does not; 4: on some that depends on unknown facts. */
export function exitStatusOfNodes({ groups }: Pick<TraceOfNodes, 'groups'>): 0 | 1 | 4 {
  const statuses = groups.map(({ trace }) => exitStatusOf(trace))
  return statuses.includes(1) ? 1 : statuses.includes(4) ? 4 : 0
}

export function traceOfNodesText({ asked, packet, groups, nodeCount }: TraceOfNodes, style: Style): readonly string[] {
  const served = groups
    .filter(({ trace }) => exitStatusOf(trace) === 0)
    .reduce((sum, { nodes }) => sum + nodes.length, 0)
  const verdict =
    served === nodeCount
      ? `reaches endpoints on ${nodeCount === 1 ? 'the only node' : `all ${countOf(nodeCount, 'node')}`}`
      : `reaches endpoints on ${served} of ${countOf(nodeCount, 'node')}`
  const columns = [
    { title: 'NODES', cell: ({ nodes }: NodeGroup) => String(nodes.length), align: 'right' as const },
    { title: 'VERDICT', cell: (group: NodeGroup) => verdictText(group) },
    { title: 'ON', cell: ({ nodes }: NodeGroup) => shortList(nodes, MOST_NODES) },
  ]
  return [
    style.dim(`${describeAsked(asked)}, ${countOf(nodeCount, 'node')}`),
    packet,
    `  ${verdict}`,
    '',
    ...renderTable(columns, groups, { title: style.bold }),
    '',
    style.dim('--node NAME shows the rules that the packet meets on one of them'),
  ]
}

const MOST_NODES = 5
const MOST_ENDPOINTS = 4

function verdictText({ trace, packet }: NodeGroup): string {
  return trace.fates
    .map(({ fate, odds }) => {
      const share = trace.fates.length === 1 ? '' : ` (${percent(oddsToNumber(odds))})`
      return `${fateText(fate, { trace, packet })}${share}`
    })
    .join('; ')
}

function fateText(fate: Trace['fate'], { trace, packet }: Pick<NodeGroup, 'trace' | 'packet'>): string {
  switch (fate) {
    case 'endpoints':
      return `reaches ${shortList(
        trace.endpoints.map(({ address, port, odds }) => `${address}:${port} ${percent(oddsToNumber(odds))}`),
        MOST_ENDPOINTS,
      )}`
    case 'rejected':
      return 'is rejected'
    case 'dropped':
      return 'is dropped'
    case 'no-service':
      return `is for no Service: goes to ${packet.destination}`
    case 'depends': {
      const on = (trace.dependsOn ?? []).map(({ text }) => text)
      return `depends on ${on.length === 0 ? 'a program' : shortList(on, 2)}`
    }
  }
}

const percent = (odds: number): string => `${Math.round(odds * 1000) / 10} %`

export function traceOfNodesDocument({ asked, packet, groups, nodeCount }: TraceOfNodes): TraceOfNodesJson {
  return {
    kind: 'TraceOfNodes',
    at: pointOf(asked),
    packet,
    nodeCount,
    groups: groups.map((group) => ({
      nodes: group.nodes,
      packet: {
        protocol: group.packet.protocol,
        family: group.packet.family,
        source: group.packet.source,
        destination: group.packet.destination,
        destinationPort: group.packet.destinationPort,
      },
      certainty: certaintyOf(group.trace, group.assumptions),
      fate: group.trace.fate,
      fates: group.trace.fates.map(({ fate, odds }) => ({ fate, odds: oddsToNumber(odds) })),
      endpoints: group.trace.endpoints.map(({ address, port, odds }) => ({ address, port, odds: oddsToNumber(odds) })),
    })),
  }
}
