import { type Endpoint, endpointKey } from '@pointsman/core'

/** More are counted. */
const MOST_PLACES = 4

/** `10.244.1.14:8080, 10.244.3.16:8080 and 3 more`. */
export function placesText(endpoints: readonly Pick<Endpoint, 'address' | 'port'>[]): string {
  const shown = endpoints.slice(0, MOST_PLACES).map(endpointKey)
  const more = endpoints.length - shown.length
  return `${shown.join(', ')}${more > 0 ? ` and ${more} more` : ''}`
}
