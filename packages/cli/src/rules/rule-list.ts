import type { OwnedRule } from '@pointsman/backend-iptables'
import type { ServicePort, State } from '@pointsman/core'
import { formatRule } from 'node-iptables'

/** The items of a RuleList as `docs/json.md` has it. */
export function* ruleItems(
  rules: Iterable<OwnedRule>,
  { services }: Pick<State, 'services'>,
): Generator<object, void, undefined> {
  for (const owned of rules) yield ruleItem(owned, owned.owner && services.get(owned.owner))
}

/** A rule, and the service port that it is for. */
export const ruleItem = ({ table, chain, rule }: OwnedRule, port: ServicePort | undefined): object => ({
  table,
  chain,
  rule: `-A ${chain} ${formatRule(rule)}`.trimEnd(),
  ...(port && {
    service: port.service,
    ...(port.portName !== '' && { portName: port.portName }),
    protocol: port.protocol,
  }),
})
