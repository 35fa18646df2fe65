import {
  cidrContains,
  displayName,
  endpointKey,
  isLoopback,
  parseAddress,
  parseCidr,
  PROTOCOLS,
  shortList,
  type AddressedPacket,
  type Endpoint,
  type IpFamily,
  type NodeInfo,
  type Protocol,
  type ServicePort,
} from '@pointsman/core'
import { CliError } from '../errors.js'
import { familiesOf, type RulesetCommandOptions } from '../input/rules-question.js'
import { isEndpointOn, nodeAddress, noSuchHost, onlyOne, podAddress, portsNamed, type Names } from './names.js'

/** A packet as it is asked about: `tcp 10.244.1.5 -> kube-system/kube-dns:dns-tcp`. */
export interface PacketText<P extends PacketProtocol = PacketProtocol> {
  readonly protocol: P
  readonly source: HostText
  readonly destination: HostText
}

/** Services have no ICMP: it stands for an echo request, which has no ports. */
export type PacketProtocol = Protocol | 'ICMP'

/** An address or a name, and what stands after its colon. */
interface HostText {
  readonly host: string
  readonly port?: string
}

export const PACKET_FORM = 'PROTOCOL SOURCE -> DESTINATION:PORT'

/** CliError USAGE, with the form, for what is none. */
export function parsePacket(text: string): PacketText {
  if (text.length > MAX_LENGTH) throw notAPacket(`${text.slice(0, 100)}...`)
  const [, protocolText = '', from = '', to = ''] = /^\s*(\S+)\s+(\S+)\s*->\s*(\S+)\s*$/.exec(text) ?? []
  if (to === '') throw notAPacket(text)
  const protocol = protocolOf(protocolText.toUpperCase())
  if (protocol === undefined)
    throw new CliError(
      'USAGE',
      `${protocolText} is no protocol of Services: give one of tcp, udp, sctp, or icmp for a ping`,
    )
  return { protocol, source: hostText(from), destination: hostText(to) }
}

/** Names of Services and addresses have at most some hundred characters. */
const MAX_LENGTH = 1000

/** A packet that can be for a Service. CliError USAGE for a ping. */
export function parseServicePacket(text: string): PacketText<Protocol> {
  const { protocol, ...hosts } = parsePacket(text)
  if (protocol !== 'ICMP') return { protocol, ...hosts }
  throw new CliError(
    'USAGE',
    'Services have no ICMP, so that no record of a Service changes what becomes of a ping: `pointsman trace` follows one',
  )
}

function protocolOf(text: string): PacketProtocol | undefined {
  if (text === 'ICMP' || text === 'ICMPV6' || text === 'PING') return 'ICMP'
  return PROTOCOLS.find((known) => known === text)
}

function notAPacket(text: string): CliError {
  const hint = /\s-\s*$/.test(text) ? '; in a shell it has to be in quotes' : ''
  return new CliError(
    'USAGE',
    `${JSON.stringify(text)} is no packet: give '${PACKET_FORM}', as 'tcp 10.244.1.5 -> shop/checkout:http'${hint}`,
  )
}

/** An IPv6 address with a port is in brackets. */
function hostText(text: string): HostText {
  const [, bracketed, ofBracketed] = /^\[([^\]]+)\](?::(.+))?$/.exec(text) ?? []
  if (bracketed !== undefined) return { host: bracketed, ...(ofBracketed !== undefined && { port: ofBracketed }) }
  if (parseAddress(text) !== undefined) return { host: text }
  const colon = text.lastIndexOf(':')
  if (colon < 0) return { host: text }
  return { host: text.slice(0, colon), port: text.slice(colon + 1) }
}

/** CliError USAGE for what is no port. */
export function portNumber(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0
  if (port >= 1 && port <= 65_535) return port
  throw new CliError('USAGE', `${JSON.stringify(text)} is no port: give a whole number from 1 to 65535`)
}

interface PacketQuestion<P extends PacketProtocol = PacketProtocol> {
  readonly packet: PacketText<P>
  readonly names: Names | undefined
  /** The node that the packet is on, as far as it is known. */
  readonly node: NodeInfo | undefined
  /** The addresses of its interfaces. */
  readonly nodeAddresses: readonly string[]
  /** The family that is asked for, where names have both. */
  readonly family: IpFamily | undefined
}

/** The packet in addresses. */
export type ResolvedPacket<P extends PacketProtocol = PacketProtocol> = AddressedPacket<P>

/** Looks names up. CliError NOT_FOUND for one that nobody has, USAGE for one that several have and for a port that is missing. */
export function resolvePacket<P extends PacketProtocol>(question: PacketQuestion<P>): ResolvedPacket<P> {
  const { packet } = question
  const family = familyOf(question)
  const destination = findDestination(packet.destination, { ...question, protocol: packet.protocol, family })
  const source = findSource(packet.source, { ...question, family, destination: destination.address })
  checkFamilies(question, { family, source: source.address, destination: destination.address })
  return {
    protocol: packet.protocol,
    family,
    source: source.address,
    ...(packet.source.port !== undefined && {
      sourcePort: packet.protocol === 'ICMP' ? portless(packet.source.port) : portNumber(packet.source.port),
    }),
    destination: destination.address,
    destinationPort: destination.port,
    from: source.from,
  }
}

/** That of an address in it, else the one that is asked for, else one that the Service has, the node's before the other. */
function familyOf({ packet, names, node, family }: PacketQuestion): IpFamily {
  if (meansBothFamilies({ packet, family })) return 'IPv4'
  const written = [packet.destination, packet.source].flatMap(({ host }) => parseAddress(host)?.family ?? [])[0]
  const asked = written ?? family
  if (asked !== undefined) return asked
  const ofService = familiesOfService(packet.destination, names)
  const ofNode = (node?.addresses ?? []).flatMap((address) => parseAddress(address)?.family ?? [])
  return ofNode.find((one) => ofService.size === 0 || ofService.has(one)) ?? [...ofService][0] ?? 'IPv4'
}

/** `localhost` is 127.0.0.1 and ::1: as a destination, two packets, where nothing else says which. */
export const meansBothFamilies = ({ packet, family }: Pick<PacketQuestion, 'packet' | 'family'>): boolean =>
  packet.destination.host === LOCALHOST && family === undefined && parseAddress(packet.source.host) === undefined

function familiesOfService({ host }: HostText, names: Names | undefined): ReadonlySet<IpFamily> {
  return new Set(portsNamed(host, names).map(({ family }) => family))
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

interface SourceQuestion {
  readonly names: Names | undefined
  readonly node: NodeInfo | undefined
  readonly nodeAddresses: readonly string[]
  readonly family: IpFamily
  /** Where the packet is sent to. */
  readonly destination: string
}

interface FoundSource {
  readonly address: string
  readonly from: 'node' | 'pod' | 'outside'
}

/** Who sends a packet: an address, a pod, a Node, `node` for the node itself, `outside` for a host that no CIDR mentions. */
function findSource({ host }: HostText, question: SourceQuestion): FoundSource {
  const { names, family, node } = question
  if (host === 'outside') return { address: OUTSIDE[family], from: 'outside' }
  if (host === LOCALHOST) return { address: LOOPBACK[family], from: 'node' }
  if (host === 'node' || (host === node?.name && parseAddress(host) === undefined)) {
    return { address: nodeSource(question), from: 'node' }
  }
  const literal = parseAddress(host)?.text
  if (literal !== undefined) return { address: literal, from: senderAt(literal, question) }
  if (names === undefined) throw noSuchHost(host, names)
  const address = podAddress(host, names, family) ?? nodeAddress(host, names, family)
  if (address !== undefined) return { address, from: senderAt(address, question) }
  throw serviceSends(host, names) ?? noSuchHost(host, names)
}

// Of the benchmarking and the documentation networks, which nobody's pods or clients are in.
export const OUTSIDE = { IPv4: '198.18.0.1', IPv6: '2001:db8:ffff::1' } as const

/** The address that the node sends from: the destination itself where that is its own. */
function nodeSource({ nodeAddresses, family, destination }: SourceQuestion): string {
  if (isLoopback(destination)) return LOOPBACK[family]
  if (nodeAddresses.includes(destination)) return destination
  const address = nodeAddresses.find((text) => parseAddress(text)?.family === family && !isLoopback(text))
  if (address !== undefined) return address
  throw new CliError('USAGE', `no ${family} address of the node is known to send from: give --node-address`)
}

const LOCALHOST = 'localhost'
const LOOPBACK = { IPv4: '127.0.0.1', IPv6: '::1' } as const

function senderAt(address: string, { names, node, nodeAddresses }: SourceQuestion): FoundSource['from'] {
  if (nodeAddresses.includes(address) || isLoopback(address)) return 'node'
  const parsed = parseAddress(address)
  const isPodOfNode = (node?.podCIDRs ?? []).some((text) => {
    const cidr = parseCidr(text)
    return cidr !== undefined && parsed !== undefined && cidrContains(cidr, parsed)
  })
  if (isPodOfNode || node === undefined) return isPodOfNode ? 'pod' : 'outside'
  return isEndpointOn(address, node.name, names) ? 'pod' : 'outside'
}

function serviceSends(host: string, names: Names): CliError | undefined {
  const [servicePort] = portsNamed(host, names)
  if (servicePort === undefined) return undefined
  const pod = names.endpoints.get(servicePort.id)?.find((endpoint) => endpoint.pod !== undefined)?.pod
  const instead =
    pod === undefined ? 'the address of one of its pods' : `one of its pods, as ${servicePort.namespace}/${pod}`
  return new CliError('USAGE', `${host} is a Service, and Services send no packets: give ${instead}`)
}

interface DestinationQuestion {
  readonly names: Names | undefined
  readonly protocol: PacketProtocol
  readonly family: IpFamily
  readonly nodeAddresses: readonly string[]
}

/**
 * Where a packet is sent to: an address, `node` for the node itself, a Service (its cluster IP), a pod or a Node. Of a
 * Service, the port may be named, or left out where it has one.
 */
function findDestination(
  { host, port }: HostText,
  question: DestinationQuestion,
): { readonly address: string; readonly port: number } {
  const literal = parseAddress(host)?.text ?? wordAddress(host, question)
  const { names, family, protocol } = question
  if (protocol === 'ICMP') return { address: literal ?? pinged(host, question), port: portless(port) }
  if (literal !== undefined) return { address: literal, port: portOf(host, port) }
  if (names === undefined) throw noSuchHost(host, names)
  const servicePort = findServicePort({ host, ...(port !== undefined && { port }) }, { ...question, names })
  if (servicePort !== undefined) return { address: servicePort.clusterIP, port: servicePort.port }
  const address = podAddress(host, names, family) ?? nodeAddress(host, names, family)
  if (address === undefined) throw noSuchHost(host, names)
  return { address, port: portOf(host, port) }
}

/** The one cluster IP of a Service, else a pod or a Node. */
function pinged(host: string, { names, family }: DestinationQuestion): string {
  if (names === undefined) throw noSuchHost(host, names)
  const ofName = portsNamed(host, names)
  const address = onlyOne(
    host,
    new Map(ofName.filter((one) => one.family === family).map(({ service, clusterIP }) => [service, clusterIP])),
  )
  const found = address ?? podAddress(host, names, family) ?? nodeAddress(host, names, family)
  if (found === undefined) throw noSuchHost(host, names)
  return found
}

function portless(port: string | undefined): 0 {
  if (port === undefined) return 0
  throw new CliError('USAGE', `icmp is no protocol of Services, and a ping has no port: leave :${port} out`)
}

/** The address that a word stands for; undefined for a name. */
function wordAddress(host: string, question: DestinationQuestion): string | undefined {
  if (host === LOCALHOST) return LOOPBACK[question.family]
  return host === 'node' ? ownAddress(question) : undefined
}

function portOf(host: string, port: string | undefined): number {
  if (port !== undefined) return portNumber(port)
  throw new CliError('USAGE', `which port of ${host}? give ${host.includes(':') ? `[${host}]` : host}:PORT`)
}

function ownAddress({ nodeAddresses, family }: DestinationQuestion): string {
  const address = nodeAddresses.find((text) => parseAddress(text)?.family === family)
  if (address !== undefined) return address
  throw new CliError('USAGE', `no ${family} address of the node is known: give --node-address`)
}

/** Undefined: there is no such Service. */
function findServicePort(
  { host, port }: HostText,
  { names, protocol, family }: DestinationQuestion & { readonly names: Names },
): ServicePort | undefined {
  const ofName = portsNamed(host, names)
  if (ofName.length === 0) return undefined
  onlyOne(host, new Map(ofName.map(({ service }) => [service, service])))
  const ofFamily = ofName.filter((one) => one.family === family)
  if (ofFamily.length === 0) throw new CliError('NOT_FOUND', `${host} has no ${family} address`)
  const ofPort = ofFamily.filter(
    ({ portName, port: number }) => port === undefined || portName === port || String(number) === port,
  )
  const [found, ...more] = ofPort.filter((one) => one.protocol === protocol)
  if (found !== undefined && more.length === 0) return found
  if (found !== undefined) throw new CliError('USAGE', `which port of ${host}? it has ${portsText([found, ...more])}`)
  const wanted = port === undefined ? `${protocol} port` : `${protocol} port ${port}`
  throw new CliError('NOT_FOUND', `${host} has no ${wanted}: it has ${portsText(ofFamily)}`)
}

const portsText = (ports: readonly ServicePort[]): string =>
  ports.map((one) => `${displayName(one)} (${one.port}/${one.protocol})`).join(', ')

/** More are counted. */
const MOST_PLACES = 4

/** `10.244.1.14:8080, 10.244.3.16:8080 and 3 more`. */
export const placesText = (endpoints: readonly Pick<Endpoint, 'address' | 'port'>[]): string =>
  shortList(endpoints.slice(0, MOST_PLACES).map(endpointKey), MOST_PLACES, endpoints.length)

/** That of `--family`; undefined where it is not given. CliError USAGE for `dual`. */
export function packetFamilyAsked(options: RulesetCommandOptions): IpFamily | undefined {
  if (options.family === undefined) return undefined
  if (options.family === 'dual') throw new CliError('USAGE', 'a packet is of one family: give --family ipv4 or ipv6')
  return familiesOf(options, {})[0]
}
