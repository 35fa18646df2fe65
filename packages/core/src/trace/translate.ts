import type { Surroundings } from '../ports/trace-question.js'
import type { Assumption, DependenceCode, Effect, Hook } from '../ports/trace.js'
import { addressAt, addressOf, addressOrder } from './networks.js'
import { isOwnAddress, type PacketState, type RewrittenSource } from './packet-state.js'
import { type Case, type Evaluated, truthIn } from './suppositions.js'

/** What a rule does to a packet that it matches. */
export interface Applied {
  readonly effect: Effect
  readonly packet: PacketState
  readonly assumptions: readonly Assumption[]
}

/** Where a packet's addresses are rewritten. */
export interface TranslationPlace {
  readonly packet: PacketState
  readonly surroundings: Surroundings
  /** The case of unknown facts. */
  readonly supposed: Case | undefined
  readonly hook: Hook
  /** The rule, in words: `rule 1 of raw PREROUTING`. */
  readonly where: string
}

export const done = (value: Applied): Evaluated<Applied> => ({ value })

export const unchanged = (packet: PacketState, effect: Effect): Evaluated<Applied> =>
  done({ effect, packet, assumptions: [] })

/** The first address of the interface that the packet leaves by, where that is known. */
export function masquerade({ packet, surroundings }: TranslationPlace, newPort: boolean): Applied {
  const { family, destination, outInterface } = packet
  const by = 'MASQUERADE' as const
  // What goes to an address of the node comes from that address, as the kernel chooses in IPv6.
  if (family === 'IPv6' && isOwnAddress(surroundings, destination)) {
    return rewriteSource(packet, { by, address: destination, newPort })
  }
  const address = interfaceAddress(surroundings, { name: outInterface, family })
  if (address !== undefined) return rewriteSource(packet, { by, address, newPort })
  return rewriteSource(packet, { by, unknown: 'the address that MASQUERADE gives it', newPort })
}

function interfaceAddress(
  { interfaces = [] }: Surroundings,
  { name, family }: { readonly name: string | undefined; readonly family: PacketState['family'] },
): string | undefined {
  const addresses = interfaces.find((one) => one.name === name)?.addresses ?? []
  return addresses.find((text) => text.includes(':') === (family === 'IPv6'))
}

/** Of several addresses, the kernel takes one by a hash of the packet's. */
export function sourceTranslated(
  packet: PacketState,
  { to, range, newPort }: { readonly to: string; readonly range: NatRange | undefined; readonly newPort: boolean },
): Applied {
  const by = 'SNAT' as const
  if (range?.low === undefined || range.low !== range.high)
    return rewriteSource(packet, { by, unknown: `the address that SNAT takes from ${to}`, newPort })
  return rewriteSource(packet, { by, address: range.low, newPort })
}

const LOOPBACK = { IPv4: '127.0.0.1', IPv6: '::1' } as const

/** REDIRECT sends what arrives to the first address of the interface that it arrives by. */
export function redirect(ports: NatRange['ports'], place: TranslationPlace): Evaluated<Applied> {
  const { packet, surroundings } = place
  const { family, bornHere, inInterface } = packet
  const range = { low: undefined, high: undefined, ports }
  if (bornHere) return chosen(range, { address: LOOPBACK[family], assumptions: [] }, place)
  const known = interfaceAddress(surroundings, { name: inInterface, family })
  if (known !== undefined) return chosen(range, { address: known, assumptions: [] }, place)
  const own = surroundings.nodeAddresses.filter((text) => text.includes(':') === (family === 'IPv6'))
  const address = own.includes(packet.destination) ? packet.destination : (own[0] ?? LOOPBACK[family])
  const message = `REDIRECT sends it to the address of the interface that it arrives by, which is taken to be ${address}`
  return chosen(range, { address, assumptions: [{ code: 'NODE_ADDRESS', message }] }, place)
}

/** The packet's address in another network, its host part kept. */
export function netmap(to: string, { packet, hook }: TranslationPlace): Evaluated<Applied> {
  const isDestination = hook === 'PREROUTING' || hook === 'OUTPUT'
  const address = addressAt(to, isDestination ? packet.destination : packet.source)
  if (isDestination) return done(rewriteDestination(packet, { address }))
  const unknown = packet.unknownSource === undefined ? {} : { unknown: `the address that NETMAP takes from ${to}` }
  return done(rewriteSource(packet, { by: 'SNAT', address, newPort: false, ...unknown }))
}

/** What an address, or a port, is chosen from. */
export interface NatRange {
  /** Undefined: the address stays. */
  readonly low: string | undefined
  readonly high: string | undefined
  readonly ports: { readonly first: number; readonly last: number; readonly base?: number } | undefined
}

/** Sends a packet to an address and a port of a range, called `to`; what is not named stays. */
export function translate(
  range: NatRange,
  { to, isRandom }: { readonly to: string; readonly isRandom: boolean },
  place: TranslationPlace,
): Evaluated<Applied> {
  const { packet } = place
  const { low = packet.destination, high = packet.destination } = range
  if (low === high) return chosen(range, { address: low, assumptions: [], isRandom }, place)
  // The kernel takes one by a hash of the packet's addresses.
  const addresses = addressesBetween(low, high)
  if (addresses === undefined) {
    const message = `DNAT chooses from ${to}: the first is taken`
    return chosen(range, { address: low, assumptions: [{ code: 'ADDRESS_RANGE', message }], isRandom }, place)
  }
  return choice(addresses, { what: 'address', to, order: addressOrder, code: 'CHOICE' }, place, (address) =>
    chosen(range, { address, assumptions: [], isRandom }, place),
  )
}

interface Choice {
  readonly what: string
  readonly to: string
  readonly order: (value: string) => string
  readonly code: DependenceCode
}

/** One of several values, as the case says: the last where it is none of the others. */
function choice(
  values: readonly string[],
  { what, to, order, code }: Choice,
  { supposed, where }: TranslationPlace,
  then: (value: string) => Evaluated<Applied>,
): Evaluated<Applied> {
  for (const value of values.slice(0, -1)) {
    const at = order(value)
    const subject = `the ${what} from ${to} by ${where}`
    const claim = { subject, low: at, high: at, code, text: `DNAT chooses the ${what} ${value} from ${to}` }
    const truth = truthIn(supposed, claim)
    if (truth === undefined) return { unknown: claim }
    if (truth) return then(value)
  }
  return then(values.at(-1) ?? '')
}

const MOST_CHOICES = 8

/** Undefined: they are many. */
function addressesBetween(low: string, high: string): readonly string[] | undefined {
  const number = (address: string): bigint => BigInt(`0x${addressOrder(address)}`)
  const count = number(high) - number(low) + 1n
  if (count < 1n || count > BigInt(MOST_CHOICES) || low.includes(':') !== high.includes(':')) return undefined
  return Array.from({ length: Number(count) }, (_, at) => addressOf(number(low) + BigInt(at), low.includes(':')))
}

/** The new address, and the port: one in the range stays as it is, if it is not to be chosen at random. */
function chosen(
  range: NatRange | undefined,
  {
    address,
    assumptions,
    isRandom = false,
  }: { readonly address: string; readonly assumptions: readonly Assumption[]; readonly isRandom?: boolean },
  place: TranslationPlace,
): Evaluated<Applied> {
  const { packet } = place
  const to = (port: number | undefined, more: readonly Assumption[] = []): Evaluated<Applied> => {
    const applied = rewriteDestination(packet, { address, port })
    return done({ ...applied, assumptions: [...assumptions, ...more] })
  }
  const ports = range?.ports
  if (ports === undefined || packet.destinationPort === 0) return to(undefined)
  const { first, last, base } = ports
  const size = last - first + 1
  if (base !== undefined) return to(first + ((((packet.destinationPort - base) % size) + size) % size))
  if (size <= 1) return to(first)
  if (!isRandom && first <= packet.destinationPort && packet.destinationPort <= last) return to(undefined)
  const text = `${first}-${last}`
  if (size > MOST_CHOICES)
    return to(first, [{ code: 'ADDRESS_RANGE', message: `DNAT chooses a port from ${text}: the first is taken` }])
  const values = Array.from({ length: size }, (_, at) => String(first + at))
  return choice(
    values,
    { what: 'port', to: text, order: (port) => port.padStart(5, '0'), code: 'CHOICE' },
    place,
    (port) => to(Number(port)),
  )
}

/** Where a packet is sent to in place of its own destination. A port that is not named stays. */
export function rewriteDestination(
  packet: PacketState,
  { address, port = packet.destinationPort }: { readonly address: string; readonly port?: number | undefined },
): Applied {
  const isNew = address !== packet.destination || port !== packet.destinationPort
  return {
    effect: { type: 'dnat', address, port },
    packet: {
      ...packet,
      destination: address,
      destinationPort: port,
      translated: true,
      destinationRewritten: packet.destinationRewritten || isNew,
    },
    assumptions: [],
  }
}

interface SourceRewriting extends RewrittenSource {
  /** What the new source is, where the address is not known. */
  readonly unknown?: string
  /** The port is chosen anew. */
  readonly newPort: boolean
}

/** What its receiver sees as the sender. */
export function rewriteSource(packet: PacketState, { unknown, newPort, by, address }: SourceRewriting): Applied {
  const rewritten = { by, ...(unknown === undefined && { address }) }
  const source = unknown === undefined ? (address ?? packet.source) : packet.source
  return {
    effect: { type: 'snat', ...rewritten },
    packet: {
      ...packet,
      source,
      unknownSource: unknown,
      sourceRewritten: rewritten,
      sourceChanged:
        packet.sourceChanged === true ||
        newPort ||
        source !== packet.source ||
        (unknown === undefined ? false : undefined),
    },
    assumptions: [],
  }
}
