import { parseAddress, type IpAddress } from '../model/address.js'
import { PROTOCOLS, type Protocol } from '../model/names.js'

/** The first packet of a connection, as it is asked about. */
export interface Packet {
  /**
   * Where it comes from: an address; `node`, a process of the node itself; `outside`, some host that lies in no CIDR
   * that anything mentions (short of 0.0.0.0/0 and ::/0) and whose packets arrive by no pod's interface.
   */
  readonly from: string
  /** An address: names are the business of whoever asks. */
  readonly to: string
  readonly port: number
  readonly protocol: Protocol | Lowercase<Protocol>
  /** The interface by which it arrives, for detectLocalMode BridgeInterface and InterfaceNamePrefix. */
  readonly interface?: string
}

export interface ReadPacket {
  readonly from: IpAddress | 'node' | 'outside'
  readonly to: IpAddress
  readonly port: number
  readonly protocol: Protocol
  readonly interface: string | undefined
}

/** Checks a packet and brings its addresses into canonical spelling. Throws a RouteError that names what is wrong. */
export function readPacket(packet: Packet): ReadPacket {
  const to = readAddress('destination', packet.to)
  const from = packet.from === 'node' || packet.from === 'outside' ? packet.from : readAddress('source', packet.from)
  if (typeof from === 'object' && from.family !== to.family) {
    throw new RouteError('FAMILY_MISMATCH', `${packet.from} is ${from.family} and ${packet.to} is ${to.family}`)
  }
  if (!Number.isInteger(packet.port) || packet.port < 1 || packet.port > 65_535) {
    throw new RouteError('NOT_A_PORT', `${packet.port} is not a port: give a whole number from 1 to 65535`)
  }
  return { from, to, port: packet.port, protocol: readProtocol(packet.protocol), interface: packet.interface }
}

function readAddress(what: string, text: string): IpAddress {
  const address = parseAddress(text)
  if (address !== undefined) return address
  const others = what === 'source' ? ', nor "node" or "outside"' : ''
  throw new RouteError('NOT_AN_ADDRESS', `the ${what} ${JSON.stringify(text)} is not an IP address${others}`)
}

function readProtocol(text: string): Protocol {
  const protocol = PROTOCOLS.find((known) => known === text.toUpperCase())
  if (protocol !== undefined) return protocol
  throw new RouteError('UNKNOWN_PROTOCOL', `${JSON.stringify(text)} is none of ${PROTOCOLS.join(', ')}`)
}

/** What can be wrong with a question about a packet. */
export const ROUTE_ERROR_CODES = {
  NOT_AN_ADDRESS: 'the source or the destination is not an IP address',
  NOT_A_PORT: 'the port is not a whole number from 1 to 65535',
  UNKNOWN_PROTOCOL: 'the protocol is not TCP, UDP or SCTP',
  FAMILY_MISMATCH: 'the source and the destination are of different IP families',
} as const
export type RouteErrorCode = keyof typeof ROUTE_ERROR_CODES

/** A packet that cannot be one. The message is one line for the person who asked; programs look at `code`. */
export class RouteError extends Error {
  readonly code: RouteErrorCode

  constructor(code: RouteErrorCode, message: string) {
    super(message)
    this.name = 'RouteError'
    this.code = code
  }
}
