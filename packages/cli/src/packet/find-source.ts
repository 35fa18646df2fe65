import { cidrContains, parseAddress, parseCidr, type IpFamily, type NodeInfo } from '@pointsman/core'
import { CliError } from '../errors.js'
import { nodeAddress, noSuchHost, podAddress, type Names } from './names.js'
import type { HostText } from './parse-packet.js'

export interface SourceQuestion {
  readonly names: Names | undefined
  readonly node: NodeInfo | undefined
  readonly nodeAddresses: readonly string[]
  readonly family: IpFamily
  /** Where the packet is sent to. */
  readonly destination: string
}

export interface FoundSource {
  readonly address: string
  readonly from: 'node' | 'pod' | 'outside'
}

/** Who sends a packet: an address, a pod, a Node, `node` for the node itself, `outside` for a host that no CIDR mentions. */
export function findSource({ host }: HostText, question: SourceQuestion): FoundSource {
  const { names, family, node } = question
  if (host === 'outside') return { address: OUTSIDE[family], from: 'outside' }
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

const LOOPBACK = { IPv4: '127.0.0.1', IPv6: '::1' } as const
const isLoopback = (address: string): boolean => address === '::1' || address.startsWith('127.')

function senderAt(address: string, { names, node, nodeAddresses }: SourceQuestion): FoundSource['from'] {
  if (nodeAddresses.includes(address) || isLoopback(address)) return 'node'
  const parsed = parseAddress(address)
  const isPodOfNode = (node?.podCIDRs ?? []).some((text) => {
    const cidr = parseCidr(text)
    return cidr !== undefined && parsed !== undefined && cidrContains(cidr, parsed)
  })
  if (isPodOfNode || node === undefined) return isPodOfNode ? 'pod' : 'outside'
  for (const list of names?.endpoints.values() ?? []) {
    if (list.some((endpoint) => endpoint.address === address && endpoint.nodeName === node.name)) return 'pod'
  }
  return 'outside'
}

function serviceSends(host: string, { services, endpoints }: Names): CliError | undefined {
  const servicePort = [...services.values()].find(({ service, name }) => service === host || name === host)
  if (servicePort === undefined) return undefined
  const pod = endpoints.get(servicePort.id)?.find((endpoint) => endpoint.pod !== undefined)?.pod
  const instead =
    pod === undefined ? 'the address of one of its pods' : `one of its pods, as ${servicePort.namespace}/${pod}`
  return new CliError('USAGE', `${host} is a Service, and Services send no packets: give ${instead}`)
}
