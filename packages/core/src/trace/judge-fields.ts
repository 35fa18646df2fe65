import type { Surroundings } from '../ports/trace-question.js'
import { assumed, claimed, type Finding, known, negatedIf } from './finding.js'
import { addressOrder, networkContains, networkOrder } from './networks.js'
import type { Mark, PacketState } from './packet-state.js'
import type { Case, Claim } from './suppositions.js'

/** What a condition is judged by: the packet, the node, and the case of unknown facts. */
export interface Judged {
  readonly packet: PacketState
  readonly surroundings: Surroundings
  readonly supposed: Case | undefined
}

/** Whether the bits in mask are those of value. */
export function judgeMark(
  { value, mask }: { readonly value: number; readonly mask: number },
  { mark, what }: { readonly mark: Mark; readonly what: string },
  { supposed }: Pick<Judged, 'supposed'>,
): Finding {
  const isKnown = (mark.unknown & mask) === 0
  const bits = (mask & ~mark.unknown) >>> 0
  if (isKnown || (mark.value & bits) >>> 0 !== (value & bits) >>> 0) {
    // A value with bits outside of the mask is never met.
    return known((mark.value & mask) >>> 0 === value && isKnown, `${what} is 0x${mark.value.toString(16)}`)
  }
  const open = (mask & mark.unknown) >>> 0
  return claimed(
    {
      subject: `${mark.of} & ${open}`,
      low: hexText(value & open),
      high: hexText(value & open),
      code: 'MARK',
      text: `${mark.of} has 0x${((value & open) >>> 0).toString(16)} in its bits 0x${open.toString(16)}`,
    },
    supposed,
  )
}

const hexText = (value: number): string => (value >>> 0).toString(16).padStart(8, '0')

/** A claim that is about nothing else than itself. */
export const opaqueClaim = (code: Claim['code'], text: string): Claim => ({
  subject: text,
  low: '',
  high: '',
  code,
  text,
})

export interface PortRange {
  readonly first: number
  readonly last: number
}

const isIn = ({ first, last }: PortRange, port: number): boolean => first <= port && port <= last

export const judgeDestinationPort = (range: PortRange, { packet: { destinationPort } }: Judged): Finding =>
  known(isIn(range, destinationPort), `the port is ${destinationPort}`)

/** Clients take their ports from 1024 on: the upper bound is unknown. */
export function judgeSourcePort(range: PortRange, { packet, supposed }: Judged): Finding {
  const { sourcePort: port } = packet
  if (port !== undefined) return known(isIn(range, port), `the source port is ${port}`)
  if (range.first === 0 && range.last === 65_535) return known(true, 'any port is one of them')
  if (range.last < 1024 || (range.first <= 1024 && range.last === 65_535)) {
    return assumed(range.last >= 1024, 'the source port is not known', {
      code: 'SOURCE_PORT',
      message: 'the source port is not known: taken to be one from 1024 on',
    })
  }
  const ports = range.first === range.last ? `${range.first}` : `from ${range.first} to ${range.last}`
  return claimed(
    {
      subject: packet.sourceChanged !== false ? 'the source port after SNAT' : 'the source port',
      low: portText(range.first),
      high: portText(range.last),
      code: 'SOURCE_PORT',
      text: `the source port is ${ports}`,
    },
    supposed,
  )
}

const portText = (port: number): string => String(port).padStart(5, '0')

/** Whether the source lies in a network. */
export function judgeSource(network: string, { packet, supposed }: Judged): Finding {
  const { source, unknownSource } = packet
  if (unknownSource === undefined) return known(networkContains(network, source), `the source is ${source}`)
  const order = networkOrder(network)
  return claimed(
    {
      subject: order === undefined ? `${unknownSource} in ${network}` : unknownSource,
      low: order?.low ?? '',
      high: order?.high ?? '',
      code: 'SOURCE_ADDRESS',
      text: `${unknownSource} is in ${network}`,
    },
    supposed,
  )
}

/** Whether the source lies between two addresses, both included. */
export function judgeSourceRange(
  { low, high }: { readonly low: string; readonly high: string },
  judged: Judged,
): Finding {
  const { source, unknownSource } = judged.packet
  const range = { low: addressOrder(low), high: addressOrder(high) }
  if (unknownSource === undefined) {
    const at = addressOrder(source)
    return known(at.length === range.low.length && range.low <= at && at <= range.high, `the source is ${source}`)
  }
  const text = `${unknownSource} is from ${low} to ${high}`
  return claimed({ subject: unknownSource, ...range, code: 'SOURCE_ADDRESS', text }, judged.supposed)
}

/** The first packet of a connection has SYN alone; later ones are taken to have ACK alone. */
export function judgeFlags(
  { mask, set }: { readonly mask: readonly string[]; readonly set: readonly string[] },
  { tracking }: PacketState,
): Finding {
  const actual = tracking === 'NEW' ? 'SYN' : 'ACK'
  const expected = mask.filter((flag) => set.includes(flag))
  const counted = mask.filter((flag) => flag === actual)
  return known(expected.join(',') === counted.join(','), `its flag is ${actual}`)
}

export type Side = 'in' | 'out'

/** Whether it comes or goes by an interface; a name that ends in `+` stands for all that begin so. */
export function judgeInterface(
  { name, negated }: { readonly name: string; readonly negated: boolean },
  side: Side,
  { packet, supposed }: Judged,
): Finding {
  const actual = side === 'in' ? packet.inInterface : packet.outInterface
  return negatedIf(
    negated,
    actual === undefined ? unknownInterface(name, side, supposed) : known(isNamed(name, actual), WORDS[side](actual)),
  )
}

export const isNamed = (name: string, actual: string): boolean =>
  name.endsWith('+') ? actual.startsWith(name.slice(0, -1)) : actual === name

const WORDS: { readonly [side in Side]: (name: string) => string } = {
  in: (name) => (name === '' ? 'it arrives by no interface here' : `it arrives by ${name}`),
  out: (name) => (name === '' ? 'it leaves by no interface here' : `it leaves by ${name}`),
}

/** Others than the node itself do not use lo. */
const unknownInterface = (name: string, side: Side, supposed: Case | undefined): Finding =>
  name === 'lo'
    ? known(false, side === 'in' ? 'it comes from elsewhere' : 'it goes elsewhere')
    : claimed(
        {
          subject: side === 'in' ? 'input interface' : 'output interface',
          ...namesLike(name),
          code: side === 'in' ? 'IN_INTERFACE' : 'OUT_INTERFACE',
          text: `it ${side === 'in' ? 'arrives' : 'leaves'} by ${spelled(name)}`,
        },
        supposed,
      )

/** A name, or all that begin with what stands before a `+`, as a range of text. */
export const namesLike = (name: string): { readonly low: string; readonly high: string } =>
  name.endsWith('+') ? { low: name.slice(0, -1), high: `${name.slice(0, -1)}\uFFFF` } : { low: name, high: name }

const spelled = (name: string): string =>
  name === '+' ? 'an interface' : name.endsWith('+') ? `an interface ${name.slice(0, -1)}...` : name
