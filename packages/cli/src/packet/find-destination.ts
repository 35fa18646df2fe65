import { displayName, parseAddress, type IpFamily, type Protocol, type ServicePort } from '@pointsman/core'
import { CliError } from '../errors.js'
import { nodeAddress, noSuchHost, onlyOne, podAddress, type Names } from './names.js'
import { portNumber, type HostText } from './parse-packet.js'

export interface DestinationQuestion {
  readonly names: Names | undefined
  readonly protocol: Protocol
  readonly family: IpFamily
  readonly nodeAddresses: readonly string[]
}

/**
 * Where a packet is sent to: an address, `node` for the node itself, a Service (its cluster IP), a pod or a Node. Of a
 * Service, the port may be named, or left out where it has one.
 */
export function findDestination(
  { host, port }: HostText,
  question: DestinationQuestion,
): { readonly address: string; readonly port: number } {
  const literal = parseAddress(host)?.text ?? (host === 'node' ? ownAddress(question) : undefined)
  if (literal !== undefined) return { address: literal, port: portOf(host, port) }
  const { names, family } = question
  if (names === undefined) throw noSuchHost(host, names)
  const servicePort = findServicePort({ host, ...(port !== undefined && { port }) }, { ...question, names })
  if (servicePort !== undefined) return { address: servicePort.clusterIP, port: servicePort.port }
  const address = podAddress(host, names, family) ?? nodeAddress(host, names, family)
  if (address === undefined) throw noSuchHost(host, names)
  return { address, port: portOf(host, port) }
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
  const ofName = [...names.services.values()].filter(({ service, name }) => service === host || name === host)
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
