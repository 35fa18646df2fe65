import {
  displayName,
  endpointKey,
  frontsOf,
  isLoopback,
  parseAddress,
  SKIP_REASONS,
  type IpFamily,
  type ServicePort,
  type SkippedPort,
  type SkipReason,
  type State,
} from '@pointsman/core'
import { CliError } from '../errors.js'
import { didYouMean } from '../input/suggest.js'
import type { PacketProtocol, ResolvedPacket } from './resolve-packet.js'

/** What names are looked up in. Absent: no objects are given, and addresses alone are known. */
export interface Names extends Pick<State, 'services' | 'endpoints' | 'nodes'> {
  /** Services that get no rules, by `namespace/name`, as those without a cluster IP. Absent: not known. */
  readonly skipped?: ReadonlyMap<string, SkipReason>
}

/** What `buildState` left out as a whole. */
export const skippedServices = (skipped: readonly SkippedPort[]): ReadonlyMap<string, SkipReason> =>
  new Map(skipped.flatMap(({ service, portName, family, reason }) => ((portName ?? family) ? [] : [[service, reason]])))

/** The address of one family of a pod, `namespace/name` or a name that one pod alone has. Undefined: there is no such pod. */
export function podAddress(host: string, names: Names, family: IpFamily): string | undefined {
  const pods = new Map<string, string>()
  for (const [id, list] of names.endpoints) {
    const namespace = names.services.get(id)?.namespace ?? id.slice(0, id.indexOf('/'))
    for (const { pod, address } of list) {
      if (pod === undefined || (host !== pod && host !== `${namespace}/${pod}`)) continue
      if (parseAddress(address)?.family === family) pods.set(`${namespace}/${pod}`, address)
    }
  }
  return onlyOne(host, pods)
}

/** The first address of a Node. Undefined: there is no such Node. */
export function nodeAddress(host: string, { nodes }: Names, family: IpFamily): string | undefined {
  const node = nodes.get(host)
  if (node === undefined) return undefined
  const address = node.addresses.find((text) => parseAddress(text)?.family === family)
  if (address !== undefined) return address
  throw new CliError('NOT_FOUND', `the Node ${host} has no ${family} address`)
}

/** The one value. CliError USAGE where there are several, NOT_FOUND being the caller's business. */
export function onlyOne<T>(host: string, found: ReadonlyMap<string, T>): T | undefined {
  if (found.size > 1)
    throw new CliError('USAGE', `${host} is ambiguous: give one of ${[...found.keys()].toSorted().join(', ')}`)
  return [...found.values()][0]
}

/** The error for a name that nobody has. */
export function noSuchHost(host: string, names: Names | undefined): CliError {
  if (names === undefined)
    return new CliError(
      'USAGE',
      `${host} is a name: give an address, or the objects that have it with --objects or --log`,
    )
  for (const [service, reason] of names.skipped ?? [])
    if (host === service || host === service.slice(service.indexOf('/') + 1))
      return new CliError('NOT_FOUND', `no rule is for ${service} (${SKIP_REASONS[reason]}): give the address of a pod`)
  const known = new Set<string>(names.nodes.keys())
  for (const { service, name, namespace, id } of names.services.values()) {
    known.add(host.includes('/') ? service : name)
    for (const { pod } of names.endpoints.get(id) ?? [])
      if (pod !== undefined) known.add(host.includes('/') ? `${namespace}/${pod}` : pod)
  }
  const hint = didYouMean(host, known)
  return new CliError(
    'NOT_FOUND',
    `there is no Service, pod or Node ${host}${hint === '' ? ': give its address' : hint}`,
  )
}

/** Service ports by `namespace/name` and by `name`, and the nodes that each endpoint's address is said to be on. */
interface NameIndex {
  readonly ports: ReadonlyMap<string, readonly ServicePort[]>
  readonly nodes: ReadonlyMap<string, ReadonlySet<string>>
}

const indexes = new WeakMap<Names, NameIndex>()

/** Made once for each object of names: whoever asks about many nodes passes the same one. */
function indexOf(names: Names): NameIndex {
  const known = indexes.get(names)
  if (known !== undefined) return known
  const ports = new Map<string, ServicePort[]>()
  const nodes = new Map<string, Set<string>>()
  for (const servicePort of names.services.values())
    for (const key of new Set([servicePort.service, servicePort.name])) listIn(ports, key).push(servicePort)
  for (const list of names.endpoints.values())
    for (const { address, nodeName } of list) {
      if (nodeName === undefined) continue
      const found = nodes.get(address)
      if (found === undefined) nodes.set(address, new Set([nodeName]))
      else found.add(nodeName)
    }
  const index = { ports, nodes }
  indexes.set(names, index)
  return index
}

function listIn<T>(lists: Map<string, T[]>, key: string): T[] {
  const known = lists.get(key)
  if (known !== undefined) return known
  const list: T[] = []
  lists.set(key, list)
  return list
}

/** The ports of the Services that a name means: `namespace/name`, or a name in whatever namespace. */
export const portsNamed = (host: string, names: Names | undefined): readonly ServicePort[] =>
  names === undefined ? [] : (indexOf(names).ports.get(host) ?? [])

/** Whether an endpoint with this address is on the node. */
export const isEndpointOn = (address: string, nodeName: string, names: Names | undefined): boolean =>
  names !== undefined && indexOf(names).nodes.get(address)?.has(nodeName) === true

/**
 * Whether a packet is for a node port at an address that Services have outside: a load balancer's, or an external IP. Where the node has
 * that address as well, as kube-vip and some clouds configure it, the node port answers there.
 */
export function isNodePortElsewhere(
  { protocol, family, destination, destinationPort }: ResolvedPacket,
  names: Pick<State, 'services'> | undefined,
): boolean {
  let [isExternal, isNodePort] = [false, false]
  for (const servicePort of names?.services.values() ?? []) {
    if (servicePort.family !== family) continue
    const { externalIPs, loadBalancerVIPs, loadBalancerProxyIPs, nodePort } = servicePort
    isExternal ||= [externalIPs, loadBalancerVIPs, loadBalancerProxyIPs].some((list) => list.includes(destination))
    isNodePort ||= nodePort === destinationPort && servicePort.protocol === protocol
  }
  return isExternal && isNodePort
}

/** Names for addresses, as people know them. Undefined: nobody's. */
export interface PacketNames {
  /** `shop/checkout-0 on node-a`, or a Node. */
  readonly host: (address: string) => { readonly pod?: string; readonly node?: string } | undefined
  /** The Services that have a front here, node ports on the addresses of Nodes included: `shop/checkout:http`. */
  readonly services: (front: FrontAddress) => readonly string[]
}

interface FrontAddress {
  readonly address: string
  readonly port: number
  readonly protocol: PacketProtocol
}

export function packetNames(names: Names | undefined): PacketNames {
  if (names === undefined) return { host: () => undefined, services: () => [] }
  const hosts = new Map<string, { readonly pod?: string; readonly node?: string }>()
  for (const { name, addresses } of names.nodes.values())
    for (const address of addresses) hosts.set(address, { node: name })
  const nodeAddresses = new Set(hosts.keys())
  const services = new Map<string, readonly string[]>()
  for (const servicePort of names.services.values()) {
    for (const { address, port, protocol } of frontsOf(servicePort)) {
      const key = address === undefined ? nodePortKey({ port, protocol }) : keyOf({ address, port, protocol })
      services.set(key, [...(services.get(key) ?? []), displayName(servicePort)])
    }
    for (const { address, pod, nodeName } of names.endpoints.get(servicePort.id) ?? []) {
      if (pod === undefined) continue
      hosts.set(address, { pod: `${servicePort.namespace}/${pod}`, ...(nodeName !== undefined && { node: nodeName }) })
    }
  }
  const servicesOf = (front: FrontAddress): readonly string[] => {
    if (front.protocol === 'ICMP') return servicesAt(names, front.address)
    const found = services.get(keyOf(front))
    if (found !== undefined) return found
    return nodeAddresses.has(front.address) || isLoopback(front.address) ? (services.get(nodePortKey(front)) ?? []) : []
  }
  return { host: (address) => hosts.get(address), services: servicesOf }
}

/** The Services that have an address, whatever the port: `shop/checkout`. */
const servicesAt = ({ services }: Names, address: string): readonly string[] => [
  ...new Set(
    [...services.values()]
      .filter((servicePort) => frontsOf(servicePort).some((front) => front.address === address))
      .map(({ service }) => service),
  ),
]

const nodePortKey = ({ port, protocol }: Omit<FrontAddress, 'address'>): string => `${protocol} node ${port}`
const keyOf = ({ protocol, ...place }: FrontAddress): string => `${protocol} ${endpointKey(place)}`
