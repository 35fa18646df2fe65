import { ALWAYS, type When } from './suppositions.js'
import { type IpFamily, parseAddress } from '../model/address.js'
import { CERTAIN, type Odds } from '../model/odds.js'
import { type Surroundings, type TracedPacket, TraceError } from '../ports/trace-question.js'
import type { End, SeenSource, Step } from '../ports/trace.js'

/** The packet at one point of its way. */
export interface PacketState {
  readonly family: IpFamily
  readonly protocol: string
  readonly source: string
  readonly sourcePort: number | undefined
  readonly destination: string
  readonly destinationPort: number
  readonly mark: Mark
  /** That of its connection. */
  readonly connectionMark: Mark
  readonly tracking: 'NEW' | 'ESTABLISHED' | 'INVALID' | 'UNTRACKED'
  /** Its addresses and ports as conntrack saw them first. */
  readonly original: OriginalTuple
  /** It has been through POSTROUTING, and comes back by lo: its connection is confirmed. */
  readonly confirmed: boolean
  /** A rule said where it goes. */
  readonly translated: boolean
  /** And that is another place than the sender's. */
  readonly destinationRewritten: boolean
  /** What is seen as the sender, where a rule says so. */
  readonly sourceRewritten: RewrittenSource | undefined
  /** And that is another address or port than the sender's. Undefined: unknown. */
  readonly sourceChanged: boolean | undefined
  /** Empty: it came, or goes, by none. Undefined: not known. */
  readonly inInterface: string | undefined
  readonly outInterface: string | undefined
  readonly bornHere: boolean
  readonly mac: string | undefined
  readonly uid: number | undefined
  readonly gid: number | undefined
  readonly bridgeIn: string | undefined
  readonly bridgeOut: string | undefined
  /** Its source is what this gave it, and which address that is, is not known. Undefined: `source` is its source. */
  readonly unknownSource: string | undefined
  /** TPROXY gave it to this socket. */
  readonly socket: string | undefined
  /** The rule that took it out of conntrack, in words. */
  readonly untrackedBy: string | undefined
  /** What it has done to the lists of `-m recent` by now, newest first. */
  readonly recent: readonly RecentChange[]
  /** What rules have done to sets for it by now, newest first. */
  readonly setChanges: readonly SetChange[]
}

/** A number of 32 bits, of which some may not be known. */
export interface Mark {
  /** Its bits; those that are not known are 0. */
  readonly value: number
  /** The unknown bits. */
  readonly unknown: number
  /** Whose value the unknown bits are. */
  readonly of: string
}

export const knownMark = (value: number): Mark => ({ value: value >>> 0, unknown: 0, of: '' })

/** The bits in mask are cleared, then the value's are flipped: those of an unknown mark stay unknown where they are not cleared. */
export const setBits = (mark: Mark, { value, mask }: { readonly value: number; readonly mask: number }): Mark => ({
  value: ((mark.value & ~mask) ^ (value & ~(mark.unknown & ~mask))) >>> 0,
  unknown: (mark.unknown & ~mask) >>> 0,
  of: (value & mark.unknown & ~mask) === 0 ? mark.of : `${mark.of}, changed by 0x${value.toString(16)}`,
})

/** `(to & ~toMask) ^ (from & fromMask)` */
export function mixedMark(to: Mark, toMask: number, from: Mark, fromMask: number): Mark {
  const kept = (to.unknown & ~toMask) >>> 0
  const brought = (from.unknown & fromMask) >>> 0
  const unknown = (kept | brought) >>> 0
  const value = (((to.value & ~toMask) ^ (from.value & fromMask)) & ~unknown) >>> 0
  const of = kept === 0 ? from.of : brought === 0 ? to.of : `${to.of} with ${from.of}`
  return unknown === 0 ? knownMark(value) : { value, unknown, of }
}

export interface OriginalTuple {
  readonly source: string
  readonly sourcePort: number | undefined
  readonly destination: string
  readonly destinationPort: number
}

/** What a packet has done to a list of `-m recent`. */
interface RecentChange {
  readonly list: string
  readonly address: string
  /** How many times it was put on the list; 0 after it was taken off. */
  readonly times: number
  /** What was on the list before does not count any more. */
  readonly isFresh: boolean
}

/** An element was put into a set, or taken out. */
interface SetChange {
  readonly set: string
  /** In the words of the rule system: `src 10.0.0.1`. */
  readonly element: string
  readonly isIn: boolean
}

export interface RewrittenSource {
  readonly by: 'MASQUERADE' | 'SNAT'
  /** Absent: that of an interface, and it is not known which. */
  readonly address?: string | undefined
}

/** The packet before it meets a rule. Throws a TraceError that names what is wrong with it. */
export function startOf(packet: TracedPacket): PacketState {
  const hasPorts = packet.protocol !== 'icmp'
  const source = readAddress('source', packet.source)
  const destination = readAddress('destination', packet.destination)
  if (source.family !== destination.family) {
    const families = `${packet.source} is ${source.family} and ${packet.destination} is ${destination.family}`
    throw new TraceError('FAMILY_MISMATCH', families)
  }
  const { sourcePort, destinationPort, from } = packet
  for (const port of [sourcePort ?? 1, ...(hasPorts ? [destinationPort] : [])]) {
    if (Number.isInteger(port) && port >= 1 && port <= 65_535) continue
    throw new TraceError('NOT_A_PORT', `${port} is not a port: give a whole number from 1 to 65535`)
  }
  return {
    family: destination.family,
    protocol: packet.protocol === 'icmp' && destination.family === 'IPv6' ? 'ipv6-icmp' : packet.protocol,
    source: source.text,
    sourcePort,
    destination: destination.text,
    destinationPort,
    mark: knownMark(packet.mark ?? 0),
    connectionMark:
      packet.state === 'ESTABLISHED' ? { value: 0, unknown: ALL_BITS, of: 'the mark of its connection' } : knownMark(0),
    original: { source: source.text, sourcePort, destination: destination.text, destinationPort },
    confirmed: packet.state === 'ESTABLISHED',
    tracking: packet.state ?? 'NEW',
    translated: false,
    destinationRewritten: false,
    sourceRewritten: undefined,
    sourceChanged: false,
    inInterface: from === 'node' ? '' : packet.inInterface,
    outInterface: packet.outInterface,
    bornHere: from === 'node',
    mac: packet.mac,
    uid: packet.uid,
    gid: packet.gid,
    bridgeIn: from === 'node' ? '' : packet.bridgeIn,
    bridgeOut: packet.bridgeOut,
    unknownSource: undefined,
    socket: undefined,
    untrackedBy: undefined,
    recent: [],
    setChanges: [],
  }
}

export const ALL_BITS = 0xff_ff_ff_ff

function readAddress(what: string, text: string): { readonly family: IpFamily; readonly text: string } {
  const address = parseAddress(text)
  if (address !== undefined) return address
  throw new TraceError('NOT_AN_ADDRESS', `the ${what} ${JSON.stringify(text)} is not an IP address`)
}

/** Whether the node takes packets for this address itself. */
export const isOwnAddress = ({ nodeAddresses, interfaces = [] }: Surroundings, address: string): boolean =>
  address === '::1' ||
  address.startsWith('127.') ||
  nodeAddresses.includes(address) ||
  interfaces.some(({ addresses }) => addresses.includes(address))

/** A packet on its way: what it is by now, with what odds it came here, and by which steps. */
export interface PartialWay {
  readonly packet: PacketState
  readonly odds: Odds
  /** The cases of unknown facts in which it is taken. */
  readonly when: When
  /** The newest. Ways that part have their beginnings in common. */
  readonly last: StepLink | undefined
}

interface StepLink {
  readonly step: Step
  readonly before: StepLink | undefined
  /** How many there are with it. */
  readonly count: number
}

export const wayOf = (packet: PacketState): PartialWay => ({ packet, odds: CERTAIN, when: ALWAYS, last: undefined })

export const withStep = (way: PartialWay, step: Step): PartialWay => ({
  ...way,
  last: { step, before: way.last, count: (way.last?.count ?? 0) + 1 },
})

export function stepsOf({ last }: PartialWay): readonly Step[] {
  const steps: Step[] = []
  for (let link = last; link !== undefined; link = link.before) steps.push(link.step)
  return steps.reverse()
}

/** The end of a way that something else than the rules decides about. */
export const dependsOn = (on: string, packet: PacketState): Extract<End, { readonly fate: 'depends' }> => ({
  fate: 'depends',
  on,
  address: packet.destination,
  port: packet.destinationPort,
  source: seenSource(packet),
})

export const seenSource = ({ source, sourceRewritten }: PacketState): SeenSource =>
  sourceRewritten === undefined
    ? { rewritten: 'no', address: source }
    : { rewritten: sourceRewritten.by, address: sourceRewritten.address }
