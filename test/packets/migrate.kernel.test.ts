import { buildState, DEFAULT_PROXY_CONFIG, type ProxyConfig } from '@pointsman/core'
import { expect, test } from 'vitest'
import { compareModes } from '../../packages/cli/src/commands/migrate/compare-modes.js'
import { packetClasses, type Sender } from '../../packages/cli/src/commands/migrate/packet-classes.js'
import { objectsOf, type ServiceDescription } from './cluster.js'
import { describeWorlds } from './describe-worlds.js'
import { CLUSTER_CIDRS, nameAt, type Name } from './names.js'

const FROM: ProxyConfig = { ...DEFAULT_PROXY_CONFIG, detectLocal: { mode: 'ClusterCIDR', cidrs: CLUSTER_CIDRS } }
const OF_NFTABLES = { nodePortAddresses: 'primary', localhostNodePorts: false } as const
const TO: ProxyConfig = { ...FROM, mode: 'nftables', ...OF_NFTABLES }

/** Who sends for each kind of sender: near-b is no endpoint here, near-a and far-c are. */
const SENDER_NAMES: { readonly [sender in Sender]?: Name } = {
  pod: 'near-b',
  endpoint: 'near-a',
  'remote-endpoint': 'far-c',
  node: 'node',
  outside: 'client',
}

interface Asked {
  readonly key: string
  readonly packet: { readonly protocol: 'tcp'; readonly from: Name; readonly to: Name; readonly port: number }
  readonly family: 'IPv4' | 'IPv6'
}

function asked(services: readonly ServiceDescription[]): readonly Asked[] {
  const { state } = buildState({ objects: objectsOf(services), nodeName: 'node-a' })
  return [...packetClasses({ inForce: state, config: FROM, interfaceAddresses: [] })].flatMap(({ target, sender }) => {
    const from = SENDER_NAMES[sender]
    const to = nameAt(target.address)
    if (from === undefined || to === undefined) throw new Error(`nobody is ${sender}, or has ${target.address}`)
    const { type, family, address, port } = target
    // Any port will do that the Service does not have: the rest of the world answers on this one.
    const sent = type === 'unusedPort' ? 7777 : port
    return [{ key: `${sender} -> ${address} ${port}`, packet: { protocol: 'tcp', from, to, port: sent }, family }]
  })
}

function listed(services: readonly ServiceDescription[]): readonly string[] {
  const { state } = buildState({ objects: objectsOf(services), nodeName: 'node-a' })
  const { differences } = compareModes({ inForce: state, from: FROM, to: TO, interfaceAddresses: [] })
  return differences.flatMap(({ target, addresses, senders }) =>
    senders.flatMap((sender) => addresses.map((address) => `${sender} -> ${address} ${target.port}`)),
  )
}

describeWorlds(
  'what migrate lists',
  (worlds) => {
    test.each<readonly [string, readonly ServiceDescription[]]>([
      [
        'a node port, an external address, and a load balancer without endpoints',
        [
          { nodePort: 30080, externalIPs: ['external'], endpoints: ['near-a', 'far-c'] },
          { name: 'other', vips: ['vip'], nodePort: 30081, endpoints: [] },
        ],
      ],
      [
        'policy Local with endpoints here',
        [{ nodePort: 30080, vips: ['vip'], externalTrafficPolicy: 'Local', endpoints: ['near-a', 'far-c'] }],
      ],
      [
        'policy Local without endpoints here',
        [{ nodePort: 30080, vips: ['vip'], externalTrafficPolicy: 'Local', endpoints: ['far-c'] }],
      ],
    ])('is what changes for real packets, and nothing else: %s', async (_, services) => {
      const [iptables, nftables] = worlds.all
      await Promise.all([iptables?.apply({ services }), nftables?.apply({ services, config: OF_NFTABLES })])
      const told = await Promise.all(
        asked(services).map(async ({ key, packet, family }) => {
          const [before, after] = await Promise.all(
            worlds.all.map(async (world) => (await world.fatesOf({ ...packet, family })).seen),
          )
          return { key, differs: before !== after }
        }),
      )
      const changed = told.flatMap(({ key, differs }) => (differs ? [key] : []))
      expect(changed.toSorted()).toEqual(listed(services).toSorted())
    })
  },
  [],
  ['nft', 'nftables'],
)
