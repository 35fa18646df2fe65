import { type IpFamily, parseAddress, type Surroundings, type TracedPacket, TraceError } from '@pointsman/core'

/** The packet at one point of its way. */
export interface PacketState {
  readonly family: IpFamily
  readonly protocol: string
  readonly source: string
  readonly sourcePort: number | undefined
  readonly destination: string
  readonly destinationPort: number
  readonly mark: number
  readonly tracking: 'NEW' | 'ESTABLISHED' | 'INVALID' | 'UNTRACKED'
  /** A rule said where it goes. */
  readonly translated: boolean
  /** And that is another place than the sender's. */
  readonly destinationRewritten: boolean
  /** What is seen as the sender, where a rule says so. */
  readonly sourceRewritten: RewrittenSource | undefined
  /** And that is another address or port than the sender's. */
  readonly sourceChanged: boolean
  /** Empty: it came, or goes, by none. Undefined: not known. */
  readonly inInterface: string | undefined
  readonly outInterface: string | undefined
  readonly bornHere: boolean
  /** What it has done to the lists of `-m recent` by now, newest first. */
  readonly recent: readonly RecentChange[]
}

/** An address was put on a list of `-m recent`, or taken off it. */
export interface RecentChange {
  readonly list: string
  readonly address: string
  readonly isOn: boolean
}

export interface RewrittenSource {
  readonly by: 'MASQUERADE' | 'SNAT'
  /** Absent: that of an interface, and it is not known which. */
  readonly address?: string | undefined
}

/** The packet before it meets a rule. Throws a TraceError that names what is wrong with it. */
export function startOf(packet: TracedPacket): PacketState {
  const source = readAddress('source', packet.source)
  const destination = readAddress('destination', packet.destination)
  if (source.family !== destination.family) {
    const families = `${packet.source} is ${source.family} and ${packet.destination} is ${destination.family}`
    throw new TraceError('FAMILY_MISMATCH', families)
  }
  const { sourcePort, destinationPort, from } = packet
  for (const port of [sourcePort ?? 1, destinationPort]) {
    if (Number.isInteger(port) && port >= 1 && port <= 65_535) continue
    throw new TraceError('NOT_A_PORT', `${port} is not a port: give a whole number from 1 to 65535`)
  }
  return {
    family: destination.family,
    protocol: packet.protocol,
    source: source.text,
    sourcePort,
    destination: destination.text,
    destinationPort,
    mark: packet.mark ?? 0,
    tracking: packet.state ?? 'NEW',
    translated: false,
    destinationRewritten: false,
    sourceRewritten: undefined,
    sourceChanged: false,
    inInterface: from === 'node' ? '' : packet.inInterface,
    outInterface: packet.outInterface,
    bornHere: from === 'node',
    recent: [],
  }
}

function readAddress(what: string, text: string): { readonly family: IpFamily; readonly text: string } {
  const address = parseAddress(text)
  if (address !== undefined) return address
  throw new TraceError('NOT_AN_ADDRESS', `the ${what} ${JSON.stringify(text)} is not an IP address`)
}

/** Whether the node takes packets for this address itself. */
export const isOwnAddress = ({ nodeAddresses }: Surroundings, address: string): boolean =>
  address === '::1' || address.startsWith('127.') || nodeAddresses.includes(address)
