import {
  findBreak,
  followFates,
  nodeClassOf,
  nodesByAddress,
  nodeWithoutObject,
  parseAddress,
  route,
  shortList,
  singledOut,
  type FateFlip,
  type FlipCause,
  type NodeInfo,
  type Packet,
  type PacketFate,
  type ProxyConfig,
  type Seq,
  type ServiceName,
  type State,
} from '@pointsman/core'
import { countOf } from '../../output/format-text.js'
import { pointJson } from '../../output/json.js'
import type { Style } from '../../output/terminal.js'
import { type Bisection, searchSpan } from './answer.js'
import { fateItem, flipItem } from './json.js'
import type { NodesQuestion } from './question.js'
import type { BisectionOfNodesJson } from './schema.js'
import { breaks, conclusion, flipLines, headLine, searchedLine } from './text.js'

/** What broke a packet's path, of every Node. */
export interface BisectionOfNodes {
  /** Nodes with the same answer, those where it is broken for longest first. */
  readonly groups: readonly BisectedGroup[]
  readonly services: readonly ServiceName[]
  readonly candidates: number
  readonly causeOf: (flip: FateFlip) => FlipCause
}

interface BisectedGroup {
  /** Sorted. */
  readonly nodes: readonly string[]
  /** Of the first node. */
  readonly found: Bisection
}

/**
 * Follows the packet on every node from record to record, reading the log once: of nodes that are alike to the packet at a moment
 * one is asked. Yields the position every so often.
 */
export function* bisectEveryNode(question: NodesQuestion): Generator<Seq, BisectionOfNodes, undefined> {
  const { packets, isGoodAtFrom } = question
  const { history, keyOf, services, candidates } = yield* searchSpan(question, {
    targets: [...packets.values()].map(({ packet }) => packet),
    nodeName: undefined,
    begin: (start) => followFates({ ...start, fatesAt: fatesOf(question) }),
  })
  const { causeOf } = history
  const groups = new Map<string, BisectedGroup & { nodes: string[] }>()
  for (const name of packets.keys()) {
    const one = history.ofNode(name)
    const [first, last, flips] = [one.first(), one.last(), one.flips()]
    const found = findBreak(flips, { keyOf, ...(isGoodAtFrom && { good: first }) })
    const key = JSON.stringify([
      [first, last].map(keyOf),
      [found.broken, found.mended].map((flip) => flip && [flip.record.seq, keyOf(flip.before), keyOf(flip.after)]),
      // Without a break the last change is what there is to say.
      found.broken === undefined && flips.at(-1)?.record.seq,
    ])
    const group = groups.get(key)
    if (group === undefined)
      groups.set(key, { nodes: [name], found: { ...found, flips, first, last, causeOf, services, candidates } })
    else group.nodes.push(name)
  }
  const lasting = ({ found: { broken, mended } }: BisectedGroup): number =>
    broken === undefined ? 2 : mended === undefined && breaks(broken) ? 0 : 1
  return {
    groups: [...groups.values()].toSorted((a, b) => lasting(a) - lasting(b) || b.nodes.length - a.nodes.length),
    services,
    candidates,
    causeOf,
  }
}

type FatesAt = (state: State, config: ProxyConfig) => Iterable<readonly [PacketFate, readonly string[]]>

/** The fate of the packet on each node at a moment; what a Node is to it is worked out again only where that may have changed. */
function fatesOf({ packets, nodeAddresses }: Pick<NodesQuestion, 'packets' | 'nodeAddresses'>): FatesAt {
  const known = new Map<
    string,
    { readonly node: NodeInfo; readonly seen: NodeInfo | undefined; readonly text: string }
  >()
  let byAddress: ReturnType<typeof nodesByAddress> = new Map()
  let basis = ''
  return (state, config) => {
    const constants = JSON.stringify([config, state.serviceCidrs, [...state.services.values()]])
    const isOther = constants !== basis
    basis = constants
    const classes = new Map<string, (node: NodeInfo) => string>()
    let isMoved = isOther
    for (const [name, { mockPacket }] of packets) {
      const seen = state.nodes.get(name)
      const before = known.get(name)
      if (!isOther && before !== undefined && before.seen === seen) continue
      isMoved = true
      const node = { ...(seen ?? nodeWithoutObject(name)), ...(nodeAddresses && { addresses: nodeAddresses }) }
      const packet = JSON.stringify(mockPacket)
      const classOf = classes.get(packet) ?? nodeClassOf({ packet: classedPacket(mockPacket), ...state, config })
      classes.set(packet, classOf)
      known.set(name, { node, seen, text: JSON.stringify([packet, classOf(node)]) })
    }
    if (isMoved) byAddress = nodesByAddress([...known.values()].map(({ node }) => node))
    const singled = singledOut(state.endpoints, byAddress)
    const groups = new Map<string, { readonly node: NodeInfo; readonly packet: Packet; readonly names: string[] }>()
    for (const [name, { mockPacket }] of packets) {
      const { node, text } = known.get(name) ?? { node: nodeWithoutObject(name), text: '' }
      const key = singled.has(name) ? `node ${name}` : text
      const group = groups.get(key)
      if (group === undefined) groups.set(key, { node, packet: mockPacket, names: [name] })
      else group.names.push(name)
    }
    return [...groups.values()].map(({ node, packet, names }) => [route({ ...state, node }, config, packet), names])
  }
}

const classedPacket = ({ from, to }: Packet) => ({
  family: parseAddress(to)?.family ?? 'IPv4',
  source: from,
  destination: to,
})

/** The conclusion; then of each group of nodes its record with what is behind it, and the one that fixed it. */
export function bisectionOfNodesText(
  { groups, services, candidates }: BisectionOfNodes,
  question: NodesQuestion,
  style: Style,
): readonly string[] {
  const { packetText, packets, assumptions } = question
  const ofAll = (count: number): string =>
    count === packets.size
      ? count === 1
        ? 'the only node'
        : `all ${countOf(count, 'node')}`
      : `${count} of ${countOf(packets.size, 'node')}`
  const broken = groups.filter(({ found }) => found.broken !== undefined && breaks(found.broken))
  const lasting = broken.filter(({ found }) => found.mended === undefined)
  const count = (some: readonly BisectedGroup[]): number => some.reduce((sum, { nodes }) => sum + nodes.length, 0)
  const verdict =
    broken.length === 0
      ? 'broken on no node'
      : lasting.length === 0
        ? `was broken on ${ofAll(count(broken))}, and is not now`
        : `broken on ${ofAll(count(lasting))}`
  return [
    style.dim(`${headLine(question)}, ${countOf(packets.size, 'node')}`),
    style.bold(packetText),
    `  ${verdict}`,
    ...assumptions.map((assumption) => `  ${style.yellow('assumed:')} ${assumption}`),
    ...groups.flatMap(({ nodes, found }) => {
      const { broken: flip, mended } = found
      const title =
        flip === undefined ? `on ${ofAll(nodes.length)}` : `at seq ${flip.record.seq} on ${ofAll(nodes.length)}`
      return [
        '',
        `${style.bold(title)}: ${shortList(nodes, MOST_NODES)}`,
        `  ${conclusion(found, question, style)}`,
        ...(flip === undefined ? [] : flipLines(breaks(flip) ? 'broken by' : 'changed by', flip, { found, style })),
        ...(mended === undefined ? [] : flipLines('fixed by', mended, { found, style })),
      ]
    }),
    '',
    style.dim(searchedLine({ candidates, services })),
    style.dim('--node NAME lists every change on one of them'),
  ]
}

const MOST_NODES = 5

export function bisectionOfNodesDocument(
  { groups, services, candidates, causeOf }: BisectionOfNodes,
  { packetText, packets, from, to, exact, assumptions }: NodesQuestion,
): BisectionOfNodesJson {
  const item = (flip: FateFlip | undefined) => flip && flipItem(flip, causeOf(flip))
  return {
    kind: 'BisectionOfNodes',
    at: pointJson(to),
    from: pointJson(from),
    packet: packetText,
    exact,
    nodeCount: packets.size,
    groups: groups.map(({ nodes, found: { broken, mended, first, last } }) => ({
      nodes,
      broken: item(broken),
      mended: item(mended),
      first: fateItem(first),
      last: fateItem(last),
    })),
    services,
    candidates,
    assumptions,
  }
}
