import { assertNever, parseAddress } from '@pointsman/core'
import {
  ALL_BITS,
  type Applied,
  type Claim,
  done,
  type Evaluated,
  type Mark,
  masquerade,
  mixedMark,
  type NatRange,
  netmap,
  type PacketState,
  redirect,
  setBits,
  sourceTranslated,
  translate,
  type TranslationPlace,
  truthIn,
  unchanged,
} from '@pointsman/core/trace'
import type { Target } from 'node-iptables'
import { elementKey } from './ip-sets.js'
import { maskedNumberOf, optionsOf } from './rule-tables.js'

export interface TargetPlace extends TranslationPlace {
  /** Of the rule. Empty: it has none. */
  readonly comment: string
  /** The rules in a chain of the table. Undefined: there is no such chain. */
  readonly rulesIn: (chain: string) => number | undefined
}

/** What a target does in a case, or what has to be decided first. */
export function applyTarget(target: Target | undefined, place: TargetPlace): Evaluated<Applied> {
  const { packet } = place
  if (target === undefined) return unchanged(packet, { type: 'continue', what: 'no target' })
  switch (target.type) {
    case 'jump':
      return jumpTo(target.chain, place)
    case 'goto':
      return unchanged(packet, { type: 'goto', chain: target.chain, rules: place.rulesIn(target.chain) ?? 0 })
    case 'MARK':
      return marked(packet, setBits(packet.mark, target))
    case 'DNAT':
      return destinationTranslated(target.to, target.random, place)
    case 'SNAT':
      return done(
        sourceTranslated(packet, { to: target.to, range: readRange(target.to), newPort: choosesPort(target) }),
      )
    case 'MASQUERADE':
      return done(masquerade(place, choosesPort(target)))
    case 'REJECT':
      return unchanged(packet, { type: 'reject', with: target.with ?? DEFAULT_REJECTION[packet.family] })
    case 'other':
      return applyOther(target, place)
    default:
      return assertNever(target)
  }
}

/** Goes one of two ways, as the case says. */
function decide(
  claim: Omit<Claim, 'low' | 'high'>,
  { supposed }: Pick<TargetPlace, 'supposed'>,
  then: (holds: boolean) => Evaluated<Applied>,
): Evaluated<Applied> {
  const whole = { ...claim, low: '', high: '' }
  const truth = truthIn(supposed, whole)
  return truth === undefined ? { unknown: whole } : then(truth)
}

function marked(packet: PacketState, mark: Mark): Evaluated<Applied> {
  return unchanged({ ...packet, mark }, { type: 'mark', from: packet.mark.value, to: mark.value })
}

function jumpTo(chain: string, place: TargetPlace): Evaluated<Applied> {
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

interface OtherTarget {
  readonly name: string
  readonly words: readonly string[]
}

/** A target that rules are not read for: most do something to the side, and let the packet go on. */
function applyOther(target: OtherTarget, place: TargetPlace): Evaluated<Applied> {
  const { name, words } = target
  const { packet } = place
  const options = optionsOf(words)
  const valueOf = (option: string): string | undefined => options?.get(option)?.values[0]
  switch (name) {
    case 'NOTRACK':
      return untracked(place)
    case 'CT':
      return words.includes('--notrack') ? untracked(place) : unchanged(packet, { type: 'continue', what: name })
    case 'REDIRECT':
      return redirect(readRange(`:${valueOf('--to-ports') ?? valueOf('--to-port') ?? ''}`)?.ports, place)
    case 'DNAT': {
      const to = valueOf('--to-destination')
      if (to !== undefined) return destinationTranslated(to, words.includes('--random'), place)
      break
    }
    case 'SNAT': {
      const to = valueOf('--to-source')
      if (to !== undefined) return done(sourceTranslated(packet, { to, range: readRange(to), newPort: true }))
      break
    }
    case 'MASQUERADE':
      return done(masquerade(place, words.length > 0))
    case 'NETMAP': {
      const to = valueOf('--to')
      if (to !== undefined && parseAddress(to.split('/')[0] ?? '') !== undefined) return netmap(to, place)
      break
    }
    case 'MARK': {
      const to = maskedNumberOf(valueOf('--set-xmark') ?? '')
      if (to !== undefined) return marked(packet, setBits(packet.mark, to))
      break
    }
    case 'CONNMARK': {
      const found = connectionMark(words, place)
      if (found !== undefined) return found
      break
    }
    case 'HMARK':
      return marked(packet, { value: 0, unknown: ALL_BITS, of: 'the mark that HMARK gives it' })
    case 'SET': {
      const found = changeSets(words, place)
      if (found !== undefined) return found
      break
    }
    case 'TPROXY':
      return toSocket(words, place)
    case 'QUEUE':
    case 'NFQUEUE': {
      const queue = valueOf('--queue-num') ?? valueOf('--queue-balance') ?? '0'
      const what = `the program that reads queue ${queue}`
      return decide({ subject: what, code: 'PROGRAM', text: `${what} lets it go on` }, place, (holds) =>
        unchanged(packet, { type: 'hand-over', what, outcome: holds ? 'accept' : 'drop' }),
      )
    }
    case 'SYNPROXY':
      return unchanged(packet, { type: 'hand-over', what: 'SYNPROXY, which answers the client first', outcome: 'end' })
  }
  if (HARMLESS.has(name)) return unchanged(packet, { type: 'continue', what: name })
  const what = `-j ${[name, ...words].join(' ')}`
  return decide(
    { subject: `${what} ${place.where}`, code: 'TARGET', text: `${what} lets it go on as it is` },
    place,
    (holds) => unchanged(packet, { type: 'hand-over', what, outcome: holds ? 'continue' : 'end' }),
  )
}

/** Targets that change nothing that rules ask about. */
const HARMLESS: ReadonlySet<string> = new Set(
  (
    'AUDIT CHECKSUM CLASSIFY CONNSECMARK DSCP ECN HL IDLETIMER LED LOG NFLOG RATEEST SECMARK TCPMSS ' +
    'TCPOPTSTRIP TEE TOS TRACE TTL ULOG'
  ).split(' '),
)

/** conntrack has seen a packet that comes back by lo: then it is too late. */
function untracked({ packet, where, comment }: TargetPlace): Evaluated<Applied> {
  if (packet.tracking !== 'INVALID') return unchanged(packet, { type: 'continue', what: 'CT' })
  const untrackedBy = comment === '' ? where : `${where}, "${comment}",`
  return unchanged({ ...packet, tracking: 'UNTRACKED', untrackedBy }, { type: 'untracked' })
}

/** `-j CONNMARK` (net/netfilter/xt_connmark.c). Of what conntrack does not track, there is no mark. */
function connectionMark(words: readonly string[], { packet }: TargetPlace): Evaluated<Applied> | undefined {
  const options = optionsOf(words)
  const value = (name: string): string | undefined => options?.get(name)?.values[0]
  const goesOn = unchanged(packet, { type: 'continue', what: 'CONNMARK' })
  if (options === undefined || words.some((word) => word.includes('shift'))) return undefined
  if (packet.tracking === 'INVALID' || packet.tracking === 'UNTRACKED') return goesOn
  const nfmask = Number(value('--nfmask') ?? value('--mask') ?? ALL_BITS)
  const ctmask = Number(value('--ctmask') ?? value('--mask') ?? ALL_BITS)
  const to = value('--set-xmark') ?? value('--set-mark')
  const save = (connectionMark: Mark): Evaluated<Applied> =>
    unchanged({ ...packet, connectionMark }, { type: 'continue', what: `CONNMARK ${words[0] ?? ''}` })
  if (to !== undefined) {
    const asked = maskedNumberOf(to)
    return asked && save(setBits(packet.connectionMark, asked))
  }
  if (options.has('--save-mark')) return save(mixedMark(packet.connectionMark, ctmask, packet.mark, nfmask))
  if (options.has('--restore-mark'))
    return marked(packet, mixedMark(packet.mark, nfmask, packet.connectionMark, ctmask))
  return undefined
}

function changeSets(words: readonly string[], { packet }: TargetPlace): Evaluated<Applied> | undefined {
  const options = optionsOf(words)
  const add = options?.get('--add-set')
  const remove = options?.get('--del-set')
  if (options === undefined || options.has('--map-set') || (add === undefined && remove === undefined)) return undefined
  const changes = [
    [add, true],
    [remove, false],
  ] as const
  const setChanges = changes.flatMap(([option, isIn]) => {
    const [set, flags] = option?.values ?? []
    return set === undefined || flags === undefined ? [] : [{ set, element: elementKey(flags, packet), isIn }]
  })
  return unchanged({ ...packet, setChanges: [...setChanges, ...packet.setChanges] }, { type: 'continue', what: 'SET' })
}

/** Where a process listens, the packet is marked and given to it; else it is dropped (net/netfilter/xt_TPROXY.c). */
function toSocket(words: readonly string[], place: TargetPlace): Evaluated<Applied> {
  const { packet } = place
  const options = optionsOf(words)
  const value = (name: string): string | undefined => options?.get(name)?.values[0]
  const port = value('--on-port') ?? '0'
  const address = value('--on-ip')
  const own = Number(port) === 0 ? packet.destinationPort : Number(port)
  const isAny = address === undefined || address === '0.0.0.0' || address === '::'
  const socket = isAny ? `port ${own}` : address.includes(':') ? `[${address}]:${own}` : `${address}:${own}`
  const what = `the process that listens on ${socket} (TPROXY)`
  const claim = { subject: what, code: 'PROGRAM' as const, text: `a process listens on ${socket} for TPROXY` }
  return decide(claim, place, (holds) => {
    if (!holds) return unchanged(packet, { type: 'hand-over', what, outcome: 'drop' })
    const mark = maskedNumberOf(value('--tproxy-mark') ?? '0/0') ?? { value: 0, mask: 0 }
    const next = { ...packet, socket: what, mark: setBits(packet.mark, mark) }
    return unchanged(next, { type: 'hand-over', what, outcome: 'accept' })
  })
}

type SourceTarget = Extract<Target, { readonly type: 'SNAT' | 'MASQUERADE' }>

const choosesPort = (target: SourceTarget): boolean =>
  target.random ||
  target.randomFully ||
  (target.type === 'SNAT' ? readRange(target.to)?.ports !== undefined : target.ports !== undefined)

/** `10.0.0.1-10.0.0.9:80-90/8080`, `[fd00::1-fd00::9]:80`, `10.0.0.1`, `:8080`. Undefined: none of these. */
function readRange(text: string): NatRange | undefined {
  const [, bracketed, bare, portText] = /^(?:\[([^\]]*)\]|([^:]*|[^[]*:[^[]*:[^[]*?))(?::([\d/-]+))?$/.exec(text) ?? []
  const addresses = bracketed ?? bare ?? ''
  const [first = '', last = first] = addresses.split('-')
  const low = first === '' ? undefined : parseAddress(first)?.text
  const high = last === '' ? undefined : parseAddress(last)?.text
  if (addresses !== '' && (low === undefined || high === undefined)) return undefined
  if (portText === undefined) return { low, high, ports: undefined }
  const [, from, to = from, base] = /^(\d+)(?:-(\d+))?(?:\/(\d+))?$/.exec(portText) ?? []
  if (from === undefined || to === undefined) return undefined
  return {
    low,
    high,
    ports: { first: Number(from), last: Number(to), ...(base !== undefined && { base: Number(base) }) },
  }
}

/** `-j DNAT --to-destination` */
function destinationTranslated(to: string, isRandom: boolean, place: TargetPlace): Evaluated<Applied> {
  const range = readRange(to)
  if (range !== undefined) return translate(range, { to, isRandom }, place)
  return unchanged(place.packet, { type: 'hand-over', what: `-j DNAT --to-destination ${to}`, outcome: 'end' })
}
