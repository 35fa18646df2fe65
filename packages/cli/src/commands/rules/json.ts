import type { Endpoint, FrontPath, RuleItem, ServicePort, State } from '@pointsman/core'
import type { EndpointShareJson, FrontJson, RuleJson } from './schema.js'

/** The items of a RuleList as `docs/json.md` has it. */
export function* ruleItems(
  rules: Iterable<RuleItem>,
  { services }: Pick<State, 'services'>,
): Generator<RuleJson, void, undefined> {
  for (const owned of rules) yield ruleItem(owned, owned.owner && services.get(owned.owner))
}

/** A rule, and the service port that it is for. */
export const ruleItem = ({ table, chain, line }: RuleItem, port: ServicePort | undefined): RuleJson => ({
  table,
  chain,
  rule: line,
  service: port?.service,
  portName: port?.portName || undefined,
  protocol: port?.protocol,
})

/** A Front of a RuleList as `docs/json.md` has it. */
export function frontItem(
  { service, portName, protocol }: ServicePort,
  { front, chain, endpoints, refused, sourceRanges, fromHere }: FrontPath,
): FrontJson {
  return {
    type: front.type,
    service,
    portName: portName || undefined,
    protocol,
    address: front.address,
    port: front.port,
    chain,
    endpoints: spread(endpoints),
    refused,
    sourceRanges,
    endpointsFromNode: fromHere && spread(fromHere.endpoints),
  }
}

const spread = (endpoints: readonly Endpoint[]): readonly EndpointShareJson[] =>
  endpoints.map(({ address, port }) => ({ address, port, odds: 1 / endpoints.length }))
