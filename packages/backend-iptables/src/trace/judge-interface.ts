import type { PhysdevMatch, Rule } from 'node-iptables'
import { allOf, assumed, known, negatedIf, type Finding } from './finding.js'
import type { PacketState } from './traced-packet.js'

type Side = 'in' | 'out'
type Named = NonNullable<Rule['inInterface']>

/** `-i NAME` or `-o NAME`; a name that ends in `+` stands for all that begin so. */
export function judgeInterface({ name, negated }: Named, side: Side, packet: PacketState): Finding {
  const actual = side === 'in' ? packet.inInterface : packet.outInterface
  return negatedIf(
    negated,
    actual === undefined ? unknown(name, side) : known(isNamed(name, actual), WORDS[side](actual)),
  )
}

/** The port of a bridge. Only packets that come in by one, or go out by one, have it; here it is never known. */
export function judgePhysdev(match: PhysdevMatch, packet: PacketState): Finding {
  const asked = [match.isIn, match.in, match.isOut, match.out, match.isBridged].flatMap((part) => part ?? [])
  const cameByNone = packet.bornHere
  const findings = asked.map(({ negated }) =>
    negatedIf(
      negated,
      cameByNone
        ? known(false, 'it comes by no bridge')
        : assumed(false, 'it is taken to come by no bridge', {
            code: 'BRIDGE_PORT',
            message: 'by which port of a bridge it comes or goes is not known: taken to be none',
          }),
    ),
  )
  return allOf(findings)
}

const isNamed = (name: string, actual: string): boolean =>
  name.endsWith('+') ? actual.startsWith(name.slice(0, -1)) : actual === name

const WORDS: { readonly [side in Side]: (name: string) => string } = {
  in: (name) => (name === '' ? 'it arrives by no interface here' : `it arrives by ${name}`),
  out: (name) => (name === '' ? 'it leaves by no interface here' : `it leaves by ${name}`),
}

const unknown = (name: string, side: Side): Finding =>
  side === 'in'
    ? assumed(false, 'it is taken to arrive by another', {
        code: 'IN_INTERFACE',
        message: `by which interface it arrives is not known: taken to be another than ${name}`,
      })
    : assumed(false, 'it is taken to leave by another', {
        code: 'OUT_INTERFACE',
        message: `by which interface it leaves is not known: taken to be another than ${name}`,
      })
