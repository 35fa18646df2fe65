import {
  buildState,
  DEFAULT_PROXY_CONFIG,
  type Endpoint,
  endpointKey,
  type IpFamily,
  type KubernetesObject,
  type ObjectKind,
  type NodeInfo,
  type ProxyConfig,
  type ServicePort,
  type ServicePortName,
  type State,
} from '@pointsman/core'
import { nodeInfoWith } from '@pointsman/core/testing'
import type { RulesetOptions } from '@pointsman/backend-iptables'
import fc from 'fast-check'
import { hostileObjectArbitrary, validArbitrary } from '../../packages/core/src/testing/arbitraries.js'

const KINDS: readonly ObjectKind[] = ['Service', 'EndpointSlice', 'Node']

/** The objects of a cluster, each kind and name once. */
export const objectsArbitrary = (): fc.Arbitrary<readonly KubernetesObject[]> =>
  fc
    .tuple(
      fc.array(validArbitrary('Service'), { maxLength: 6 }),
      fc.array(validArbitrary('EndpointSlice'), { maxLength: 8 }),
      fc.array(validArbitrary('Node'), { maxLength: 3 }),
    )
    .map((kinds) => onceEach(kinds.flat()))

/**
 * The state of a cluster in which Services have endpoints: a slice that is made up for itself rarely fits one. The node
 * is node-a or not known; it may lack a family, and bear an address of a Service.
 */
export const stateArbitrary = (): fc.Arbitrary<State> =>
  fc
    .record({
      services: fc.array(validArbitrary('Service'), { minLength: 1, maxLength: 5 }),
      node: fc.constantFrom(undefined, ...NODES),
      lists: fc.array(fc.array(endpointArbitrary, { maxLength: 4 }), { minLength: 4, maxLength: 8 }),
      guards: fc.array(fc.constantFrom(undefined, ...GUARDS), { minLength: 4, maxLength: 8 }),
    })
    .map(({ services, node, lists, guards }) => {
      const { state } = buildState({ objects: onceEach(services) })
      const ports = new Map<ServicePortName, ServicePort>()
      const endpoints = new Map<ServicePortName, readonly Endpoint[]>()
      for (const [index, port] of [...state.services.values()].entries()) {
        ports.set(port.id, { ...port, ...guards[index % guards.length]?.[port.family] })
        const list = inFamily(lists[index % lists.length] ?? [], port.family)
        if (list.length > 0) endpoints.set(port.id, list)
      }
      return { ...state, services: ports, endpoints, ...(node && { node: nodeInfoWith(node) }) }
    })

/** Load balancers with source ranges: too many things have to meet for chance to make them often. */
const GUARDS: readonly { readonly [family in IpFamily]: Guard }[] = [
  {
    IPv4: { loadBalancerVIPs: ['203.0.113.1'], loadBalancerSourceRanges: ['10.244.1.0/24', '192.0.2.0/24'] },
    IPv6: { loadBalancerVIPs: ['2001:db8::1'], loadBalancerSourceRanges: ['fd00:10:244:1::/64'] },
  },
  {
    IPv4: { loadBalancerVIPs: ['203.0.113.1', '203.0.113.2'], loadBalancerSourceRanges: ['192.168.55.0/24'] },
    IPv6: { loadBalancerVIPs: ['2001:db8::1'], loadBalancerSourceRanges: ['fd00:55::/64', 'fd00:10:244:2::/64'] },
  },
  {
    IPv4: { loadBalancerVIPs: ['203.0.113.3'], loadBalancerSourceRanges: [] },
    IPv6: { loadBalancerVIPs: ['2001:db8::3'], loadBalancerSourceRanges: [] },
  },
]

type Guard = Pick<ServicePort, 'loadBalancerVIPs' | 'loadBalancerSourceRanges'>

const NODES: readonly Partial<NodeInfo>[] = [
  {},
  {},
  { addresses: ['192.168.55.10'] },
  { addresses: ['fd00:55::10'], podCIDRs: ['fd00:10:244:1::/64'] },
  { addresses: ['203.0.113.1', '192.168.55.10', '2001:db8::1'], zone: '' },
]

/** An endpoint without a family. */
interface EndpointSketch extends Omit<Endpoint, 'address' | 'nodeName'> {
  readonly number: number
  readonly onNode: string | undefined
}

const endpointArbitrary: fc.Arbitrary<EndpointSketch> = fc
  .record({
    number: fc.integer({ min: 1, max: 4 }),
    port: fc.constantFrom(80, 8080),
    // Local endpoints, ready ones and hints are as likely as what overrules them.
    onNode: fc.constantFrom('node-a', 'node-a', 'node-b', undefined),
    conditions: fc.constantFrom(
      { ready: true, serving: true, terminating: false },
      { ready: true, serving: true, terminating: false },
      { ready: false, serving: true, terminating: true },
      { ready: false, serving: false, terminating: true },
      { ready: false, serving: false, terminating: false },
    ),
    hints: fc.constantFrom(
      {},
      {},
      { zoneHints: ['zone-a'] },
      { zoneHints: ['zone-b'] },
      { zoneHints: ['zone-a'], nodeHints: ['node-a'] },
      { zoneHints: ['zone-b'], nodeHints: ['node-b'] },
    ),
  })
  .map(({ conditions, hints, ...rest }) => ({ ...conditions, ...hints, ...rest }))

/** One of them is spelt otherwise by iptables: `::10.244.1.4`. */
const addressV6 = (net: number, number: number): string =>
  number === 4 ? `::af4:${net}04` : `fd00:10:244:${net}::${number}`

function inFamily(sketches: readonly EndpointSketch[], family: IpFamily): readonly Endpoint[] {
  const endpoints = sketches.map(({ number, onNode, ...rest }): Endpoint => {
    const net = onNode === 'node-a' ? 1 : 2
    const address = family === 'IPv4' ? `10.244.${net}.${number}` : addressV6(net, number)
    return { address, ...rest, ...(onNode !== undefined && { nodeName: onNode }) }
  })
  const once = new Map(endpoints.map((endpoint) => [endpointKey(endpoint), endpoint]))
  return [...once].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, endpoint]) => endpoint)
}

/** Objects among which are some that no API server would serve. */
export const hostileObjectsArbitrary = (): fc.Arbitrary<readonly KubernetesObject[]> =>
  fc.array(
    fc.constantFrom(...KINDS).chain((kind) => fc.oneof(validArbitrary(kind), hostileObjectArbitrary(kind))),
    { maxLength: 12 },
  )

/** For what does not depend on what the rules of a layout mean. */
export const EVERY_LAYOUT: readonly ProxyConfig['layout'][] = ['current', 'classic']

/** Every setting that rules are made from. */
export const configArbitrary = (layouts: readonly ProxyConfig['layout'][] = ['current']): fc.Arbitrary<ProxyConfig> =>
  fc
    .record({
      layout: fc.constantFrom(...layouts),
      detectLocal: fc.constantFrom<ProxyConfig['detectLocal']>(
        { mode: 'None' },
        { mode: 'ClusterCIDR', cidrs: ['10.244.0.0/16', 'fd00:10:244::/48'] },
        { mode: 'ClusterCIDR', cidrs: ['fd00:10:244::/48'] },
        { mode: 'ClusterCIDR', cidrs: ['0.0.0.0/0', '::/0'] },
        { mode: 'NodeCIDR' },
        { mode: 'BridgeInterface', bridge: 'cbr0' },
        { mode: 'InterfaceNamePrefix', prefix: 'cali' },
      ),
      masqueradeAll: fc.boolean(),
      masqueradeBit: fc.constantFrom(0, 14, 15, 31),
      localhostNodePorts: fc.boolean(),
      nodePortAddresses: fc.constantFrom<ProxyConfig['nodePortAddresses']>(
        'all',
        'primary',
        ['192.168.55.0/24'],
        ['fd00:55::/64', '203.0.113.0/24'],
        ['127.0.0.0/8', '::1/128', '192.168.55.0/24'],
        ['0.0.0.0/0', '::/0'],
      ),
      tcpBeLiberal: fc.boolean(),
      nodeIp: fc.constantFrom(undefined, undefined, '192.168.55.11', 'fd00:55::11', '127.0.0.1'),
    })
    .map(({ nodeIp, ...settings }) => ({
      ...DEFAULT_PROXY_CONFIG,
      ...settings,
      ...(nodeIp !== undefined && { nodeIp }),
    }))

export const optionsArbitrary = (): fc.Arbitrary<RulesetOptions> =>
  fc.record({
    family: fc.constantFrom('IPv4', 'IPv6'),
    randomFully: fc.boolean(),
    nfacct: fc.boolean(),
    keepComments: fc.boolean(),
  })

function onceEach(objects: readonly KubernetesObject[]): readonly KubernetesObject[] {
  const keyOf = ({ kind, metadata }: KubernetesObject): string => `${kind} ${metadata.namespace ?? ''}/${metadata.name}`
  return [...new Map(objects.map((object) => [keyOf(object), object])).values()]
}
