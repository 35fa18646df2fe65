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

type Target = Pick<Endpoint, 'address' | 'port'>

/**
 * Orders endpoints as their `endpointKey`s compare as strings, which is the order in which kube-proxy lists them, without
 * making the keys: `10.0.0.10:80` comes before `10.0.0.1:80`, and port 8080 before port 90. 0 for the same endpoint.
 */
export function compareEndpoints(a: Target, b: Target): number {
  if (a.address !== b.address) return compareAddresses(a.address, b.address)
  if (a.port === b.port) return 0
  return String(a.port) < String(b.port) ? -1 : 1
}

/** The list sorted; itself when it is sorted already. Stable: of equal endpoints the first stays first. */
export const sortedEndpoints = (endpoints: readonly Endpoint[]): readonly Endpoint[] =>
  endpoints.every((endpoint, index) => index === 0 || compareEndpoints(endpoints[index - 1] ?? endpoint, endpoint) <= 0)
    ? endpoints
    : endpoints.toSorted(compareEndpoints)

/** One of each endpoint from a sorted list: the first that is not terminating, else the first. */
export function withoutDuplicates(sorted: readonly Endpoint[]): readonly Endpoint[] {
  let previous: Endpoint | undefined
  let copy: Endpoint[] | undefined
  for (const [index, endpoint] of sorted.entries()) {
    if (previous !== undefined && compareEndpoints(previous, endpoint) === 0) {
      copy ??= sorted.slice(0, index)
      if (previous.terminating && !endpoint.terminating) {
        copy[copy.length - 1] = endpoint
        previous = endpoint
      }
    } else {
      copy?.push(endpoint)
      previous = endpoint
    }
  }
  return copy ?? sorted
}

const CLOSING_BRACKET = 93
const COLON = 58

function compareAddresses(a: string, b: string): number {
  const bracketed = a.includes(':')
  // The key of an IPv6 endpoint starts with a bracket, which is above every digit.
  if (bracketed !== b.includes(':')) return bracketed ? 1 : -1
  const end = bracketed ? CLOSING_BRACKET : COLON
  if (b.startsWith(a)) return end - b.charCodeAt(a.length)
  if (a.startsWith(b)) return a.charCodeAt(b.length) - end
  return a < b ? -1 : 1
}

/** `ready`, `not ready`, `terminating, still serving`, `terminating`: an endpoint's conditions in words. */
export function endpointCondition({
  ready,
  serving,
  terminating,
}: Endpoint): 'ready' | 'not ready' | 'terminating' | 'terminating, still serving' {
  if (terminating) return serving ? 'terminating, still serving' : 'terminating'
  return ready ? 'ready' : 'not ready'
}
