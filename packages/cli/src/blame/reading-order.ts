import type { OwnedRule } from '@pointsman/backend-iptables'

/**
 * Rules by service port, those of no service first, and each one's in the order in which a packet meets their chains: what
 * captures it, what guards and spreads it, its endpoints, and then filter.
 */
export function inReadingOrder<Rule extends OwnedRule>(rules: readonly Rule[]): readonly Rule[] {
  const owners = new Map<string | undefined, number>()
  for (const { owner } of rules.toSorted((a, b) => compare(a.owner ?? '', b.owner ?? ''))) {
    if (!owners.has(owner)) owners.set(owner, owners.size)
  }
  // Sorting is stable: within a chain the order stays.
  return rules.toSorted(
    (a, b) =>
      (owners.get(a.owner) ?? 0) - (owners.get(b.owner) ?? 0) || rankOf(a) - rankOf(b) || compare(keyOf(a), keyOf(b)),
  )
}

const KINDS = ['KUBE-SERVICES', 'KUBE-NODEPORTS', 'KUBE-FW-', 'KUBE-EXT-', 'KUBE-SVC-', 'KUBE-SVL-', 'KUBE-SEP-']

function rankOf({ table, chain, owner }: OwnedRule): number {
  if (owner === undefined) return 0
  return table === 'nat' ? KINDS.findIndex((kind) => chain.startsWith(kind)) : KINDS.length
}

// The chains of a service's own are told from each other by hashes, which have no order for people.
const keyOf = ({ chain, owner }: OwnedRule): string =>
  owner === undefined || chain.startsWith('KUBE-SEP-') ? '' : chain

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
