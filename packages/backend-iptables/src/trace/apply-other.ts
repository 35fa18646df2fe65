import type { Assumption } from '@pointsman/core'
import { readPlace, rewriteDestination, unchanged, type Applied, type TargetPlace } from './rewrite.js'

/** A target that rules are not read for: most do something to the side, and let the packet go on. */
export function applyOther(
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
