import { assertNever } from './language.js'
import type { IpFamily } from './address.js'
import type { Protocol } from './names.js'
import type { ProxyConfig } from './proxy-config.js'

/** Who sends a packet, seen from a node: the node itself, a pod of it, or any other host. */
export type PacketSender = 'node' | 'pod' | 'outside'

/** A packet as a node meets it, by addresses. What asks about packets, follows them or traces them has this in common. */
export interface AddressedPacket<Named extends string = Protocol> {
  readonly protocol: Named
  readonly family: IpFamily
  readonly source: string
  /** Absent: not known, as of a client that has not chosen one. */
  readonly sourcePort?: number | undefined
  readonly destination: string
  /** 0: the protocol has no ports. */
  readonly destinationPort: number
  readonly from: PacketSender
}

/** What is known of the interface by which a packet arrives. */
export type Arrival =
  /** By one of a pod: this one, or one that begins so, of which this is an example. */
  | { readonly type: 'pod'; readonly interface: string; readonly prefix?: string }
  /** By one that is no pod's. */
  | { readonly type: 'another' }
  /** By none, or nothing is known: no rule tells pods by their interfaces. */
  | { readonly type: 'unknown' }

/** From how the configuration tells pods: where it does so by interfaces, their packets arrive by those, and no others do. */
export function arrivalOf(
  { from }: Pick<AddressedPacket, 'from'>,
  { detectLocal }: Pick<ProxyConfig, 'detectLocal'>,
): Arrival {
  if (detectLocal.mode !== 'BridgeInterface' && detectLocal.mode !== 'InterfaceNamePrefix') return { type: 'unknown' }
  switch (from) {
    case 'node':
      return { type: 'unknown' }
    case 'outside':
      return { type: 'another' }
    case 'pod':
      return detectLocal.mode === 'BridgeInterface'
        ? { type: 'pod', interface: detectLocal.bridge }
        : { type: 'pod', interface: `${detectLocal.prefix}0`, prefix: detectLocal.prefix }
    default:
      return assertNever(from)
  }
}
