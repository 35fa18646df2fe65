import { parseAddress, PROTOCOLS, type Protocol } from '@pointsman/core'
import { CliError } from '../errors.js'

/** A packet as it is asked about: `tcp 10.244.1.5 -> kube-system/kube-dns:dns-tcp`. */
export interface PacketText<P extends PacketProtocol = PacketProtocol> {
  readonly protocol: P
  readonly source: HostText
  readonly destination: HostText
}

/** Services have no ICMP: it stands for an echo request, which has no ports. */
export type PacketProtocol = Protocol | 'ICMP'

/** An address or a name, and what stands after its colon. */
export interface HostText {
  readonly host: string
  readonly port?: string
}

export const PACKET_FORM = 'PROTOCOL SOURCE -> DESTINATION:PORT'

/** CliError USAGE, with the form, for what is none. */
export function parsePacket(text: string): PacketText {
  if (text.length > MAX_LENGTH) throw notAPacket(`${text.slice(0, 100)}...`)
  const [, protocolText = '', from = '', to = ''] = /^\s*(\S+)\s+(\S+)\s*->\s*(\S+)\s*$/.exec(text) ?? []
  if (to === '') throw notAPacket(text)
  const protocol = protocolOf(protocolText.toUpperCase())
  if (protocol === undefined)
    throw new CliError(
      'USAGE',
      `${protocolText} is no protocol of Services: give one of tcp, udp, sctp, or icmp for a ping`,
    )
  return { protocol, source: hostText(from), destination: hostText(to) }
}

/** Names of Services and addresses have at most some hundred characters. */
const MAX_LENGTH = 1000

/** A packet that can be for a Service. CliError USAGE for a ping. */
export function parseServicePacket(text: string): PacketText<Protocol> {
  const { protocol, ...hosts } = parsePacket(text)
  if (protocol !== 'ICMP') return { protocol, ...hosts }
  throw new CliError(
    'USAGE',
    'Services have no ICMP, so that no record of a Service changes what becomes of a ping: `pointsman trace` follows one',
  )
}

function protocolOf(text: string): PacketProtocol | undefined {
  if (text === 'ICMP' || text === 'ICMPV6' || text === 'PING') return 'ICMP'
  return PROTOCOLS.find((known) => known === text)
}

function notAPacket(text: string): CliError {
  const hint = /\s-\s*$/.test(text) ? '; in a shell it has to be in quotes' : ''
  return new CliError(
    'USAGE',
    `${JSON.stringify(text)} is no packet: give '${PACKET_FORM}', as 'tcp 10.244.1.5 -> shop/checkout:http'${hint}`,
  )
}

/** An IPv6 address with a port is in brackets. */
function hostText(text: string): HostText {
  const [, bracketed, ofBracketed] = /^\[([^\]]+)\](?::(.+))?$/.exec(text) ?? []
  if (bracketed !== undefined) return { host: bracketed, ...(ofBracketed !== undefined && { port: ofBracketed }) }
  if (parseAddress(text) !== undefined) return { host: text }
  const colon = text.lastIndexOf(':')
  if (colon < 0) return { host: text }
  return { host: text.slice(0, colon), port: text.slice(colon + 1) }
}

/** CliError USAGE for what is no port. */
export function portNumber(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0
  if (port >= 1 && port <= 65_535) return port
  throw new CliError('USAGE', `${JSON.stringify(text)} is no port: give a whole number from 1 to 65535`)
}
