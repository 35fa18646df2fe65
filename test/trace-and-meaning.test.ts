import {
  CERTAIN,
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
import fc from 'fast-check'
import { parseSave } from 'node-iptables'
import { describe, expect, test } from 'vitest'
import { GOLDENS, readGolden } from '../packages/backend-iptables/src/test-support/goldens.js'
import { type AskedPacket, packetsTo, told } from './support/asked-packets.js'
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

describe('through what a real kube-proxy 1.36 wrote', () => {
  const cases = GOLDENS.flatMap((scenario) => (['IPv4', 'IPv6'] as const).map((family) => [scenario, family] as const))

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
