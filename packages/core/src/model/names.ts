import type { Brand } from './brand.js'
import type { IpFamily } from './address.js'

export const PROTOCOLS = ['TCP', 'UDP', 'SCTP'] as const
export type Protocol = (typeof PROTOCOLS)[number]

/** `namespace/name` of a Service. */
export type ServiceName = Brand<string, 'ServiceName'>
export const serviceName = (namespace: string, name: string): ServiceName => `${namespace}/${name}` as ServiceName

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
