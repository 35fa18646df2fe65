import { parseAddress, type IpFamily } from '@pointsman/core'
import type { Flow, FlowTuple } from './flow.js'

/**
 * Reads one line of `conntrack -L -o extended`, of a protocol with ports. Undefined for every other line: those of other
 * protocols, of other forms of output, and of versions to come that put things otherwise.
 *
 *     ipv4     2 udp      17 29 src=10.0.1.2 dst=10.96.0.10 sport=4000 dport=53 src=10.244.1.5 dst=10.0.1.2 sport=53 dport=4000 [ASSURED] mark=0 use=1
 */
export function parseConntrack(line: string): Flow | undefined {
  // A node may have a million flows: one expression reads the whole line.
  const groups = LINE.exec(line)
  if (groups === null) return undefined
  const [, number, protocol = '', src, dst, sport, dport, replySrc, replyDst, replySport, replyDport, rest = ''] =
    groups
  const family: IpFamily = number === '4' ? 'IPv4' : 'IPv6'
  const original = tupleOf(family, { src, dst, sport, dport })
  const reply = tupleOf(family, { src: replySrc, dst: replyDst, sport: replySport, dport: replyDport })
  if (original === undefined || reply === undefined || rest.includes(' src=')) return undefined
  return { family, protocol, zone: Number(ZONE.exec(rest)?.[1] ?? 0), original, reply }
}

const TUPLE = String.raw`src=(\S+) dst=(\S+) sport=(\d+) dport=(\d+)`
// Between the two directions and behind them: counters, zones, flags.
const LINE = new RegExp(String.raw`^ipv([46]) +\d+ +(\S+) +\d+ .*?\b${TUPLE} .*?\b${TUPLE}(.*)$`)
const ZONE = / zone=(\d+)/

type TupleTexts = { readonly [field in keyof FlowTuple]: string | undefined }

function tupleOf(family: IpFamily, texts: TupleTexts): FlowTuple | undefined {
  const src = addressIn(texts.src, family)
  const dst = addressIn(texts.dst, family)
  const [sport, dport] = [Number(texts.sport), Number(texts.dport)]
  if (src === undefined || dst === undefined || sport > LAST_PORT || dport > LAST_PORT) return undefined
  return { src, dst, sport, dport }
}

const LAST_PORT = 65_535

function addressIn(text: string | undefined, family: IpFamily): string | undefined {
  const address = text === undefined ? undefined : parseAddress(text)
  return address?.family === family ? address.text : undefined
}
