import {
  CERTAIN,
  type IpFamily,
  type Odds,
  parseAddress,
  type Step,
  type Surroundings,
  type TracedPacket,
  TraceError,
} from '@pointsman/core'

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
interface RecentChange {
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

/**
 * Whether an address lies in a network as iptables spells it: `10.0.0.0/8`, `fd00::/64`, `10.0.0.1/255.0.255.0`. One of
 * the other family never does.
 */
export function networkContains(network: string, address: string): boolean {
  const slash = network.indexOf('/')
  const base = network.slice(0, slash)
  const length = network.slice(slash + 1)
  // IPv4 has one spelling, and nearly every network of a large save is of one address.
  if (length === '32' && !base.includes(':')) return base === address
  const bytes = bytesOf(address)
  const networkBytes = bytesOf(base)
  if (bytes.length !== networkBytes.length) return false
  const maskAt = maskOf(length)
  return bytes.every((byte, at) => ((byte ^ (networkBytes[at] ?? 0)) & maskAt(at)) === 0)
}

/** Whether it holds one address alone. */
export const isHost = (network: string): boolean =>
  network.includes(':') ? network.endsWith('/128') : network.endsWith('/32')

function maskOf(length: string): (at: number) => number {
  if (!/^\d+$/.test(length)) {
    const mask = bytesOf(length)
    return (at) => mask[at] ?? 0
  }
  const bits = Number(length)
  return (at) => 256 - 2 ** (8 - Math.min(8, Math.max(0, bits - at * 8)))
}

function bytesOf(address: string): readonly number[] {
  if (!address.includes(':')) return address.split('.').map(Number)
  const [head = '', tail] = address.split('::')
  const before = groupBytes(head)
  const after = groupBytes(tail ?? '')
  return [...before, ...Array<number>(16 - before.length - after.length).fill(0), ...after]
}

const groupBytes = (groups: string): readonly number[] =>
  groups === ''
    ? []
    : groups.split(':').flatMap((group) => {
        if (group.includes('.')) return group.split('.').map(Number)
        const number = Number.parseInt(group, 16)
        return [number >> 8, number & 255]
      })

/** A packet on its way: what it is by now, with what odds it came here, and by which steps. */
export interface PartialWay {
  readonly packet: PacketState
  readonly odds: Odds
  /** The newest. Ways that part have their beginnings in common. */
  readonly last: StepLink | undefined
}

interface StepLink {
  readonly step: Step
  readonly before: StepLink | undefined
  /** How many there are with it. */
  readonly count: number
}

export const wayOf = (packet: PacketState): PartialWay => ({ packet, odds: CERTAIN, last: undefined })

export const withStep = (way: PartialWay, step: Step): PartialWay => ({
  ...way,
  last: { step, before: way.last, count: (way.last?.count ?? 0) + 1 },
})

export function stepsOf({ last }: PartialWay): readonly Step[] {
  const steps: Step[] = []
  for (let link = last; link !== undefined; link = link.before) steps.push(link.step)
  return steps.reverse()
}
