/** One address and port that a service port's packets may be sent to. */
export interface Endpoint {
  /** In canonical spelling. */
  readonly address: string
  readonly port: number
  /** Nil ready means ready. */
  readonly ready: boolean
  /** Nil serving means serving. */
  readonly serving: boolean
  readonly terminating: boolean
  readonly nodeName?: string
  readonly zone?: string
  /** Zones, and nodes, that the hints give this endpoint to; absent where it carries none. */
  readonly zoneHints?: readonly string[]
  readonly nodeHints?: readonly string[]
  /** Name of the Pod behind it. */
  readonly pod?: string
}

/** `10.244.1.14:8080`, `[fd00::1]:8080`: unique in a service port, and the order in which endpoints are listed. */
export const endpointKey = (endpoint: Pick<Endpoint, 'address' | 'port'>): string =>
  endpoint.address.includes(':') ? `[${endpoint.address}]:${endpoint.port}` : `${endpoint.address}:${endpoint.port}`

/** `10.244.1.14:8080, checkout-v1-0 on node-a`. */
export function endpointText(endpoint: Endpoint): string {
  const place = [endpoint.pod, endpoint.nodeName].filter((part) => part !== undefined).join(' on ')
  return place === '' ? endpointKey(endpoint) : `${endpointKey(endpoint)}, ${place}`
}
