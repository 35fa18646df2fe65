import type { OwnedRule } from '@pointsman/backend-iptables'

/**
 * Rules by service port, those of no service first, and each one's in the order in which a packet meets their chains: what
 * captures it, what guards and spreads it, its endpoints as they are spread over, and then filter.
 */
export function inReadingOrder<Rule extends OwnedRule>(rules: readonly Rule[]): readonly Rule[] {
  const endpoints = endpointChains(rules)
  const places = rules.map((rule) => ({ rule, kind: rankOf(rule), endpoint: endpoints.get(rule.chain) ?? 0 }))
  // Sorting is stable: within a chain the order stays.
  return places
    .toSorted(
      (a, b) =>
        compare(a.rule.owner ?? '', b.rule.owner ?? '') ||
        a.kind - b.kind ||
        a.endpoint - b.endpoint ||
        (a.kind === NO_SERVICE ? 0 : compare(a.rule.chain, b.rule.chain)),
    )
    .map(({ rule }) => rule)
}

const KINDS = ['KUBE-SERVICES', 'KUBE-NODEPORTS', 'KUBE-FW-', 'KUBE-EXT-', 'KUBE-SVC-', 'KUBE-SVL-', 'KUBE-SEP-']
const NO_SERVICE = -1

function rankOf({ table, chain, owner }: OwnedRule): number {
  if (owner === undefined) return NO_SERVICE
  return table === 'nat' ? KINDS.findIndex((kind) => chain.startsWith(kind)) : KINDS.length
}

/** Their names are hashes, which have no order for people: that of the rules that lead to them is the addresses'. */
function endpointChains(rules: readonly OwnedRule[]): ReadonlyMap<string, number> {
  const order = new Map<string, number>()
  for (const { rule } of rules) {
    const chain = rule.target?.type === 'jump' ? rule.target.chain : ''
    if (chain.startsWith('KUBE-SEP-') && !order.has(chain)) order.set(chain, order.size)
  }
  return order
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
