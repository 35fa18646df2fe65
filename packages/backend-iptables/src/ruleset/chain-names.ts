import { displayName, endpointKey, type Endpoint, type ServicePort } from '@pointsman/core'
import { chainHash } from '../chain-hash.js'

/** Chains that all service ports share, by their names in the kernel. */
export const CHAINS = {
  services: 'KUBE-SERVICES',
  externalServices: 'KUBE-EXTERNAL-SERVICES',
  nodePorts: 'KUBE-NODEPORTS',
  forward: 'KUBE-FORWARD',
  postrouting: 'KUBE-POSTROUTING',
  markMasq: 'KUBE-MARK-MASQ',
  proxyFirewall: 'KUBE-PROXY-FIREWALL',
  firewall: 'KUBE-FIREWALL',
  canary: 'KUBE-PROXY-CANARY',
} as const

/** The chains that a service port may have of its own. */
export interface ServiceChainNames {
  /** KUBE-SVC-: spreads over the endpoints that traffic policy Cluster may use. */
  readonly cluster: string
  /** KUBE-SVL-: spreads over those on this node, for traffic policy Local. */
  readonly local: string
  /** KUBE-EXT-: what comes by an external address or a node port, on its way to one of the two. */
  readonly external: string
  /** KUBE-FW-: lets the load balancer's source ranges on to KUBE-EXT-. */
  readonly firewall: string
}

/** The chain names of a service port; the same in both families. */
export function serviceChainNames(port: Pick<ServicePort, 'service' | 'portName' | 'protocol'>): ServiceChainNames {
  const hash = chainHash(hashedName(port))
  return {
    cluster: `KUBE-SVC-${hash}`,
    local: `KUBE-SVL-${hash}`,
    external: `KUBE-EXT-${hash}`,
    firewall: `KUBE-FW-${hash}`,
  }
}

/** KUBE-SEP-: the chain that gives packets of one service port to one endpoint. */
export const endpointChainName = (
  port: Pick<ServicePort, 'service' | 'portName' | 'protocol'>,
  endpoint: Pick<Endpoint, 'address' | 'port'>,
): string => `KUBE-SEP-${chainHash(hashedName(port) + endpointKey(endpoint))}`

/**
 * Whether a chain belongs to one service port, of whichever proxy's making: KUBE-XLB- was KUBE-EXT- and KUBE-SVL- in
 * kube-proxies before 1.24.
 */
export const isServiceChain = (chain: string): boolean => /^KUBE-(?:SVC|SVL|EXT|XLB|FW|SEP)-/.test(chain)

const hashedName = (port: Pick<ServicePort, 'service' | 'portName' | 'protocol'>): string =>
  displayName(port) + port.protocol.toLowerCase()
