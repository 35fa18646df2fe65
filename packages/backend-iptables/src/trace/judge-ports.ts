import type { PortRange, PortsMatch, TcpFlag } from 'node-iptables'
import { allOf, assumed, known, negatedIf, type Finding } from './finding.js'
import type { PacketState } from './traced-packet.js'

/** `-m tcp`, `-m udp`, `-m sctp`. */
export function judgePorts({ type, source, destination, flags }: PortsMatch, packet: PacketState): Finding {
  if (type !== packet.protocol) return known(false, `the protocol is ${packet.protocol}`)
  const { sourcePort, destinationPort } = packet
  return allOf([
    ...(destination === undefined
      ? []
      : [negatedIf(destination.negated, known(isIn(destination, destinationPort), `the port is ${destinationPort}`))]),
    ...(source === undefined ? [] : [negatedIf(source.negated, judgeSourcePort(source, sourcePort))]),
    ...(flags === undefined ? [] : [negatedIf(flags.negated, judgeFlags(flags, packet))]),
  ])
}

const isIn = ({ first, last }: PortRange, port: number): boolean => first <= port && port <= last

const judgeSourcePort = (range: PortRange, port: number | undefined): Finding =>
  port === undefined
    ? assumed(isIn(range, 1024) && isIn(range, 65_535), 'the source port is not known', {
        code: 'SOURCE_PORT',
        message: 'the source port is not known: taken to be any from 1024 on that no rule names',
      })
    : known(isIn(range, port), `the source port is ${port}`)

/** The first packet of a connection bears SYN alone; those after it are taken to bear ACK alone. */
function judgeFlags(
  { mask, set }: { readonly mask: readonly TcpFlag[]; readonly set: readonly TcpFlag[] },
  { tracking }: PacketState,
): Finding {
  const actual: TcpFlag = tracking === 'NEW' ? 'SYN' : 'ACK'
  const expected = mask.filter((flag) => set.includes(flag))
  const counted = mask.filter((flag) => flag === actual)
  return known(expected.join(',') === counted.join(','), `its flag is ${actual}`)
}
