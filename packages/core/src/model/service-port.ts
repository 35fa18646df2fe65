import type { IpFamily } from './address.js'
import { fieldReader, isPortNumber, type FieldReader, type Findings } from './diagnostic.js'
import type { JsonObject } from './kubernetes-object.js'
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
  /** Those of the Service where one holds every address; else absent. kube-proxy 1.20 (layout `classic`) makes rules of them. */
  readonly voidSourceRanges?: readonly string[]
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

/** What a Service says about all its ports and families alike. */
type ServiceTraffic = Pick<
  ServicePort,
  'externalTrafficPolicy' | 'internalTrafficPolicy' | 'affinitySeconds' | 'healthCheckNodePort'
>

/** Three hours: what the API server fills in. */
const DEFAULT_AFFINITY_SECONDS = 10_800
const LONGEST_AFFINITY_SECONDS = 86_400

/** Reads the traffic policies, the session affinity and the health-check node port of a Service's spec. */
export function serviceTrafficOf(spec: JsonObject, findings: Findings): ServiceTraffic {
  const fields = fieldReader(findings, 'spec')
  const type = choice(spec, { field: 'type', choices: SERVICE_TYPES }, fields, findings)
  const wanted = choice(spec, { field: 'externalTrafficPolicy', choices: POLICIES }, fields, findings)
  const external = takesExternalTraffic(type, spec) ? wanted : 'Cluster'
  return {
    externalTrafficPolicy: external,
    internalTrafficPolicy: choice(spec, { field: 'internalTrafficPolicy', choices: POLICIES }, fields, findings),
    affinitySeconds: affinityOf(spec, fields, findings),
    healthCheckNodePort: type === 'LoadBalancer' && external === 'Local' ? healthCheckPortOf(spec, findings) : 0,
  }
}

/** The API's word for what applies where a field is absent comes first. */
const SERVICE_TYPES = ['ClusterIP', 'NodePort', 'LoadBalancer'] as const
const POLICIES = ['Cluster', 'Local'] as const
const AFFINITIES = ['None', 'ClientIP'] as const

/** A policy for external traffic on a Service that takes none is ignored (ExternallyAccessible of pkg/api/v1/service). */
const takesExternalTraffic = (type: (typeof SERVICE_TYPES)[number], spec: JsonObject): boolean =>
  type !== 'ClusterIP' || (Array.isArray(spec['externalIPs']) && spec['externalIPs'].length > 0)

interface Choice<Value extends string> {
  readonly field: string
  readonly choices: readonly [Value, ...Value[]]
}

function choice<Value extends string>(
  spec: JsonObject,
  { field, choices }: Choice<Value>,
  fields: FieldReader,
  findings: Findings,
): Value {
  const value = fields.text(spec[field], field) ?? ''
  const known = choices.find((candidate) => candidate === value)
  if (known === undefined && value !== '') findings.report('UNKNOWN_VALUE', fields.path(field), value)
  return known ?? choices[0]
}

function affinityOf(spec: JsonObject, fields: FieldReader, findings: Findings): number {
  const affinity = choice(spec, { field: 'sessionAffinity', choices: AFFINITIES }, fields, findings)
  if (affinity === 'None') return 0
  const config = fields.record(spec['sessionAffinityConfig'], 'sessionAffinityConfig')
  const clientIP = fields.record(config?.['clientIP'], 'sessionAffinityConfig.clientIP')
  const seconds = clientIP?.['timeoutSeconds'] ?? DEFAULT_AFFINITY_SECONDS
  if (typeof seconds === 'number' && Number.isInteger(seconds) && seconds >= 1 && seconds <= LONGEST_AFFINITY_SECONDS) {
    return seconds
  }
  findings.report('OUT_OF_RANGE', 'spec.sessionAffinityConfig.clientIP.timeoutSeconds', seconds)
  return DEFAULT_AFFINITY_SECONDS
}

function healthCheckPortOf(spec: JsonObject, findings: Findings): number {
  const port = spec['healthCheckNodePort'] ?? 0
  const absent = port === 0
  if (isPortNumber(port)) return port
  findings.report(absent ? 'NO_HEALTH_CHECK_PORT' : 'NOT_A_PORT', 'spec.healthCheckNodePort', port)
  return 0
}
