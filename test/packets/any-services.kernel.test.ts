import { DEFAULT_PROXY_CONFIG, type ProxyConfig } from '@pointsman/core'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { EndpointDescription, ServiceDescription } from './cluster.js'
import { describeWorlds, type Worlds } from './describe-worlds.js'
import { CLUSTER_CIDRS, FAMILIES } from './names.js'
import { readPacket } from './packet.js'
import type { Scenario, World } from './world.js'

/*
 * What the tables of the other tests do not think of: Services, and configurations, of all kinds at once.
 */
const inWorlds = (worlds: Worlds): void => {
  test('have the fate that the Services mean', async () => {
    await fc.assert(
      fc.asyncProperty(scenarioArbitrary, async (scenario) => {
        await worlds.apply(scenario)
        const found = await Promise.all(worlds.all.map((world) => disagreementsIn(world, packetsTo(scenario))))
        expect(found.flat()).toEqual([])
      }),
      // A run takes seconds.
      { numRuns: process.env['POINTSMAN_SOAK'] === '1' ? 100 : 3, endOnFailure: true },
    )
  })
}

describeWorlds('packets to any Services', inWorlds)
describeWorlds('packets to any Services, in mode nftables', inWorlds, ['nft'], ['nftables'])

interface Disagreement {
  readonly packet: string
  readonly seen: string
  readonly meant: string
}

async function disagreementsIn(world: World, packets: readonly string[]): Promise<readonly Disagreement[]> {
  const told = await Promise.all(
    packets.flatMap((text) =>
      FAMILIES.map(async (family) => {
        const packet = { ...readPacket(text), family }
        // Nobody but pods answers UDP.
        if (packet.protocol === 'udp' && world.routeOf(packet).verdict === 'no-service') return []
        return [{ packet: `${world.variant} ${family} ${text}`, ...(await world.fatesOf(packet)) }]
      }),
    ),
  )
  return told.flat().filter(({ seen, meant }) => seen !== meant)
}

/** By whatever address a Service may have, from everybody whose answers come back the same way. */
function packetsTo({ services }: Scenario): readonly string[] {
  const targets = services.flatMap(({ name = 'web', protocol = 'TCP', nodePort }) =>
    [
      `${name}:80`,
      'external:80',
      'vip:80',
      'proxied-vip:80',
      'node-2:80',
      ...(nodePort === undefined ? [] : [`node:${nodePort}`, `node-2:${nodePort}`]),
    ].map((to) => ({ protocol: protocol.toLowerCase(), to })),
  )
  const packets = SENDERS.flatMap((from) => targets.map(({ protocol, to }) => `${protocol} ${from} -> ${to}`))
  return [
    ...new Set([
      ...packets,
      ...SENDERS.map((from) => `tcp ${from} -> node:32000`),
      'tcp localhost -> localhost:30080',
      'tcp client -> web:7777',
    ]),
  ]
}

const SENDERS = ['client', 'stranger', 'node', 'near-a', 'near-b'] as const

const endpointArbitrary = (pod: EndpointDescription['pod']): fc.Arbitrary<EndpointDescription> =>
  fc.record(
    {
      pod: fc.constant(pod),
      conditions: fc.constantFrom(
        {},
        {},
        { ready: false, serving: true, terminating: true },
        { ready: false, serving: false },
      ),
      hints: fc.constantFrom(
        { forZones: [{ name: 'zone-a' }] },
        { forZones: [{ name: 'zone-b' }] },
        { forNodes: [{ name: 'node-a' }] },
      ),
    },
    { requiredKeys: ['pod', 'conditions'] },
  )

const endpointsArbitrary = fc
  .tuple(...(['near-a', 'near-b', 'far-c', 'far-d'] as const).map((pod) => fc.option(endpointArbitrary(pod))))
  .map((endpoints) => endpoints.filter((endpoint) => endpoint !== null))

const policyArbitrary = fc.constantFrom('Cluster', 'Local')

const serviceArbitrary = (name: 'web' | 'other', nodePort: number): fc.Arbitrary<ServiceDescription> =>
  fc.record(
    {
      name: fc.constant(name),
      protocol: fc.constantFrom('TCP', 'TCP', 'UDP'),
      nodePort: fc.constant(nodePort),
      // An address of the node may be one of a Service as well.
      externalIPs: fc.constantFrom(['external'], ['external', 'node-2']),
      vips: fc.constantFrom(['vip'], ['vip', 'node-2']),
      proxiedVips: fc.constant(['proxied-vip']),
      sourceRanges: fc.constantFrom(
        ['192.0.2.0/24', '2001:db8:c::/64'],
        ['203.0.113.0/24', '2001:db8:bad::/48'],
        ['192.0.2.0/24'],
        ['0.0.0.0/0', '::/0'],
        ['10.244.1.0/24', 'fd00:10:244:1::/64', '203.0.113.66/32'],
      ),
      externalTrafficPolicy: policyArbitrary,
      internalTrafficPolicy: policyArbitrary,
      createdAt: fc.constantFrom('2026-01-01T00:00:00Z', '2026-02-02T00:00:00Z'),
      targetPort: fc.constantFrom(8080, 9090),
      endpoints: endpointsArbitrary,
    },
    { requiredKeys: ['name', 'protocol', 'endpoints'] },
  )

const configArbitrary: fc.Arbitrary<Partial<ProxyConfig>> = fc.record(
  {
    detectLocal: fc.constantFrom<ProxyConfig['detectLocal']>(
      { mode: 'ClusterCIDR', cidrs: CLUSTER_CIDRS },
      { mode: 'NodeCIDR' },
      { mode: 'InterfaceNamePrefix', prefix: 'pod-' },
      { mode: 'BridgeInterface', bridge: 'pod-a' },
      { mode: 'None' },
    ),
    masqueradeAll: fc.boolean(),
    masqueradeBit: fc.constantFrom(0, DEFAULT_PROXY_CONFIG.masqueradeBit),
    localhostNodePorts: fc.boolean(),
    nodePortAddresses: fc.constantFrom<ProxyConfig['nodePortAddresses']>(
      'all',
      'primary',
      ['198.51.100.0/24', '2001:db8:1e::/64'],
      ['192.0.2.0/24', '127.0.0.0/8'],
    ),
  },
  { requiredKeys: [] },
)

const scenarioArbitrary: fc.Arbitrary<Scenario> = fc.record({
  services: fc.tuple(serviceArbitrary('web', 30080), serviceArbitrary('other', 30081)),
  config: configArbitrary,
})
