import { parseAddress, type Surroundings, TraceError } from '@pointsman/core'
import { networkContains, type PacketState } from '@pointsman/core/trace'

/** A set of the kernel, as `ipset save` or `ipset list` print it. */
export interface IpSet {
  readonly name: string
  /** What its elements are made of: `ip`, `port`. Of `list:set`, `set` alone. */
  readonly dimensions: readonly string[]
  readonly method: string
  readonly family: 'IPv4' | 'IPv6' | undefined
  /** The bits of an address that count, as a prefix length or a mask. */
  readonly netmask: string | undefined
  readonly markmask: number
  readonly entries: readonly Entry[]
}

interface Entry {
  readonly parts: readonly string[]
  readonly nomatch: boolean
}

export type IpSets = ReadonlyMap<string, IpSet>

const PARSED = new WeakMap<Surroundings, IpSets>()

/** The sets of a node. Undefined: they are not known. Throws a TraceError BAD_SETS for what is no listing. */
export function ipsetsIn(surroundings: Surroundings): IpSets | undefined {
  const { ipsets } = surroundings
  if (ipsets === undefined) return undefined
  const found = PARSED.get(surroundings) ?? parseIpsets(ipsets)
  PARSED.set(surroundings, found)
  return found
}

/** Reads what `ipset save` or `ipset list` printed. Throws a TraceError BAD_SETS for what is neither. */
export function parseIpsets(text: string): IpSets {
  const sets = new Map<string, { readonly head: Omit<IpSet, 'entries'>; readonly entries: Entry[] }>()
  const bad = (line: string, number: number): TraceError =>
    new TraceError(
      'BAD_SETS',
      `line ${number} of --ipset is not output of \`ipset save\` or \`ipset list\`: ${JSON.stringify(line.slice(0, 80))}`,
    )
  let count = 0
  /** Of `ipset list`: the set whose lines these are. */
  let name: string | undefined
  let isMembers = false
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    const words = line.trim().split(/\s+/)
    const [first = '', second, third] = words
    if (first === '' || first.startsWith('#')) {
      if (first === '') name = undefined
      continue
    }
    if (first === 'create' && third !== undefined)
      sets.set(second ?? '', { head: headOf(second ?? '', third, words), entries: [] })
    else if (first === 'add' && third !== undefined) {
      const set = sets.get(second ?? '')
      if (set === undefined) throw bad(line, index + 1)
      set.entries.push(entryOf(third, words))
      count += 1
    } else if (first === 'Name:' && second !== undefined) {
      name = second
      isMembers = false
      sets.set(name, { head: headOf(name, '', []), entries: [] })
    } else if (name === undefined) throw bad(line, index + 1)
    else {
      const set = sets.get(name) ?? { head: headOf(name, '', []), entries: [] }
      if (isMembers) {
        set.entries.push(entryOf(first, words))
        count += 1
      } else if (first === 'Type:') sets.set(name, { ...set, head: headOf(name, second ?? '', []) })
      else if (first === 'Header:') {
        const { method, dimensions } = set.head
        sets.set(name, { ...set, head: headOf(name, `${method}:${dimensions.join(',')}`, words) })
      } else if (first === 'Members:') isMembers = true
    }
    if (count > MAX_ENTRIES)
      throw new TraceError(
        'BAD_SETS',
        `the ipsets have more than ${MAX_ENTRIES} elements: give the sets that the rules name`,
      )
  }
  return new Map([...sets].map(([key, { head, entries }]) => [key, { ...head, entries }]))
}

const MAX_ENTRIES = 1_000_000

function headOf(name: string, type: string, words: readonly string[]): Omit<IpSet, 'entries'> {
  const [method = '', dimensions = ''] = type.split(':')
  const after = (word: string): string | undefined => {
    const at = words.indexOf(word)
    return at < 0 ? undefined : words[at + 1]
  }
  const family = after('family')
  const hasFamily = method === 'hash' && dimensions !== 'mac'
  return {
    name,
    method,
    dimensions: dimensions === '' ? [] : dimensions.split(','),
    family: family === 'inet6' ? 'IPv6' : hasFamily || type.startsWith('bitmap:ip') ? 'IPv4' : undefined,
    netmask: after('netmask') ?? after('bitmask'),
    markmask: Number(after('markmask') ?? 0xff_ff_ff_ff),
  }
}

const entryOf = (element: string, words: readonly string[]): Entry => ({
  parts: element.split(','),
  nomatch: words.includes('nomatch'),
})

interface Asked {
  readonly name: string
  /** `src,dst`: which of the packet's fields each part of an element is held against. */
  readonly flags: string
}

/** Whether a set has the packet's element (net/netfilter/ipset). Undefined: unknown. */
export function setHas(sets: IpSets, { name, flags }: Asked, packet: PacketState, depth = 0): boolean | undefined {
  const set = sets.get(name)
  if (set === undefined || depth > MOST_LISTS) return undefined
  if (set.method === 'list') {
    const found = set.entries.map(({ parts: [member = ''] }) =>
      setHas(sets, { name: member, flags }, packet, depth + 1),
    )
    return found.includes(true) ? true : found.includes(undefined) ? undefined : false
  }
  const { dimensions, entries } = set
  if (dimensions.length === 0 || dimensions.some((dimension) => !KNOWN.has(dimension))) return undefined
  const sides = flags.split(',')
  // A rule that names fewer fields than the elements have parts never matches.
  if (sides.length < dimensions.length || (set.family !== undefined && set.family !== packet.family)) return false
  return hasEntry(entries, (parts) => partsMatch(set, { parts, sides }, packet))
}

// The kernel does not nest lists.
const MOST_LISTS = 2
const KNOWN: ReadonlySet<string> = new Set(['ip', 'net', 'port', 'mac', 'iface', 'mark'])

function hasEntry(
  entries: readonly Entry[],
  matches: (parts: readonly string[]) => boolean | undefined,
): boolean | undefined {
  let best: { readonly entry: Entry; readonly length: number } | undefined
  let isOpen = false
  for (const entry of entries) {
    const found = matches(entry.parts)
    if (found === undefined) isOpen = true
    if (found !== true) continue
    const length = prefixOf(entry.parts)
    if (best === undefined || length > best.length) best = { entry, length }
  }
  if (best !== undefined && !isOpen) return !best.entry.nomatch
  if (best?.entry.nomatch === false && entries.every(({ nomatch }) => !nomatch)) return true
  return isOpen ? undefined : false
}

/** The smallest network counts, as where a part of another is excepted from it. */
const prefixOf = (parts: readonly string[]): number =>
  parts.reduce((sum, part) => sum + Number(/\/(\d+)$/.exec(part)?.[1] ?? 128), 0)

function partsMatch(
  set: IpSet,
  { parts, sides }: { readonly parts: readonly string[]; readonly sides: readonly string[] },
  packet: PacketState,
): boolean | undefined {
  let isOpen = false
  for (const [at, dimension] of set.dimensions.entries()) {
    const part = parts[at] ?? ''
    const isSource = sides[at] === 'src'
    const found = partMatches(set, { dimension, part, isSource }, packet)
    if (found === false) return false
    if (found === undefined) isOpen = true
  }
  return isOpen ? undefined : true
}

function partMatches(
  { netmask, markmask }: IpSet,
  { dimension, part, isSource }: { readonly dimension: string; readonly part: string; readonly isSource: boolean },
  packet: PacketState,
): boolean | undefined {
  switch (dimension) {
    case 'ip':
    case 'net':
      if (isSource && packet.unknownSource !== undefined) return undefined
      return contains(part, { address: isSource ? packet.source : packet.destination, netmask })
    case 'port':
      return isPort(part, isSource ? packet.sourcePort : packet.destinationPort, packet.protocol)
    case 'mac':
      if (!isSource || packet.bornHere) return false
      return packet.mac === undefined ? undefined : packet.mac === part.toLowerCase()
    case 'iface': {
      const actual = isSource ? packet.inInterface : packet.outInterface
      if (part.startsWith('physdev:') || actual === undefined) return undefined
      return part === actual
    }
    case 'mark':
      return (packet.mark.unknown & markmask) === 0 ? (packet.mark.value & markmask) >>> 0 === Number(part) : undefined
    default:
      return undefined
  }
}

function contains(
  part: string,
  { address, netmask }: { readonly address: string; readonly netmask: string | undefined },
): boolean | undefined {
  const [low = '', high] = part.split('-')
  if (high !== undefined) return undefined
  const [host = '', length] = low.split('/')
  const base = parseAddress(host)?.text
  if (base === undefined) return undefined
  return networkContains(`${base}/${length ?? netmask ?? (base.includes(':') ? 128 : 32)}`, address)
}

/** `tcp:80`, or `80` alone in a set of ports. */
function isPort(part: string, port: number | undefined, protocol: string): boolean | undefined {
  const [, named, first, last = first] = /^(?:([\w-]+):)?(\d+)(?:-(\d+))?$/.exec(part) ?? []
  if (first === undefined) return protocol === 'tcp' || protocol === 'udp' || protocol === 'sctp' ? false : undefined
  if (named !== undefined && named !== protocol) return false
  if (port === undefined) return undefined
  return Number(first) <= port && port <= Number(last)
}

/** All of a packet that a set can be asked about. */
export function elementKey(flags: string, packet: PacketState): string {
  const { protocol, source, unknownSource, sourceChanged, destination, destinationPort } = packet
  const ofSide = (side: string): string =>
    side === 'src' ? `${unknownSource ?? source} ${sourceChanged}` : `${destination} ${destinationPort}`
  return [flags, protocol, ...[...new Set(flags.split(','))].map(ofSide)].join(' ')
}

/** The fields of a packet that a set is asked about, in words: `10.0.0.1 tcp:80`. */
export function elementOf(flags: string, packet: PacketState): string {
  const { protocol, source, sourcePort, unknownSource, destination, destinationPort } = packet
  const sides = flags.split(',')
  const ofSide = (side: string): string => (side === 'src' ? (unknownSource ?? source) : destination)
  const [first = ''] = sides
  const addresses = [...new Set(sides.map(ofSide))].join(' and ')
  if (sides.length === 1) return `${ofSide(first)} (${first})`
  const port = destinationPort === 0 ? protocol : `${protocol}:${destinationPort}`
  const ports = sides.includes('dst') ? ` ${port}` : ''
  const from = sides.slice(1).includes('src') && sourcePort !== undefined ? ` from port ${sourcePort}` : ''
  return `${addresses}${ports}${from} (${flags})`
}
