import type { IpFamily } from '@pointsman/core'
import { isName, type Name } from './names.js'

/** The first packet of a connection, as a test speaks of it: `tcp client -> web:80`. */
export interface NamedPacket {
  readonly protocol: 'tcp' | 'udp' | 'sctp'
  readonly from: Name
  readonly to: Name
  readonly port: number
}

export interface PacketInFamily extends NamedPacket {
  readonly family: IpFamily
}

/** Throws for what is no packet: a slip in a test. */
export function readPacket(text: string): NamedPacket {
  const match = /^(tcp|udp|sctp) (\S+) -> (\S+):(\d+)$/.exec(text)
  const [, protocol, from = '', to = '', port] = match ?? []
  if (!isName(from) || !isName(to)) throw new Error(`not a packet such as "tcp client -> web:80": ${text}`)
  return { protocol: protocol as NamedPacket['protocol'], from, to, port: Number(port) }
}
