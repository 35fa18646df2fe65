import type { IpFamily } from '../model/address.js'
import type { Protocol } from '../model/names.js'
import type { ServicePort } from '../model/service-port.js'

/** An address and port that packets are sent to. */
export interface Front {
  readonly type: 'clusterIP' | 'externalIP' | 'loadBalancerIP' | 'nodePort'
  readonly family: IpFamily
  readonly protocol: Protocol
  /** Absent for a node port: the node's own addresses. */
  readonly address?: string
  readonly port: number
}

/** Every front of a service port: cluster IP, external IPs, load-balancer VIPs, node port. */
export function frontsOf(servicePort: ServicePort): readonly Front[] {
  const { family, protocol, port, nodePort } = servicePort
  const fronts: Front[] = [{ type: 'clusterIP', family, protocol, address: servicePort.clusterIP, port }]
  for (const address of servicePort.externalIPs) fronts.push({ type: 'externalIP', family, protocol, address, port })
  for (const address of servicePort.loadBalancerVIPs) {
    fronts.push({ type: 'loadBalancerIP', family, protocol, address, port })
  }
  if (nodePort !== 0) fronts.push({ type: 'nodePort', family, protocol, port: nodePort })
  return fronts
}

/** One text a front: equal fronts, of whichever Service, have equal keys. */
export const frontKey = ({ family, protocol, address, port }: Front): string =>
  `${protocol} ${address ?? `node ${family}`} ${port}`
