import {
  type Front,
  frontsOf,
  type InForce,
  isLocalEndpoint,
  type IpFamily,
  nodeWithoutObject,
  type Packet,
  parseAddress,
  parseCidr,
  type ProxyConfig,
  type Protocol,
  type ServiceName,
  type ServicePort,
  type ServicePortName,
} from '@pointsman/core'
import { networkOf, type PacketSource, podOf, SOME_ADDRESS } from '../explain/front-ways.js'

/** Who sends. */
export const SENDERS = {
  pod: 'a pod of this node',
  endpoint: 'its endpoint on this node',
  'remote-endpoint': 'its endpoint on another node',
  node: 'the node',
  outside: 'outside',
  ranges: 'within the source ranges',
} as const
export type Sender = keyof typeof SENDERS

/** What a destination is: a front of a Service, or what lies beside its fronts. */
export type TargetType = Front['type'] | 'unusedPort' | 'unallocated'

/** Where packets are sent that all meet the same rules. */
export interface Target {
  readonly type: TargetType
  readonly family: IpFamily
  readonly protocol: Protocol
  readonly address: string
  readonly port: number
  /** Of a node port: which of the node's addresses it is. */
  readonly of?: 'primary' | 'secondary' | 'loopback'
  /** The address stands for one that the node may have, and that is not known. */
  readonly assumed?: true
  /** Absent: it is no Service's. */
  readonly service?: ServiceName
  readonly servicePort?: ServicePortName
}

export interface PacketClass {
  readonly target: Target
  readonly sender: Sender
  readonly packet: Packet
  /** As much of what is in force as the packet can meet. */
  readonly inForce: InForce
}

interface ClassesQuestion {
  readonly inForce: InForce
  readonly config: ProxyConfig
  /** Addresses of the node's interfaces besides those of the Node. */
  readonly interfaceAddresses: readonly string[]
}

/** Every class of packets that a node meets for Services: each front, and what lies beside it, from each kind of sender. */
export function* packetClasses(question: ClassesQuestion): Generator<PacketClass, void, undefined> {
  const { config, inForce } = question
  const node = withInterfaces(question)
  const all: InForce = { ...inForce, node: node.info }
  const meets = meetingPorts(all)
  const used = usedPorts(inForce)
  const unusedDone = new Set<string>()
  for (const port of inForce.services.values()) {
    if (!config.families.includes(port.family)) continue
    for (const target of targetsOf(port, { node, used, unusedDone })) {
      const met = meets(target)
      for (const [sender, source] of sendersOf(port, target, all, config))
        yield classOf(target, { sender, source, inForce: met })
    }
  }
  for (const target of unallocatedTargets(inForce, config)) {
    const met = meets(target)
    for (const sender of ['pod', 'node', 'outside'] as const)
      yield classOf(target, { sender, source: sourceOf(sender, target.family, all, config), inForce: met })
  }
}

const classOf = (
  target: Target,
  { sender, source, inForce }: { readonly sender: Sender; readonly source: PacketSource; readonly inForce: InForce },
): PacketClass => {
  const { address: to, port, protocol } = target
  return { target, sender, packet: { to, port, protocol, ...source }, inForce }
}

interface NodeAddresses {
  readonly info: NonNullable<InForce['node']>
  readonly addresses: readonly Pick<Target, 'address' | 'family' | 'of' | 'assumed'>[]
}

/** The node with all of its addresses. Of a family in which no second one is known, one stands for those that it may have. */
function withInterfaces({ inForce, interfaceAddresses }: ClassesQuestion): NodeAddresses {
  const node = inForce.node ?? nodeWithoutObject('')
  const given = interfaceAddresses.filter((address) => !isLoopback(address))
  const known = [...new Set([...node.addresses, ...given])]
  const addresses: NodeAddresses['addresses'][number][] = []
  const assumed: string[] = []
  for (const family of ['IPv4', 'IPv6'] as const) {
    const [primary, ...others] = known.filter((address) => familyOf(address) === family)
    if (primary !== undefined) addresses.push({ address: primary, family, of: 'primary' })
    for (const address of others) addresses.push({ address, family, of: 'secondary' })
    if (primary !== undefined && others.length === 0) {
      assumed.push(SOME_ADDRESS[family])
      addresses.push({ address: SOME_ADDRESS[family], family, of: 'secondary', assumed: true })
    }
    addresses.push({ address: LOOPBACK[family], family, of: 'loopback' })
  }
  return { info: { ...node, addresses: [...known, ...assumed] }, addresses }
}

const LOOPBACK = { IPv4: '127.0.0.1', IPv6: '::1' } as const
const isLoopback = (address: string): boolean => address === LOOPBACK.IPv6 || address.startsWith('127.')
const familyOf = (address: string): IpFamily => (address.includes(':') ? 'IPv6' : 'IPv4')

interface TargetContext {
  readonly node: NodeAddresses
  readonly used: ReadonlyMap<string, ReadonlySet<number>>
  /** Addresses whose unused ports have been asked about. */
  readonly unusedDone: Set<string>
}

function* targetsOf(port: ServicePort, { node, used, unusedDone }: TargetContext): Generator<Target> {
  const { family, protocol, service, id: servicePort } = port
  for (const { type, address, port: number } of frontsOf(port)) {
    const common = { type, family, protocol, port: number, service, servicePort }
    if (address !== undefined) yield { ...common, address }
    else for (const each of node.addresses) if (each.family === family) yield { ...common, ...each }
  }
  for (const address of [port.clusterIP, ...port.externalIPs, ...port.loadBalancerVIPs]) {
    if (unusedDone.has(address)) continue
    unusedDone.add(address)
    yield { type: 'unusedPort', family, protocol: 'TCP', address, port: firstUnused(used.get(address)), service }
  }
}

const firstUnused = (used: ReadonlySet<number> = new Set()): number => {
  let port = 1
  while (used.has(port)) port += 1
  return port
}

/** The ports of all protocols that Services have at an address. */
function usedPorts({ services }: InForce): ReadonlyMap<string, ReadonlySet<number>> {
  const used = new Map<string, Set<number>>()
  for (const { clusterIP, externalIPs, loadBalancerVIPs, port } of services.values())
    for (const address of [clusterIP, ...externalIPs, ...loadBalancerVIPs])
      used.set(address, (used.get(address) ?? new Set()).add(port))
  return used
}

/** One address of each ServiceCIDR that no Service has. */
function* unallocatedTargets({ services, serviceCidrs = [] }: InForce, { families }: ProxyConfig): Generator<Target> {
  const taken = new Set([...services.values()].map(({ clusterIP }) => clusterIP))
  for (const text of serviceCidrs) {
    const cidr = parseCidr(text)
    if (cidr === undefined || !families.includes(cidr.family)) continue
    const hosts = 2 ** Math.min(16, (cidr.family === 'IPv4' ? 32 : 128) - cidr.prefix)
    const offset = [...Array(hosts).keys()].find((each) => each > 1 && !taken.has(addressAt(cidr.groups, each)))
    if (offset === undefined) continue
    const address = addressAt(cidr.groups, offset)
    yield { type: 'unallocated', family: cidr.family, protocol: 'TCP', address, port: 80 }
  }
}

/** The address at an offset below 2^16 from a network's, whose low bits are 0. */
function addressAt(groups: readonly number[], offset: number): string {
  const whole = [...groups.slice(0, -1), (groups.at(-1) ?? 0) + offset]
  const text =
    whole.length === 2
      ? whole.flatMap((group) => [group >> 8, group & 255]).join('.')
      : whole.map((group) => group.toString(16)).join(':')
  return parseAddress(text)?.text ?? text
}

function* sendersOf(
  port: ServicePort,
  { type, family, of }: Target,
  inForce: InForce,
  config: ProxyConfig,
): Generator<readonly [Sender, PacketSource]> {
  yield ['node', sourceOf('node', family, inForce, config)]
  // Nothing else reaches the node's loopback.
  if (of === 'loopback') return
  yield ['pod', sourceOf('pod', family, inForce, config)]
  yield ['outside', sourceOf('outside', family, inForce, config)]
  if (type === 'unusedPort') return
  const endpoints = inForce.endpoints.get(port.id) ?? []
  const local = endpoints.find((endpoint) => isLocalEndpoint(endpoint, inForce.node))
  const remote = endpoints.find((endpoint) => !isLocalEndpoint(endpoint, inForce.node))
  const { interface: podInterface } = sourceOf('pod', family, inForce, config)
  if (local !== undefined)
    yield ['endpoint', { from: local.address, ...(podInterface !== undefined && { interface: podInterface }) }]
  // To any other address, a pod's own node has sent its packets on already.
  if (remote !== undefined && type === 'nodePort')
    yield ['remote-endpoint', { from: remote.address, interface: ANOTHER }]
  const [range] = type === 'loadBalancerIP' ? port.loadBalancerSourceRanges : []
  if (range !== undefined) yield ['ranges', { from: networkOf(range), interface: ANOTHER }]
}

/** No pod's. */
const ANOTHER = 'another'

function sourceOf(
  sender: 'pod' | 'node' | 'outside',
  family: IpFamily,
  { node }: InForce,
  config: ProxyConfig,
): PacketSource {
  if (sender === 'pod') return podOf({ node, config, family })
  return sender === 'node' ? { from: sender } : { from: sender, interface: ANOTHER }
}

/** Finds the service ports that a packet to a target can meet, so that each is asked about these alone. */
function meetingPorts(inForce: InForce): (target: Target) => InForce {
  const byAddress = new Map<string, ServicePort[]>()
  const byNodePort = new Map<number, ServicePort[]>()
  const add = <Key>(map: Map<Key, ServicePort[]>, key: Key, port: ServicePort): void => {
    const found = map.get(key)
    if (found === undefined) map.set(key, [port])
    else found.push(port)
  }
  for (const port of inForce.services.values()) {
    const { clusterIP, externalIPs, loadBalancerVIPs, loadBalancerProxyIPs, nodePort, healthCheckNodePort } = port
    for (const address of new Set([clusterIP, ...externalIPs, ...loadBalancerVIPs, ...loadBalancerProxyIPs]))
      add(byAddress, address, port)
    for (const number of new Set([nodePort, healthCheckNodePort])) if (number !== 0) add(byNodePort, number, port)
  }
  return ({ address, port }) => {
    const ports = [...(byAddress.get(address) ?? []), ...(byNodePort.get(port) ?? [])]
    const services = new Map(ports.map((each) => [each.id, each]))
    const endpoints = new Map(
      ports.flatMap(({ id }) => {
        const list = inForce.endpoints.get(id)
        return list === undefined ? [] : [[id, list] as const]
      }),
    )
    return { ...inForce, services, endpoints }
  }
}
