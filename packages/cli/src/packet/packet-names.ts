import { displayName, endpointKey, frontsOf, type Protocol } from '@pointsman/core'
import type { Names } from './names.js'

/** Names for addresses, as people know them. Undefined: nobody's. */
export interface PacketNames {
  /** `shop/checkout-0 on node-a`, or a Node. */
  readonly host: (address: string) => { readonly pod?: string; readonly node?: string } | undefined
  /** The Services that have a front here, node ports on the addresses of Nodes included: `shop/checkout:http`. */
  readonly services: (front: FrontAddress) => readonly string[]
}

export interface FrontAddress {
  readonly address: string
  readonly port: number
  readonly protocol: Protocol
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
    const found = services.get(keyOf(front))
    if (found !== undefined) return found
    return nodeAddresses.has(front.address) || isLoopback(front.address) ? (services.get(nodePortKey(front)) ?? []) : []
  }
  return { host: (address) => hosts.get(address), services: servicesOf }
}

const isLoopback = (address: string): boolean => address === '::1' || address.startsWith('127.')
const nodePortKey = ({ port, protocol }: Omit<FrontAddress, 'address'>): string => `${protocol} node ${port}`
const keyOf = ({ protocol, ...place }: FrontAddress): string => `${protocol} ${endpointKey(place)}`
