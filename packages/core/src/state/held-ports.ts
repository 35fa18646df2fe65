import { parseAddress, type IpFamily } from '../model/address.js'
import type { ServicePortName } from '../model/names.js'
import { nodePortAddressesOf } from '../model/node.js'
import type { ProxyConfig } from '../model/proxy-config.js'
import type { State } from './state.js'

/**
 * A port of the node that a proxy holds open, so that no other process opens it: with the rules in force no packet would reach
 * that process.
 */
export interface HeldPort {
  readonly family: IpFamily
  readonly protocol: 'TCP' | 'UDP'
  /** Empty: all addresses of the family. */
  readonly address: string
  readonly port: number
  /** What it is of these service ports, which all have it. */
  readonly type: 'nodePort' | 'externalIP'
  readonly owners: readonly ServicePortName[]
}

/** One text a socket: equal ones, of whichever Service, are opened once. */
export const heldPortKey = ({
  family,
  protocol,
  address,
  port,
}: Pick<HeldPort, 'family' | 'protocol' | 'address' | 'port'>): string => `${family} ${protocol} ${address} ${port}`

export interface PortsToHoldOptions {
  readonly config: Pick<ProxyConfig, 'nodePortAddresses' | 'nodeIp'>
  readonly families: readonly IpFamily[]
  /** The addresses that the node's interfaces have. */
  readonly interfaceAddresses: readonly string[]
}

/**
 * The ports that kube-proxy 1.20 holds open: node ports on the addresses on which they answer, and external IPs that are addresses of
 * this machine, whatever endpoints there are. It holds none of SCTP: a socket of that protocol loads the kernel's sctp module,
 * which takes the packets of programs that bring an SCTP of their own
 * (https://github.com/kubernetes/enhancements/tree/master/keps/sig-network/614-SCTP-support). Load balancers' addresses count only as
 * external IPs do there: not at all.
 */
export function portsToHold(
  { node, services }: Pick<State, 'node' | 'services'>,
  { config, families, interfaceAddresses }: PortsToHoldOptions,
): readonly HeldPort[] {
  const answering = new Map(
    families.map((family) => [family, nodePortAddressesOf(config, family, { node, interfaceAddresses })]),
  )
  const local = new Set(interfaceAddresses.map((text) => parseAddress(text)?.text ?? text))
  const ports = new Map<string, HeldPort>()
  const hold = (port: Omit<HeldPort, 'owners'>, owner: ServicePortName): void => {
    const key = heldPortKey(port)
    const before = ports.get(key) ?? { ...port, owners: [] }
    ports.set(key, { ...before, owners: [...before.owners, owner] })
  }
  for (const { id, family, protocol, port, nodePort, externalIPs } of services.values()) {
    const addresses = answering.get(family)
    if (addresses === undefined || protocol === 'SCTP') continue
    if (nodePort !== 0)
      for (const address of addresses === 'all' ? [''] : addresses)
        hold({ family, protocol, address, port: nodePort, type: 'nodePort' }, id)
    for (const address of externalIPs)
      if (local.has(address)) hold({ family, protocol, address, port, type: 'externalIP' }, id)
  }
  // A socket of all addresses is one of each.
  return [...ports.values()].filter((port) => port.address === '' || !ports.has(heldPortKey({ ...port, address: '' })))
}
