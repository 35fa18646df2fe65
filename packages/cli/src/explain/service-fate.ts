import type { PacketFate, ProxyConfig, ServiceName, State } from '@pointsman/core'
import type { FrontWays } from './service-ways.js'
import { serviceWays } from './service-ways.js'

/** What becomes of everything that is sent to a Service, as one. */
export interface ServiceFate extends PacketFate {
  /** Equal where the answer is: who reaches what from where, and all that the Service says of it. */
  readonly signature: string
}

export function serviceFate(service: ServiceName, state: State, config: ProxyConfig): ServiceFate {
  const ports = [...state.services.values()].filter((port) => port.service === service)
  const fronts = ports.flatMap((port) => serviceWays(port, state, config))
  const ways = fronts.flatMap((front) => front.decisive)
  const failing = ways.find(({ verdict }) => verdict !== 'endpoints')
  const [first] = ways
  const decisive = failing ?? first
  const endpoints = new Map(
    ways.flatMap((way) => way.endpoints.map((endpoint) => [`${endpoint.address} ${endpoint.port}`, endpoint] as const)),
  )
  const servicePort = decisive?.servicePort ?? ports[0]?.id
  return {
    verdict: decisive?.verdict ?? 'no-service',
    reason: decisive?.reason ?? `there is no ${service}`,
    ...(servicePort !== undefined && { servicePort }),
    endpoints: [...endpoints.values()],
    signature: JSON.stringify([ports, fronts.map(signatureOf)]),
  }
}

const signatureOf = ({ front, ways }: FrontWays): unknown => [
  front,
  ways.map(({ verdict, endpoints }) => [
    verdict,
    endpoints.map(({ address, port, odds, masqueraded }) => [address, port, odds, masqueraded]),
  ]),
]
