import type { IpFamily } from './address.js'
import type { Protocol, ServiceName, ServicePortName } from './names.js'

/**
 * One port of a Service in one IP family: what the rules of that port are made from. Addresses are in canonical
 * spelling, lists in the object's order without repetitions.
 */
export interface ServicePort {
  readonly id: ServicePortName
  readonly service: ServiceName
  readonly namespace: string
  readonly name: string
  /** Empty for an unnamed port. */
  readonly portName: string
  readonly protocol: Protocol
  readonly family: IpFamily
  readonly clusterIP: string
  /** The port on cluster, external and load-balancer addresses. */
  readonly port: number
  /** 0: none. */
  readonly nodePort: number
  readonly externalIPs: readonly string[]
  /** Load-balancer addresses that packets carry as their destination (ipMode VIP, or none said). */
  readonly loadBalancerVIPs: readonly string[]
  /** Load-balancer addresses of ipMode Proxy: no rule is made for them. */
  readonly loadBalancerProxyIPs: readonly string[]
  /**
   * CIDRs of this family, which guard the load-balancer VIPs and nothing else. None: every source is let in; also where one of
   * the Service's holds every address of the family (newBaseServiceInfo of kube-proxy 1.36).
   */
  readonly loadBalancerSourceRanges: readonly string[]
  /** 0: none. */
  readonly healthCheckNodePort: number
  readonly externalTrafficPolicy: 'Cluster' | 'Local'
  readonly internalTrafficPolicy: 'Cluster' | 'Local'
  /** Seconds for which a client stays with its endpoint (sessionAffinity ClientIP); 0: no affinity. */
  readonly affinitySeconds: number
  /** creationTimestamp, empty where absent: of two Services that claim one front the older wins. */
  readonly createdAt: string
}

/** Whether anything but the cluster IP leads to this port (kube-proxy's `ExternallyAccessible`). */
export const isExternallyAccessible = (port: ServicePort): boolean =>
  port.nodePort !== 0 || port.externalIPs.length > 0 || port.loadBalancerVIPs.length > 0

/** Whether some traffic may go to any endpoint of the cluster: with policy Local, pods' and the node's own does. */
export const usesClusterEndpoints = (port: ServicePort): boolean =>
  port.internalTrafficPolicy === 'Cluster' || isExternallyAccessible(port)

/** Whether some traffic may go to endpoints on this node alone. */
export const usesLocalEndpoints = (port: ServicePort): boolean =>
  port.internalTrafficPolicy === 'Local' || (port.externalTrafficPolicy === 'Local' && isExternallyAccessible(port))

/** Why a Service, or a port of it, gets no rules. */
export interface SkippedPort {
  readonly service: ServiceName
  /** Absent: the whole Service. */
  readonly portName?: string
  readonly family?: IpFamily
  readonly reason: SkipReason
}

export const SKIP_REASONS = {
  HEADLESS: 'headless: clusterIP is None, so clients connect to the endpoints directly',
  EXTERNAL_NAME: 'type ExternalName: a DNS name, without an address to program',
  OTHER_PROXY: 'the label service.kubernetes.io/service-proxy-name assigns it to another proxy',
  NO_CLUSTER_IP: 'no cluster IP yet',
  NO_CLUSTER_IP_OF_FAMILY: 'no cluster IP of this family',
  INVALID_PORT: 'the port is invalid',
  INVALID_NAME: 'its namespace or name is not valid in the API',
} as const
export type SkipReason = keyof typeof SKIP_REASONS
