import { type OwnedRule, ownedRules, type Ruleset } from '@pointsman/backend-iptables'
import type { ServicePort, State } from '@pointsman/core'
import { formatRule } from 'node-iptables'

/** The items of a RuleList as `docs/json.md` has it, in the order of a save. */
export function* ruleItems(
  ruleset: Ruleset,
  { services }: Pick<State, 'services'>,
): Generator<object, void, undefined> {
  for (const owned of ownedRules(ruleset)) yield ruleItem(owned, owned.owner && services.get(owned.owner))
}

const ruleItem = ({ table, chain, rule }: OwnedRule, port: ServicePort | undefined): object => ({
  table,
  chain,
  rule: `-A ${chain} ${formatRule(rule)}`.trimEnd(),
  ...(port && {
    service: port.service,
    ...(port.portName !== '' && { portName: port.portName }),
    protocol: port.protocol,
  }),
})
