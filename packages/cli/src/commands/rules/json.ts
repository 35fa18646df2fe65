import type { Endpoint, FrontPath, RuleItem, ServicePort, State } from '@pointsman/core'

/** The items of a RuleList as `docs/json.md` has it. */
export function* ruleItems(
  rules: Iterable<RuleItem>,
  { services }: Pick<State, 'services'>,
): Generator<object, void, undefined> {
  for (const owned of rules) yield ruleItem(owned, owned.owner && services.get(owned.owner))
}

/** A rule, and the service port that it is for. */
export const ruleItem = ({ table, chain, line }: RuleItem, port: ServicePort | undefined): object => ({
  table,
  chain,
  rule: line,
  ...(port && {
    service: port.service,
    ...(port.portName !== '' && { portName: port.portName }),
    protocol: port.protocol,
  }),
})

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
