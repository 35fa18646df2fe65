import { type NodeInfo, oddsToNumber, type ProxyConfig, type State, type Trace } from '@pointsman/core'
import { nodeInfoWith } from '@pointsman/core/testing'
import fc from 'fast-check'
import { Readable } from 'node:stream'
import { expect, test } from 'vitest'
import { assumedArrival, questionOf, resolved } from '../packages/cli/src/commands/trace/answer.js'
import { groupsOfNodes, type NodeGroup } from '../packages/cli/src/commands/trace/every-node.js'
import { DATAPLANES } from '../packages/cli/src/dataplanes.js'
import { CliError } from '../packages/cli/src/errors.js'
import { parsePacket } from '../packages/cli/src/packet/resolve-packet.js'
import { type AskedPacket, packetsTo } from './support/asked-packets.js'
import { configArbitrary, stateArbitrary } from './support/proxy-arbitraries.js'

/*
 * Of nodes that are alike to a packet one is asked, and of the rules those that it can meet. Against every node by itself, with all its rules.
 */
test('trace --node all answers of each node as that node does', async () => {
  await fc.assert(
    fc.asyncProperty(
      stateArbitrary(),
      configArbitrary(),
      fc.constantFrom(...MODES),
      fc.constantFrom('IPv4', 'IPv6'),
      fc.subarray(NODES, { minLength: 3 }),
      fc.nat(),
      fc.constantFrom([], ['10.244.0.0/15', 'fd00:10:244::/40'], ['192.168.55.8/30']),
      async (given, settings, mode, family, nodes, chosen, serviceCidrs) => {
        const { node: _, ...rest } = given
        const state = { ...rest, serviceCidrs, nodes: new Map(nodes.map((node) => [node.name, node])) }
        const config: ProxyConfig = { ...settings, ...mode }
        const packets = packetsTo({ ...state, node: ALL_ADDRESSES }, family)
        for (const at of packets.length === 0 ? [] : [chosen, chosen * 7 + 1]) {
          const { protocol, from, to, port } = packets[at % packets.length] as AskedPacket
          const text = `${protocol} ${from} -> ${to.includes(':') ? `[${to}]` : to}:${port}`
          const own = new Map<string, object>()
          for (const node of nodes) {
            const answer = await answerOf(node, text, { state, config })
            if (answer !== undefined) own.set(node.name, answer)
          }
          const groups = await groupsOfNodes(
            nodes.filter(({ name }) => own.has(name)),
            { ...questionAbout(text, { state, config }) },
          )
          const grouped = groups.flatMap((group) => group.nodes.map((name) => [name, plain(group)] as const))
          expect({ text, answers: new Map(grouped) }).toEqual({ text, answers: own })
        }
      },
    ),
  )
})

const MODES = [
  { mode: 'iptables', layout: 'current' },
  { mode: 'iptables', layout: 'classic' },
  { mode: 'nftables', layout: 'kube-proxy' },
  { mode: 'nftables', layout: 'compact' },
] as const satisfies readonly Pick<ProxyConfig, 'mode' | 'layout'>[]

const NODES: NodeInfo[] = [
  {},
  { addresses: ['192.168.55.11', 'fd00:55::11'], podCIDRs: ['10.244.2.0/24', 'fd00:10:244:2::/64'], zone: 'zone-b' },
  { addresses: ['fd00:55::12', '192.168.55.12'], podCIDRs: ['10.244.3.0/24'] },
  { addresses: ['192.168.55.13'], podCIDRs: ['10.244.4.0/24'] },
  { addresses: ['192.168.55.14'], podCIDRs: ['10.244.5.0/24'] },
  { addresses: ['10.9.0.15'], podCIDRs: [] },
  { addresses: ['203.0.113.1', '192.168.55.16', '2001:db8::1'], zone: '' },
  { addresses: ['192.168.55.17', '203.0.113.1'], podCIDRs: ['0.0.0.0/0'] },
  // With the address of an endpoint, as where pods are in the node's network.
  { addresses: ['10.244.1.2'], podCIDRs: ['10.244.1.0/24'] },
  { addresses: [], podCIDRs: ['10.244.6.0/24', '10.244.1.0/24'] },
].map((given, index) => nodeInfoWith({ ...given, name: `node-${'abcdefghij'[index] ?? ''}` }))

/** For packets to each address of each node. */
const ALL_ADDRESSES = nodeInfoWith({ addresses: NODES.flatMap(({ addresses }) => addresses) })

interface Asked {
  readonly state: Omit<State, 'node'>
  readonly config: ProxyConfig
}

const questionAbout = (text: string, { state, config }: Asked) => ({
  packet: parsePacket(text),
  options: {},
  names: state,
  state,
  config,
  dataplane: dataplaneFor(config),
  context: { interrupted: new AbortController().signal, stdin: Readable.from([]) },
})

function dataplaneFor({ mode }: ProxyConfig): (typeof DATAPLANES)[number] {
  const found = DATAPLANES.find((dataplane) => dataplane.mode === mode)
  if (found === undefined) throw new Error(`no data plane of mode ${mode}`)
  return found
}

/** As `--node NAME` answers. Undefined: the node has no address that the packet could come from. */
async function answerOf(node: NodeInfo, text: string, asked: Asked): Promise<object | undefined> {
  const { packet, options, names, state, dataplane, context } = questionAbout(text, asked)
  const config = { ...asked.config, nodeName: node.name }
  try {
    const found = resolved(packet, options, { names, node })
    const rules = dataplane.loaded(
      dataplane.plan(
        { state: { ...state, node }, config },
        { family: found.packet.family, interfaceAddresses: undefined },
      ),
    )
    const arrival = assumedArrival(options, { packet: found.packet, config })
    const question = await questionOf(
      options,
      { ...found, listings: [{ dataplane, rules }], inInterface: arrival.inInterface },
      context,
    )
    const trace = dataplane.trace(rules, question)
    return plain({ packet: found.packet, trace, assumptions: [...arrival.assumptions, ...trace.assumptions] })
  } catch (error) {
    if (!(error instanceof CliError)) throw error
    return undefined
  }
}

function plain({ packet, trace, assumptions }: Pick<NodeGroup, 'packet' | 'trace' | 'assumptions'>): object {
  const { fates, endpoints, dependsOn = [] }: Trace = trace
  return {
    to: [packet.destination, packet.destinationPort, packet.family],
    fates: fates.map(({ fate, odds }) => [fate, oddsToNumber(odds)]),
    endpoints: endpoints.map(({ address, port, odds }) => [address, port, oddsToNumber(odds)]),
    dependsOn: dependsOn.map(({ text }) => text),
    assumptions: assumptions.map(({ code }) => code),
  }
}
