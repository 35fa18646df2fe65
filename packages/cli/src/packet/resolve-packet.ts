import { parseAddress, type IpFamily, type NodeInfo, type Protocol } from '@pointsman/core'
import { CliError } from '../errors.js'
import { findDestination } from './find-destination.js'
import { findSource } from './find-source.js'
import type { Names } from './names.js'
import { portNumber, type HostText, type PacketText } from './parse-packet.js'

export interface PacketQuestion {
  readonly packet: PacketText
  readonly names: Names | undefined
  /** The node that the packet is on, as far as it is known. */
  readonly node: NodeInfo | undefined
  /** The addresses of its interfaces. */
  readonly nodeAddresses: readonly string[]
  /** The family that is asked for, where names have both. */
  readonly family: IpFamily | undefined
}

/** The packet in addresses. */
export interface ResolvedPacket {
  readonly protocol: Protocol
  readonly family: IpFamily
  readonly source: string
  readonly sourcePort?: number
  readonly destination: string
  readonly destinationPort: number
  readonly from: 'node' | 'pod' | 'outside'
}

/** Looks names up. CliError NOT_FOUND for one that nobody has, USAGE for one that several have and for a port that is missing. */
export function resolvePacket(question: PacketQuestion): ResolvedPacket {
  const { packet } = question
  const family = familyOf(question)
  const destination = findDestination(packet.destination, { ...question, protocol: packet.protocol, family })
  const source = findSource(packet.source, { ...question, family, destination: destination.address })
  checkFamilies(question, { family, source: source.address, destination: destination.address })
  return {
    protocol: packet.protocol,
    family,
    source: source.address,
    ...(packet.source.port !== undefined && { sourcePort: portNumber(packet.source.port) }),
    destination: destination.address,
    destinationPort: destination.port,
    from: source.from,
  }
}

/** That of an address in it, else the one that is asked for, else one that the Service has, the node's before the other. */
function familyOf({ packet, names, node, family }: PacketQuestion): IpFamily {
  const written = [packet.destination, packet.source].flatMap(({ host }) => parseAddress(host)?.family ?? [])[0]
  const asked = written ?? family
  if (asked !== undefined) return asked
  const ofService = familiesOfService(packet.destination, names)
  const ofNode = (node?.addresses ?? []).flatMap((address) => parseAddress(address)?.family ?? [])
  return ofNode.find((one) => ofService.size === 0 || ofService.has(one)) ?? [...ofService][0] ?? 'IPv4'
}

function familiesOfService({ host }: HostText, names: Names | undefined): ReadonlySet<IpFamily> {
  const ports = [...(names?.services.values() ?? [])].filter(({ service, name }) => service === host || name === host)
  return new Set(ports.map(({ family }) => family))
}

function checkFamilies(
  { packet, family: asked }: PacketQuestion,
  found: { readonly family: IpFamily; readonly source: string; readonly destination: string },
): void {
  for (const address of [found.source, found.destination]) {
    const family = parseAddress(address)?.family
    if (family !== found.family)
      throw new CliError(
        'USAGE',
        `${packet.source.host} and ${packet.destination.host} are of different IP families: give two of one`,
      )
  }
  if (asked !== undefined && asked !== found.family)
    throw new CliError('USAGE', `the packet is ${found.family}: leave --family out`)
}
