import { parseAddress, type IpFamily } from '@pointsman/core'
import type { Flow, FlowTuple } from './flow.js'

/**
 * Reads one line of `conntrack -L -o extended`, of a protocol with ports. Undefined for every other line: those of other
 * protocols, of other forms of output, and of versions to come that put things otherwise.
 *
 *     ipv4     2 udp      17 29 src=10.0.1.2 dst=10.96.0.10 sport=4000 dport=53 src=10.244.1.5 dst=10.0.1.2 sport=53 dport=4000 [ASSURED] mark=0 use=1
 */
export function parseConntrack(line: string): Flow | undefined {
  const words = line.trim().split(/\s+/)
  const [familyName = '', , protocol = ''] = words
  const family = FAMILIES.get(familyName)
  const [original, reply, ...others] = tuplesIn(words)
  if (family === undefined || original === undefined || reply === undefined || others.length > 0) return undefined
  const read = { original: tupleOf(original, family), reply: tupleOf(reply, family) }
  if (read.original === undefined || read.reply === undefined) return undefined
  return { family, protocol, zone: zoneIn(words), original: read.original, reply: read.reply }
}

const FAMILIES: ReadonlyMap<string, IpFamily> = new Map([
  ['ipv4', 'IPv4'],
  ['ipv6', 'IPv6'],
])

type Fields = ReadonlyMap<string, string>

/** The `key=value` words, cut where a source address begins the next direction. */
function tuplesIn(words: readonly string[]): readonly Fields[] {
  const tuples: Map<string, string>[] = []
  for (const word of words) {
    const equals = word.indexOf('=')
    if (equals < 0) continue
    const key = word.slice(0, equals)
    if (key === 'src') tuples.push(new Map())
    tuples.at(-1)?.set(key, word.slice(equals + 1))
  }
  return tuples
}

function tupleOf(fields: Fields, family: IpFamily): FlowTuple | undefined {
  const src = addressIn(fields.get('src'), family)
  const dst = addressIn(fields.get('dst'), family)
  const sport = portIn(fields.get('sport'))
  const dport = portIn(fields.get('dport'))
  if (src === undefined || dst === undefined || sport === undefined || dport === undefined) return undefined
  return { src, dst, sport, dport }
}

function addressIn(text: string | undefined, family: IpFamily): string | undefined {
  const address = text === undefined ? undefined : parseAddress(text)
  return address?.family === family ? address.text : undefined
}

function portIn(text: string | undefined): number | undefined {
  if (text === undefined || !/^\d{1,5}$/.test(text)) return undefined
  const port = Number(text)
  return port <= 65_535 ? port : undefined
}

function zoneIn(words: readonly string[]): number {
  const digits = words.find((word) => word.startsWith('zone='))?.slice('zone='.length)
  return digits === undefined || !/^\d+$/.test(digits) ? 0 : Number(digits)
}
