import { DEFAULT_PROXY_CONFIG, type ProxyConfig, type State } from '@pointsman/core'
import { nodeInfoWith, type PortDescription, stateOf } from '@pointsman/core/testing'
import { describe, expect, test } from 'vitest'
import { compareModes, type Difference } from './compare-modes.js'

const IPTABLES: ProxyConfig = {
  ...DEFAULT_PROXY_CONFIG,
  detectLocal: { mode: 'ClusterCIDR', cidrs: ['10.244.0.0/16'] },
}
const NFTABLES: ProxyConfig = { ...IPTABLES, mode: 'nftables', localhostNodePorts: false, nodePortAddresses: 'primary' }
const IPVS: ProxyConfig = { ...IPTABLES, mode: 'ipvs', localhostNodePorts: false }

const addresses = ['192.168.55.10', '10.0.0.10']
const web: PortDescription = { is: 'shop/web', clusterIP: '10.96.0.20', endpoints: ['10.244.1.5:8080@node-a'] }

const told = ({ target, addresses: at, senders, before, after, reasons }: Difference): string =>
  `${target.type} ${at.join('+')}${target.assumed === true ? '?' : ''} from ${senders.join('+')}: ${before.verdict} -> ${after.verdict} (${reasons.join(' ')})`

interface Scenario {
  readonly ports: readonly PortDescription[]
  readonly from?: ProxyConfig
  readonly to?: ProxyConfig
  readonly node?: Partial<NonNullable<State['node']>>
  readonly serviceCidrs?: readonly string[]
  readonly interfaceAddresses?: readonly string[]
}

function compared({ ports, from = IPTABLES, to = NFTABLES, node = {}, ...given }: Scenario) {
  const { serviceCidrs = [], interfaceAddresses = [] } = given
  const inForce = stateOf({ ports, serviceCidrs, node: nodeInfoWith({ addresses, ...node }) })
  return compareModes({ inForce, from, to, interfaceAddresses })
}
/** Without unused ports, which nearly every scenario has. */
const differences = (scenario: Scenario): readonly string[] =>
  compared(scenario)
    .differences.filter(({ target }) => target.type !== 'unusedPort')
    .map(told)

describe('from iptables to nftables', () => {
  test('node ports leave loopback and secondary addresses, each for its own reason', () => {
    expect(differences({ ports: [{ ...web, nodePort: 30080 }], interfaceAddresses: ['172.16.0.1'] })).toEqual([
      'nodePort 10.0.0.10+172.16.0.1 from node+pod+outside+endpoint: endpoints -> no-service (NODE_PORT_ADDRESSES)',
      'nodePort 127.0.0.1 from node: endpoints -> no-service (NODE_PORT_ON_LOOPBACK)',
    ])
  })

  test('where one address of the node is known, another stands for those that it may have', () => {
    const node = { addresses: ['192.168.55.10'] }
    expect(differences({ ports: [{ ...web, nodePort: 30080 }], node })).toContain(
      'nodePort 198.18.255.254? from node+pod+outside+endpoint: endpoints -> no-service (NODE_PORT_ADDRESSES)',
    )
  })

  test('node ports stay where both modes have them on the same addresses', () => {
    const nodePortAddresses = ['192.168.55.0/24']
    const both = { from: { ...IPTABLES, nodePortAddresses }, to: { ...NFTABLES, nodePortAddresses } }
    expect(differences({ ports: [{ ...web, nodePort: 30080 }], ...both })).toEqual([])
  })

  test('unused ports of cluster IPs are rejected, of each address once', () => {
    const {
      differences: found,
      changed,
      services,
    } = compared({
      ports: [web, { ...web, is: 'shop/web:admin', port: 1 }, { ...web, is: 'shop/other', clusterIP: '10.96.0.21' }],
    })
    expect(found.map(told)).toEqual([
      'unusedPort 10.96.0.20 from node+pod+outside: no-service -> rejected (UNUSED_PORT)',
      'unusedPort 10.96.0.21 from node+pod+outside: no-service -> rejected (UNUSED_PORT)',
    ])
    expect(found[0]?.target.port).toBe(2)
    expect([[...changed], services]).toEqual([['shop/web', 'shop/other'], 2])
  })

  test('unallocated addresses are dropped in each ServiceCIDR, where there are any', () => {
    expect(differences({ ports: [], serviceCidrs: ['10.96.0.0/12', 'fd00:10:96::/112'] })).toEqual([
      'unallocated 10.96.0.2 from pod+node+outside: no-service -> dropped (UNALLOCATED_ADDRESS)',
      'unallocated fd00:10:96::2 from pod+node+outside: no-service -> dropped (UNALLOCATED_ADDRESS)',
    ])
    // All of it is taken but what no Service gets.
    expect(differences({ ports: [{ ...web, clusterIP: '10.96.0.2' }], serviceCidrs: ['10.96.0.0/30'] })).toEqual([
      'unallocated 10.96.0.3 from pod+node+outside: no-service -> dropped (UNALLOCATED_ADDRESS)',
    ])
  })

  test('external addresses without endpoints reject the node too, and source ranges come before that', () => {
    const lb = { ...web, endpoints: [], externalIPs: ['203.0.113.9'], loadBalancerVIPs: ['198.51.100.20'] }
    expect(differences({ ports: [{ ...lb, loadBalancerSourceRanges: ['192.0.2.0/24'] }] })).toEqual([
      'externalIP 203.0.113.9 from node: no-service -> rejected (REFUSED_FOR_NODE)',
      'loadBalancerIP 198.51.100.20 from node: no-service -> dropped (SOURCE_RANGES_FIRST)',
      'loadBalancerIP 198.51.100.20 from pod+outside: rejected -> dropped (SOURCE_RANGES_FIRST)',
    ])
  })

  test('a node port without endpoints is refused on fewer addresses, for two reasons at once', () => {
    expect(differences({ ports: [{ ...web, endpoints: [], nodePort: 30080 }] })).toEqual([
      'nodePort 10.0.0.10 from node+pod+outside: rejected -> no-service (NODE_PORT_ADDRESSES CLOSED_NODE_PORT)',
      'nodePort 127.0.0.1 from node: rejected -> no-service (CLOSED_NODE_PORT NODE_PORT_ON_LOOPBACK)',
    ])
  })

  test('the source address changes with masqueradeAll, and where an endpoint of another node reaches itself', () => {
    const all = compared({ ports: [web], from: { ...IPTABLES, masqueradeAll: true } }).differences
    expect(all.map(told)).toContain('clusterIP 10.96.0.20 from pod: endpoints -> endpoints (MASQUERADE_ALL)')
    expect(all.find(({ target }) => target.type === 'clusterIP')?.changes).toEqual(['source'])
    const ports = [
      { ...web, nodePort: 30080, externalTrafficPolicy: 'Local', endpoints: ['10.244.2.6:8080@node-b'] } as const,
    ]
    expect(differences({ ports })).toContain(
      'nodePort 192.168.55.10 from remote-endpoint: endpoints -> endpoints (HAIRPIN)',
    )
  })

  test('nothing changes for a Service in a family that is not configured', () => {
    const families = ['IPv6'] as const
    const both = { from: { ...IPTABLES, families }, to: { ...NFTABLES, families } }
    expect(compared({ ports: [web], serviceCidrs: ['10.96.0.0/12'], ...both })).toMatchObject({
      differences: [],
      classes: 0,
    })
  })
})

test('from ipvs, unused ports of external addresses are no longer rejected', () => {
  const { differences: found } = compared({ ports: [{ ...web, externalIPs: ['203.0.113.9'] }], from: IPVS })
  expect(found.map(told)).toEqual([
    'unusedPort 203.0.113.9 from node+pod+outside: rejected -> no-service (UNUSED_PORT)',
  ])
})

test('back to iptables, the same differences are the other way round', () => {
  const there = compared({ ports: [{ ...web, nodePort: 30080 }] }).differences
  const back = compared({ ports: [{ ...web, nodePort: 30080 }], from: NFTABLES, to: IPTABLES }).differences
  const pairs = (found: readonly Difference[], turned: boolean) =>
    found
      .map(({ target, before, after }) =>
        [
          target.type,
          target.address,
          ...(turned ? [after, before] : [before, after]).map(({ verdict }) => verdict),
        ].join(' '),
      )
      .toSorted()
  expect(pairs(back, true)).toEqual(pairs(there, false))
})
