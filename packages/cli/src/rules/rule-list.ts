import type { RuleItem, ServicePort, State } from '@pointsman/core'

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
