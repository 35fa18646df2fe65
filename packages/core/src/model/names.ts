import type { IpFamily } from './address.js'
import type { Brand } from './language.js'
import { isJsonObject } from './json-value.js'
import { isClusterScoped, type Json, type KubernetesObject } from './kubernetes-object.js'

export const PROTOCOLS = ['TCP', 'UDP', 'SCTP'] as const
export type Protocol = (typeof PROTOCOLS)[number]

/** `namespace/name` of a Service. */
export type ServiceName = Brand<string, 'ServiceName'>
export const serviceName = (namespace: string, name: string): ServiceName => `${namespace}/${name}` as ServiceName

/** The label by which an EndpointSlice names its Service. */
export const SERVICE_NAME_LABEL = 'kubernetes.io/service-name'

/**
 * The Service that an object belongs to: a Service itself, or the one that an EndpointSlice names. Undefined for a Node or ServiceCIDR, and
 * for a slice that names none. Nothing is checked but that the label is a text: `endpointsOfSlice` says what is wrong with it.
 */
export function serviceOf({ kind, metadata }: KubernetesObject): ServiceName | undefined {
  if (isClusterScoped(kind)) return undefined
  const { namespace = '', name } = metadata
  if (kind === 'Service') return serviceName(namespace, name)
  const owner = serviceLabelOf({ metadata })
  return owner === undefined || owner === '' ? undefined : serviceName(namespace, owner)
}

/** The text of an EndpointSlice's label for its Service; undefined where it has none. */
export function serviceLabelOf({ metadata }: Pick<KubernetesObject, 'metadata'>): string | undefined {
  const labels = metadata['labels']
  const owner = isJsonObject(labels) ? labels[SERVICE_NAME_LABEL] : undefined
  return typeof owner === 'string' ? owner : undefined
}

/**
 * The identity of a service port: `namespace/name:port/TCP/IPv4`, without `:port` where the port has no name.
 * None of its parts can hold a slash or a colon, so that it names one port, protocol and family of one Service.
 */
export type ServicePortName = Brand<string, 'ServicePortName'>

export interface ServicePortIdentity {
  readonly service: ServiceName
  /** Empty for an unnamed port. */
  readonly portName: string
  readonly protocol: Protocol
  readonly family: IpFamily
}

export function servicePortName({ service, portName, protocol, family }: ServicePortIdentity): ServicePortName {
  return `${displayName({ service, portName })}/${protocol}/${family}` as ServicePortName
}

/** The parts that `servicePortName` was given. */
export function parseServicePortName(id: ServicePortName): ServicePortIdentity {
  const [namespace = '', named = '', protocol = '', family = ''] = id.split('/')
  const [name = '', portName = ''] = named.split(':')
  return {
    service: serviceName(namespace, name),
    portName,
    protocol: protocol as Protocol,
    family: family as IpFamily,
  }
}

/** What people and kube-proxy's comments call a service port: `shop/checkout:http`. */
export function displayName({ service, portName }: Pick<ServicePortIdentity, 'service' | 'portName'>): string {
  return portName === '' ? service : `${service}:${portName}`
}

/**
 * Whether a value can be the name or the namespace of an object: the characters of a DNS subdomain. Names become
 * identities and comments of rules, so that nothing with a slash, a colon, a quote or a line break may pass.
 */
export const isObjectName = (value: Json | undefined): value is string =>
  typeof value === 'string' && value.length <= 253 && /^[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?$/.test(value)

/** Whether a value can be the name of a port: empty, or the characters of a DNS label in either case. */
export const isPortName = (value: Json | undefined): value is string =>
  typeof value === 'string' && value.length <= 63 && /^(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?)?$/.test(value)
