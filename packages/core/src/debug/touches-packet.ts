import type { IpFamily } from '../model/address.js'
import type { Protocol } from '../model/names.js'
import type { ServicePort } from '../model/service-port.js'
import { frontsOf } from '../state/fronts.js'

/** Where a packet is sent to. */
export interface PacketTarget {
  readonly address: string
  readonly family: IpFamily
  readonly port: number
  readonly protocol: Protocol
}

/**
 * Whether a service port can have a say in a packet's fate, or in the reason for it: it has the packet's address, on whatever
 * port; a node port with the packet's port, on whatever address, which may be a node's at one time and not at another; or its
 * health check answers there.
 */
export function touchesPacket(servicePort: ServicePort, { address, family, port, protocol }: PacketTarget): boolean {
  if (servicePort.family !== family) return false
  if (servicePort.healthCheckNodePort === port && protocol === 'TCP') return true
  if (servicePort.loadBalancerProxyIPs.includes(address)) return true
  return frontsOf(servicePort).some((front) =>
    front.address === undefined ? front.protocol === protocol && front.port === port : front.address === address,
  )
}
