import { assertNever, type Assumption, type Effect, parseAddress, type Surroundings } from '@pointsman/core'
import type { Target } from 'node-iptables'
import { isOwnAddress, type PacketState, type RewrittenSource } from './traced-packet.js'

export function applyTarget(target: Target | undefined, place: TargetPlace): Applied {
  const { packet } = place
  if (target === undefined) return unchanged(packet, { type: 'continue', what: 'no target' })
  switch (target.type) {
    case 'jump':
      return jumpTo(target.chain, place)
    case 'goto':
      return unchanged(packet, { type: 'goto', chain: target.chain, rules: place.rulesIn(target.chain) ?? 0 })
    case 'MARK': {
      const mark = ((packet.mark & ~target.mask) ^ target.value) >>> 0
      return { effect: { type: 'mark', from: packet.mark, to: mark }, packet: { ...packet, mark }, assumptions: [] }
    }
    case 'DNAT':
      return rewriteDestination(packet, readPlace(target.to))
    case 'SNAT':
      return rewriteSource(packet, { by: 'SNAT', address: readPlace(target.to).address, newPort: choosesPort(target) })
    case 'MASQUERADE':
      return masquerade(place, choosesPort(target))
    case 'REJECT':
      return unchanged(packet, { type: 'reject', with: target.with ?? DEFAULT_REJECTION[packet.family] })
    case 'other':
      return applyOther(target, place)
    default:
      return assertNever(target)
  }
}

type SourceTarget = Extract<Target, { readonly type: 'SNAT' | 'MASQUERADE' }>

const choosesPort = (target: SourceTarget): boolean =>
  target.random ||
  target.randomFully ||
  (target.type === 'SNAT' ? readPlace(target.to).port !== undefined : target.ports !== undefined)

/** The address of the interface that the packet leaves by: of a node with several, rules see the first. */
function masquerade({ packet, surroundings }: TargetPlace, newPort: boolean): Applied {
  const { family, destination } = packet
  const by = 'MASQUERADE' as const
  // What goes to an address of the node comes from that address, as the kernel chooses in IPv6.
  if (family === 'IPv6' && isOwnAddress(surroundings, destination)) {
    return rewriteSource(packet, { by, address: destination, newPort })
  }
  const [address, ...more] = surroundings.nodeAddresses.filter((text) => text.includes(':') === (family === 'IPv6'))
  if (address === undefined) {
    const message = 'no address of the node is known that MASQUERADE could give the packet'
    return { ...rewriteSource(packet, { by, newPort }), assumptions: [{ code: 'NODE_ADDRESS', message }] }
  }
  if (more.length > 0) return rewriteSource(packet, { by, otherwise: address, newPort })
  return rewriteSource(packet, { by, address, newPort })
}

function jumpTo(chain: string, place: TargetPlace): Applied {
  const { packet, rulesIn } = place
  const rules = rulesIn(chain)
  if (rules !== undefined) return unchanged(packet, { type: 'jump', chain, rules })
  switch (chain) {
    case 'ACCEPT':
      return unchanged(packet, { type: 'accept' })
    case 'DROP':
      return unchanged(packet, { type: 'drop' })
    case 'RETURN':
      return unchanged(packet, { type: 'return' })
    default:
      return applyOther({ name: chain, words: [] }, place)
  }
}

const DEFAULT_REJECTION = { IPv4: 'icmp-port-unreachable', IPv6: 'icmp6-port-unreachable' } as const

/** A target that rules are not read for: most do something to the side, and let the packet go on. */
function applyOther(
  { name, words }: { readonly name: string; readonly words: readonly string[] },
  { packet, surroundings }: Pick<TargetPlace, 'packet' | 'surroundings'>,
): Applied {
  const goesOn = unchanged(packet, { type: 'continue', what: name })
  if (name === 'NOTRACK' || (name === 'CT' && words.includes('--notrack'))) {
    // conntrack has seen a packet that comes back by lo: it is too late.
    if (packet.tracking !== 'INVALID') return goesOn
    return { ...goesOn, effect: { type: 'untracked' }, packet: { ...packet, tracking: 'UNTRACKED' } }
  }
  if (name === 'REDIRECT') {
    const port = /^\d+/.exec(valueOf('--to-ports', words) ?? '')?.[0]
    const address = packet.bornHere ? LOOPBACK[packet.family] : firstAddress(packet.family, surroundings.nodeAddresses)
    return rewriteDestination(packet, { address, ...(port !== undefined && { port: Number(port) }) })
  }
  const range = name === 'DNAT' ? valueOf('--to-destination', words) : undefined
  if (range !== undefined) return ofRange(range, rewriteDestination(packet, firstOf(range)))
  if (HARMLESS.has(name) && !words.includes('--restore-mark')) return goesOn
  return { ...goesOn, assumptions: [unknownTarget(name)] }
}

/** Targets that change nothing that rules of this kind ask about. */
const HARMLESS: ReadonlySet<string> = new Set(
  (
    'AUDIT CHECKSUM CLASSIFY CONNMARK CONNSECMARK CT DSCP ECN HL HMARK IDLETIMER LED LOG NFLOG RATEEST SECMARK SET TCPMSS ' +
    'TCPOPTSTRIP TEE TOS TRACE TTL ULOG'
  ).split(' '),
)

const LOOPBACK = { IPv4: '127.0.0.1', IPv6: '::1' } as const

/** REDIRECT sends what arrives to the address of the interface that it arrives by. */
const firstAddress = (family: 'IPv4' | 'IPv6', nodeAddresses: readonly string[]): string =>
  nodeAddresses.find((address) => address.includes(':') === (family === 'IPv6')) ?? LOOPBACK[family]

const valueOf = (option: string, words: readonly string[]): string | undefined => {
  const at = words.indexOf(option)
  return at < 0 ? undefined : words[at + 1]
}

/** Of `10.0.0.1-10.0.0.9:80-90`, the first address and the first port. */
function firstOf(range: string): ReturnType<typeof readPlace> {
  const [, address = '', port] = /^(\[[^\]-]+|[^-:[][^-:]*)(?:-[^\]:]*)?\]?(?::(\d+))?/.exec(range) ?? []
  const bare = address.replace('[', '')
  return { ...readPlace(bare.includes(':') ? `[${bare}]` : bare), ...(port !== undefined && { port: Number(port) }) }
}

const ofRange = (range: string, applied: Applied): Applied => ({
  ...applied,
  assumptions: [{ code: 'ADDRESS_RANGE', message: `DNAT chooses from ${range}: the first is taken` }],
})

const unknownTarget = (name: string): Assumption => ({
  code: 'UNKNOWN_TARGET',
  message: `\`-j ${name}\` is not known here: taken to let the packet go on`,
})

/** What a rule does to a packet that it matches. */
interface Applied {
  readonly effect: Effect
  readonly packet: PacketState
  readonly assumptions: readonly Assumption[]
}

interface TargetPlace {
  readonly packet: PacketState
  readonly surroundings: Surroundings
  /** The rules in a chain of the table. Undefined: there is no such chain. */
  readonly rulesIn: (chain: string) => number | undefined
}

const unchanged = (packet: PacketState, effect: Effect): Applied => ({ effect, packet, assumptions: [] })

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
  /** What rules see from now on, where the address is not known. */
  readonly otherwise?: string
  /** The port is chosen anew. */
  readonly newPort: boolean
}

/** What its receiver sees as the sender. */
export function rewriteSource(packet: PacketState, { otherwise, newPort, ...rewritten }: SourceRewriting): Applied {
  const source = rewritten.address ?? otherwise ?? packet.source
  return {
    effect: { type: 'snat', ...rewritten },
    packet: {
      ...packet,
      source,
      sourceRewritten: rewritten,
      sourceChanged: packet.sourceChanged || newPort || source !== packet.source,
    },
    assumptions: [],
  }
}

/** `10.244.1.5:8080`, `[fd00::5]:80`, or an address alone, in canonical spelling. */
function readPlace(text: string): { readonly address: string; readonly port?: number } {
  const [, bracketed, bare, port] = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d+))?$/.exec(text) ?? []
  const address = bracketed ?? bare ?? text
  return {
    address: parseAddress(address)?.text ?? address,
    ...(port !== undefined && { port: Number(port) }),
  }
}
