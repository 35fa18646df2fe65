import { describe, expect, it } from 'vitest'
import type { NodeInfo } from '../model/node.js'
import { DEFAULT_PROXY_CONFIG, type DetectLocal } from '../model/proxy-config.js'
import { stateOf, nodeInfoWith, type PortDescription } from '../testing/state-builder.js'
import { route } from './route.js'
import { fate, packetOf } from './test-support/scenario.js'

/** A node port of policy Local, asked from within: a local pod goes anywhere, anybody else stays on the node. */
const np: PortDescription = {
  is: 'shop/np',
  clusterIP: '10.96.0.20',
  nodePort: 30080,
  externalTrafficPolicy: 'Local',
  endpoints: ['10.244.1.5:8080@node-a', '10.244.2.6:8080@node-b', '172.30.0.7:8080@node-a', '172.30.0.8:8080@node-b'],
}
const npV6: PortDescription = { ...np, clusterIP: 'fd00:10:96::20', endpoints: ['[fd00:10:244:1::5]:8080@node-a'] }

const bridge: DetectLocal = { mode: 'BridgeInterface', bridge: 'cbr0' }
const prefix: DetectLocal = { mode: 'InterfaceNamePrefix', prefix: 'cali' }

/** Whether a packet to the cluster IP is masqueraded on its way to an endpoint that is not its sender. */
function masqueraded(detectLocal: DetectLocal, sender: string, node: Partial<NodeInfo> = {}): boolean | undefined {
  const [from = '', via] = sender.split(' via ')
  const to = from.includes(':') ? '[fd00:10:96::20]' : '10.96.0.20'
  const packet = packetOf(`tcp ${from} -> ${to}:80${via === undefined ? '' : ` via ${via}`}`)
  const state = stateOf({ ports: [np, npV6], node: nodeInfoWith(node) })
  return route(state, { ...DEFAULT_PROXY_CONFIG, detectLocal }, packet).endpoints[0]?.masqueraded
}

describe('who is a pod of this node', () => {
  it.each<readonly [string, DetectLocal, string, boolean]>([
    ['None: nobody is told apart', { mode: 'None' }, 'outside', false],
    ['ClusterCIDR: in the CIDR', { mode: 'ClusterCIDR', cidrs: ['10.244.0.0/16'] }, '10.244.7.7', false],
    ['ClusterCIDR: out of it', { mode: 'ClusterCIDR', cidrs: ['10.244.0.0/16'] }, '10.245.0.1', true],
    ['ClusterCIDR: outside', { mode: 'ClusterCIDR', cidrs: ['10.244.0.0/16'] }, 'outside', true],
    ['ClusterCIDR of everything: outside as well', { mode: 'ClusterCIDR', cidrs: ['0.0.0.0/0'] }, 'outside', false],
    [
      'ClusterCIDR of the other family tells nothing',
      { mode: 'ClusterCIDR', cidrs: ['10.244.0.0/16'] },
      'fd00:99::1',
      false,
    ],
    [
      'ClusterCIDR: an interface is of no account',
      { mode: 'ClusterCIDR', cidrs: ['10.244.0.0/16'] },
      'outside via cbr0',
      true,
    ],
    ['NodeCIDR: in it', { mode: 'NodeCIDR' }, '10.244.1.200', false],
    ['NodeCIDR: a pod of another node', { mode: 'NodeCIDR' }, '10.244.2.200', true],
    ['NodeCIDR: IPv6', { mode: 'NodeCIDR' }, 'fd00:10:244:1::99', false],
    ['NodeCIDR: the node', { mode: 'NodeCIDR' }, 'node', true],
    ['BridgeInterface: by the bridge', bridge, '172.16.0.1 via cbr0', false],
    ['BridgeInterface: by another', bridge, '10.244.1.200 via eth0', true],
    ['BridgeInterface: by one whose name begins like it', bridge, '10.244.1.200 via cbr01', true],
    ['BridgeInterface: the node sends by none', bridge, 'node via cbr0', true],
    ['BridgeInterface: an address of the pod CIDR', bridge, '10.244.1.200', false],
    ['BridgeInterface: an endpoint of this node', bridge, '172.30.0.7', false],
    ['BridgeInterface: an endpoint of another node', bridge, '172.30.0.8', true],
    ['BridgeInterface: outside', bridge, 'outside', true],
    ['BridgeInterface: outside, and yet by the bridge', bridge, 'outside via cbr0', false],
    ['InterfaceNamePrefix: by such an interface', prefix, '172.16.0.1 via cali12ab', false],
    ['InterfaceNamePrefix: by another', prefix, '10.244.1.200 via eth0', true],
    ['InterfaceNamePrefix: the node', prefix, 'node', true],
  ])('%s', (_, detectLocal, from, expected) => {
    expect(masqueraded(detectLocal, from)).toBe(expected)
  })

  it('NodeCIDR tells nothing where the Node has no pod CIDR', () => {
    expect(masqueraded({ mode: 'NodeCIDR' }, 'outside', { podCIDRs: [] })).toBe(false)
  })

  it('a local pod goes anywhere although the policy is Local, another pod stays', () => {
    const config = { detectLocal: bridge }
    expect(fate({ ports: [np], config }, 'tcp 10.244.1.200 -> 192.168.55.10:30080 via cbr0')).toContain(
      '10.244.2.6:8080',
    )
    expect(fate({ ports: [np], config }, 'tcp 10.244.1.200 -> 192.168.55.10:30080 via eth0')).not.toContain(
      '10.244.2.6:8080',
    )
  })

  it('what was taken for granted about the interface is said', () => {
    const state = stateOf({ ports: [np], node: nodeInfoWith() })
    const reasonFor = (packet: string) =>
      route(state, { ...DEFAULT_PROXY_CONFIG, detectLocal: bridge }, packetOf(packet)).reason
    expect(reasonFor('tcp 10.244.1.200 -> 10.96.0.20:80')).toBe(
      "shop/np sends it to 4 endpoints, by its cluster IP; 10.244.1.200 is taken to arrive by a pod's interface",
    )
    expect(reasonFor('tcp 172.16.0.1 -> 10.96.0.20:80')).toContain(
      "172.16.0.1 is taken to arrive by another interface than a pod's",
    )
    expect(reasonFor('tcp 172.16.0.1 -> 10.96.0.20:80 via eth0')).not.toContain('taken')
    expect(reasonFor('tcp node -> 10.96.0.20:80')).not.toContain('taken')
  })
})
