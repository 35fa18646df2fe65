import type { Endpoint, FrontPath, ServicePort } from '@pointsman/core'

/** A Front of a RuleList as `docs/json.md` has it. */
export function frontItem(
  { service, portName, protocol }: ServicePort,
  { front, chain, endpoints, refused, sourceRanges, fromHere }: FrontPath,
): object {
  return {
    type: front.type,
    service,
    ...(portName !== '' && { portName }),
    protocol,
    ...(front.address !== undefined && { address: front.address }),
    port: front.port,
    ...(chain !== undefined && { chain }),
    endpoints: spread(endpoints),
    ...(refused && { refused }),
    ...(sourceRanges && { sourceRanges }),
    ...(fromHere && { endpointsFromNode: spread(fromHere.endpoints) }),
  }
}

const spread = (endpoints: readonly Endpoint[]): readonly object[] =>
  endpoints.map(({ address, port }) => ({ address, port, odds: 1 / endpoints.length }))
