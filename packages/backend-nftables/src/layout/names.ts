import {
  chainHash,
  serviceName,
  type Endpoint,
  type Protocol,
  type ServiceName,
  type ServicePort,
} from '@pointsman/core'

/** What names are made of, besides addresses. */
export type NamedPort = Pick<ServicePort, 'namespace' | 'name' | 'portName' | 'protocol'>

/** The chains that a service port may have of its own. */
export interface ServiceChainNames {
  /** Spreads over the endpoints that traffic policy Cluster may use. */
  readonly cluster: string
  /** Spreads over those on this node, for traffic policy Local. */
  readonly local: string
  /** Takes what comes by an external address or a node port, on its way to one of the two. */
  readonly external: string
  /** Drops what comes from outside of the load balancer's source ranges. */
  readonly firewall: string
}

/** The same in both families: `service-ZQN5UFNW-default/b/tcp/`. */
export function serviceChainNames(port: NamedPort): ServiceChainNames {
  const base = hashed(pathOf(port))
  return {
    cluster: `${PREFIXES.cluster}${base}`,
    local: `${PREFIXES.local}${base}`,
    external: `${PREFIXES.external}${base}`,
    firewall: `${PREFIXES.firewall}${base}`,
  }
}

/** The chain and the set of one endpoint, where there is session affinity: `endpoint-O5ZKUJWF-default/sticky/tcp/http__10.244.1.51/8080`. */
export function endpointNames(
  port: NamedPort,
  { address, port: number }: Pick<Endpoint, 'address' | 'port'>,
): { readonly chain: string; readonly affinitySet: string } {
  // A name of nftables holds no colon.
  const base = hashed(`${pathOf(port)}__${address.replaceAll(':', '.')}/${number}`)
  return { chain: `${PREFIXES.endpoint}${base}`, affinitySet: `${PREFIXES.affinity}${base}` }
}

const PREFIXES = {
  cluster: 'service-',
  local: 'local-',
  external: 'external-',
  firewall: 'firewall-',
  endpoint: 'endpoint-',
  affinity: 'affinity-',
} as const

const pathOf = ({ namespace, name, portName, protocol }: NamedPort): string =>
  `${namespace}/${name}/${protocol.toLowerCase()}/${portName}`

/** The hash tells names apart where their ends have to go: the kernel takes 256 characters, of which 16 are for the prefix. */
function hashed(path: string): string {
  const base = `${chainHash(path).slice(0, 8)}-${path}`
  return base.length > LONGEST_BASE ? `${base.slice(0, LONGEST_BASE - 3)}...` : base
}

const LONGEST_BASE = 256 - 16

/** Whether a chain or set belongs to one service port: no other name of kube-proxy's has a slash. */
export const isServiceName = (name: string): boolean => /^[a-z]+-[A-Z2-7]{8}-[^/]+\/[^/]+\//.test(name)

/** Whether a chain or set is of layout `compact` alone. */
export const isSpreadName = (name: string): boolean => /^spread(?:-|$)/.test(name)

/** Whether a chain or set is of one endpoint. */
export const isEndpointName = (name: string): boolean =>
  name.startsWith(PREFIXES.endpoint) || name.startsWith(PREFIXES.affinity)

/** Whether a set remembers the clients of an endpoint. */
export const isAffinitySet = (name: string): boolean => name.startsWith(PREFIXES.affinity)

/** What a name of a chain or set says itself. */
export interface NamedByChain {
  readonly service: ServiceName
  /** Undefined: the name was cut before its end. */
  readonly portName: string | undefined
  readonly protocol: Protocol
}

/** Undefined: it is no name of a service port's. */
export function namedBy(name: string): NamedByChain | undefined {
  const [, namespace, service, protocol, rest = ''] =
    /^[a-z]+-[A-Z2-7]{8}-([^/]+)\/([^/]+)\/(tcp|udp|sctp)\/(.*)$/.exec(name) ?? []
  if (namespace === undefined || service === undefined || protocol === undefined) return undefined
  const portName = isEndpointName(name) ? rest.replace(/__[^/]*\/\d*(?:\.\.\.)?$/, '') : rest
  return {
    service: serviceName(namespace, service),
    portName: rest.endsWith('...') && portName === rest ? undefined : portName,
    protocol: protocol.toUpperCase() as Protocol,
  }
}

/** The endpoint that a name of its chain or set says: `10.244.1.51:8080`. Undefined: it says none, or was cut before its end. */
export function endpointNamedBy(name: string): string | undefined {
  const [, address, port] = /__([^/]+)\/(\d+)$/.exec(name) ?? []
  if (!isEndpointName(name) || address === undefined || port === undefined) return undefined
  const isIpv4 = /^\d+\.\d+\.\d+\.\d+$/.test(address)
  return isIpv4 ? `${address}:${port}` : `[${address.replaceAll('.', ':')}]:${port}`
}

/** The beginnings of names of nat's chains, as a packet meets them. */
export const READING_ORDER: readonly string[] = [
  PREFIXES.firewall,
  PREFIXES.external,
  PREFIXES.cluster,
  PREFIXES.local,
  PREFIXES.endpoint,
  PREFIXES.affinity,
]
