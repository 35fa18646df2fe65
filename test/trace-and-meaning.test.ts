import {
  CERTAIN,
  isEqual,
  type LoadedRules,
  type NodeInfo,
  oddsToNumber,
  parseAddress,
  type ProxyConfig,
  route,
  type State,
  sumOfOdds,
  type Trace,
  type TracedPacket,
} from '@pointsman/core'
import { planRuleset, renderSave, tracePacket } from '@pointsman/backend-iptables'
import { nftablesDataplane } from '@pointsman/backend-nftables'
import fc from 'fast-check'
import { parseSave } from 'node-iptables'
import { describe, expect, test } from 'vitest'
import { GOLDENS, readGolden } from '../packages/backend-iptables/src/test-support/goldens.js'
import { GOLDEN_CASES, readGolden as readNftGolden } from '../packages/backend-nftables/src/test-support/goldens.js'
import { type AskedPacket, ownersOf, packetsTo, told, walked } from './support/asked-packets.js'
import { configArbitrary, optionsArbitrary, stateArbitrary } from './support/proxy-arbitraries.js'

/*
 * The answers of `pointsman trace`, which looks at rules alone, against the mock's, which looks at Services alone.
 */
test('a trace through the rules ends where the Service means the packet to go', () => {
  fc.assert(
    fc.property(stateArbitrary(), configArbitrary(), optionsArbitrary(), (state, config, options) => {
      const tables = parseSave([...renderSave(planRuleset(state, config, options))].join('\n'))
      const surroundings = { nodeAddresses: state.node?.addresses ?? [] }
      for (const packet of packetsTo(state, options.family)) {
        const trace = tracePacket({ tables, packet: tracedPacket(packet, state.node), surroundings })
        expect({ packet, fate: traced(trace) }).toEqual({ packet, fate: meant(packet, state, config) })
        expect(unexpected(trace)).toEqual([])
      }
    }),
  )
})

/*
 * Layout classic has the meaning of kube-proxy 1.20: no terminating endpoints, hints, internal traffic policy or ipMode, external IPs
 * for other machines alone, loopback with every setting, and what is marked for dropping is dropped only on its way into the node.
 */
test('a trace through the rules of layout classic ends where the Service means the packet to go, where that has not changed', () => {
  fc.assert(
    fc.property(stateArbitrary(), configArbitrary(['classic']), optionsArbitrary(), (given, settings, options) => {
      const state = asOf120(given)
      const config = { ...settings, localhostNodePorts: true }
      const tables = parseSave([...renderSave(planRuleset(state, config, options))].join('\n'))
      const surroundings = { nodeAddresses: state.node?.addresses ?? [] }
      const externalIPs = new Set([...state.services.values()].flatMap((port) => port.externalIPs))
      const packets = packetsTo(state, options.family).filter(
        (packet) => packet.to !== '::1' && !externalIPs.has(packet.to) && ownersOf(packet, [state]).size <= 1,
      )
      for (const packet of packets) {
        const trace = tracePacket({ tables, packet: tracedPacket(packet, state.node), surroundings })
        const expected = meant(packet, state, config)
        const isForwarded = isEqual(expected, ['dropped']) && isEqual(traced(trace), ['no-service'])
        expect({ packet, fate: isForwarded ? expected : traced(trace) }).toEqual({ packet, fate: expected })
        expect(unexpected(trace)).toEqual([])
        // Another reading of the same rules, in which no fact is open.
        expect({ packet, fate: traced(trace) }).toEqual({ packet, fate: walked(packet, tables, state) })
      }
    }),
  )
})

const asOf120 = (state: State): State => ({
  ...state,
  services: new Map(
    [...state.services].map(([id, port]) => [
      id,
      {
        ...port,
        internalTrafficPolicy: 'Cluster',
        externalTrafficPolicy:
          port.nodePort !== 0 || port.loadBalancerVIPs.length > 0 ? port.externalTrafficPolicy : 'Cluster',
        // Of several, the rules of each stand behind the mark of the one before.
        loadBalancerVIPs: port.loadBalancerVIPs.slice(0, 1),
        loadBalancerProxyIPs: [],
        healthCheckNodePort: 0,
      },
    ]),
  ),
  endpoints: new Map(
    [...state.endpoints].map(([id, endpoints]) => [
      id,
      endpoints
        .filter(({ ready }) => ready)
        .map(({ zoneHints: _zones, nodeHints: _nodes, ...endpoint }) => ({ ...endpoint, terminating: false })),
    ]),
  ),
})

function meant({ via, ...packet }: AskedPacket, state: State, config: ProxyConfig): readonly string[] {
  const { verdict, endpoints } = route(state, config, { ...packet, ...(via !== '' && { interface: via }) })
  return verdict === 'endpoints' ? endpoints.map(told).toSorted() : [verdict]
}

function traced({ fates, endpoints }: Trace): readonly string[] {
  const ends = endpoints.map(({ address, port, odds, source }) =>
    told({ address, port, odds: oddsToNumber(odds), masqueraded: source.rewritten !== 'no' }),
  )
  return [...ends, ...fates.flatMap(({ fate }) => (fate === 'endpoints' ? [] : [fate]))].toSorted()
}

/** Of rules that kube-proxy would write, the lists of session affinity alone hold unknown facts. */
const unexpected = ({ assumptions }: Trace): readonly string[] =>
  assumptions.flatMap(({ code, message }) => (EXPECTED.has(code) ? [] : [message]))

const EXPECTED = new Set(['NEW_CLIENT', 'NODE_ADDRESS'])

function tracedPacket({ from, via, to, port, protocol }: AskedPacket, node: NodeInfo | undefined): TracedPacket {
  const isOwn = from === 'node' || node?.addresses.includes(from) === true
  return {
    protocol: protocol.toLowerCase(),
    source: from === 'node' ? sourceOfNode(to, node) : from === 'outside' ? OUTSIDE[familyOf(to)] : from,
    destination: to,
    destinationPort: port,
    from: isOwn ? 'node' : 'outside',
    inInterface: via,
  }
}

const OUTSIDE = { IPv4: '198.18.0.1', IPv6: '2001:db8:ffff::1' } as const

/** The source address that a node chooses: the destination itself where it is its own. */
function sourceOfNode(to: string, node: NodeInfo | undefined): string {
  const isOwn = to === '127.0.0.1' || to === '::1' || node?.addresses.includes(to) === true
  if (isOwn) return to
  return node?.addresses.find((address) => familyOf(address) === familyOf(to)) ?? OUTSIDE[familyOf(to)]
}

const familyOf = (address: string): 'IPv4' | 'IPv6' => parseAddress(address)?.family ?? 'IPv4'

/** Left out of `npm run test:quick`. */
const LARGE = new Set(process.env['POINTSMAN_QUICK'] === '1' ? ['large-cluster'] : [])

describe('through what a real kube-proxy 1.36 wrote', () => {
  const cases = GOLDENS.flatMap((scenario) =>
    LARGE.has(scenario) ? [] : (['IPv4', 'IPv6'] as const).map((family) => [scenario, family] as const),
  )

  test.each(cases)('%s, %s', (scenario, family) => {
    const { state, config, saved } = readGolden(scenario)
    const tables = parseSave(saved[family])
    const surroundings = { nodeAddresses: state.node?.addresses ?? [] }
    for (const packet of packetsTo(state, family)) {
      const trace = tracePacket({ tables, packet: tracedPacket(packet, state.node), surroundings })
      expect({ packet, fate: traced(trace) }).toEqual({ packet, fate: meant(packet, state, config) })
      expect(sumOfOdds(trace.ways.map(({ odds }) => odds))).toEqual(CERTAIN)
    }
  })
})

describe('through what a real kube-proxy 1.36 wrote in its nftables mode', () => {
  test.each(GOLDEN_CASES.filter(([scenario]) => !LARGE.has(scenario)))('%s, %s', async (scenario, family) => {
    const { state, config, listing, text } = readNftGolden(scenario)
    const refuse = (message: string): Error => new Error(message)
    const read = (one: string): Promise<LoadedRules> => nftablesDataplane.readListing(one, { name: 'nft', refuse })
    const listed = await read(listing[family])
    const printed = await read(text[family])
    const surroundings = { nodeAddresses: state.node?.addresses ?? [] }
    for (const packet of packetsTo(state, family)) {
      const question = { packet: tracedPacket(packet, state.node), surroundings }
      const trace = nftablesDataplane.trace(listed, question)
      expect({ packet, fate: traced(trace) }).toEqual({ packet, fate: meant(packet, state, config) })
      expect(unexpected(trace)).toEqual([])
      expect(oddsToNumber(sumOfOdds(trace.ways.map(({ odds }) => odds)))).toBe(1)
      expect(nftablesDataplane.trace(printed, question)).toEqual(trace)
    }
  })
})

test.each(nftablesDataplane.layouts)(
  'a trace through the rules of nftables mode, layout %s, ends where the Service means the packet to go',
  (layout) => {
    fc.assert(
      fc.property(stateArbitrary(), configArbitrary(), optionsArbitrary(), (state, settings, options) => {
        const config = { ...settings, mode: 'nftables' as const, layout }
        const rules = nftablesDataplane.loaded(nftablesDataplane.plan({ state, config }, options))
        const surroundings = { nodeAddresses: state.node?.addresses ?? [] }
        // Which of two service ports with one front has the verdicts of its maps, kube-proxy leaves to chance.
        const packets = packetsTo(state, options.family).filter((packet) => ownersOf(packet, [state]).size <= 1)
        for (const packet of packets) {
          const trace = nftablesDataplane.trace(rules, { packet: tracedPacket(packet, state.node), surroundings })
          expect({ packet, fate: traced(trace) }).toEqual({ packet, fate: meant(packet, state, config) })
          expect(unexpected(trace)).toEqual([])
        }
      }),
      { numRuns: Math.ceil((fc.readConfigureGlobal().numRuns ?? 100) / 4) },
    )
  },
)
