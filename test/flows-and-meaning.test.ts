import {
  isTranslated,
  planFlowDeletions,
  servedFrontsOf,
  route,
  parseAddress,
  type Flow,
  type IpFamily,
  type ProxyConfig,
  type State,
} from '@pointsman/core'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type AskedPacket, packetsTo } from './support/asked-packets.js'
import { configArbitrary, stateArbitrary } from './support/proxy-arbitraries.js'

/*
 * Which tracked flows are deleted, held against where a first packet would go: what conntrack is told shares no code with
 * what Services mean.
 */
const SOMEWHERE = {
  IPv4: { address: '10.99.9.9', port: 9 },
  IPv6: { address: 'fd00:99::9', port: 9 },
} as const

test('a flow that goes where its first packet would go is never deleted', () => {
  forPackets(({ packet, state, config }) => {
    const { verdict, endpoints } = routeOf(packet, state, config)
    const flows = endpoints.map((endpoint) => flowOf(packet, endpoint))
    // Nothing is translated: the packet may go its way.
    if (verdict === 'no-service') flows.push(flowOf(packet, { address: packet.to, port: packet.port }))
    expect({ packet, deleted: deletionsOf(flows, state, config) }).toEqual({ packet, deleted: [] })
  })
})

test('a flow whose first packet would go to endpoints is deleted when it goes elsewhere, translated or not', () => {
  forPackets(({ packet, state, config, family }) => {
    if (routeOf(packet, state, config).verdict !== 'endpoints') return
    const flows = [SOMEWHERE[family], { address: packet.to, port: packet.port }]
      .map((target) => flowOf(packet, target))
      .filter((flow) => isTranslated(flow) || !isEndpoint(flow, state))
    expect({ packet, deleted: deletionsOf(flows, state, config) }).toEqual({ packet, deleted: flows })
  })
})

interface Case {
  readonly packet: AskedPacket
  readonly state: State
  readonly config: ProxyConfig
  readonly family: IpFamily
}

function forPackets(check: (each: Case) => void): void {
  let checked = 0
  fc.assert(
    fc.property(
      stateArbitrary(),
      configArbitrary(),
      fc.constantFrom('IPv4' as const, 'IPv6' as const),
      (state, config, family) => {
        for (const packet of packetsTo(state, family)) {
          if (packet.protocol !== 'UDP') continue
          checked++
          check({ packet, state, config, family })
        }
      },
    ),
  )
  expect(checked).toBeGreaterThan(0)
}

const routeOf = ({ via, ...packet }: AskedPacket, state: State, config: ProxyConfig): ReturnType<typeof route> =>
  route(state, config, { ...packet, ...(via !== '' && { interface: via }) })

function flowOf({ to, port }: AskedPacket, target: { readonly address: string; readonly port: number }): Flow {
  const family = parseAddress(to)?.family ?? 'IPv4'
  const client = { IPv4: '198.18.0.1', IPv6: '2001:db8:ffff::1' }[family]
  return {
    family,
    protocol: 'udp',
    zone: 0,
    original: { src: client, sport: 4000, dst: to, dport: port },
    reply: { src: target.address, sport: target.port, dst: client, dport: 4000 },
  }
}

const isEndpoint = ({ reply }: Flow, { endpoints }: State): boolean =>
  [...endpoints.values()].flat().some(({ address, port }) => address === reply.src && port === reply.sport)

function deletionsOf(flows: readonly Flow[], state: State, config: ProxyConfig): readonly Flow[] {
  return (['IPv4', 'IPv6'] as const).flatMap((family) =>
    planFlowDeletions({ flows, served: servedFrontsOf({ state, config, family }), formerFronts: new Set() }),
  )
}
