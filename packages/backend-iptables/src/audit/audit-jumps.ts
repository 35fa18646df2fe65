import type { Rule, SavedChain } from 'node-iptables'
import { chainOf, isOurChain, isOurJump } from '../adapter/ownership.js'
import { CHAINS } from '../ruleset/chain-names.js'
import type { JumpRule } from '../ruleset/ruleset.js'
import { compareOrdered } from './audit-ordered-chain.js'
import { type ExpectedRule, findingOf, type FoundRule } from './compared-rule.js'
import type { TableFinding } from './finding.js'
import { meaningOf } from './rule-meaning.js'

export interface JumpsOfTable {
  readonly table: string
  readonly jumps: readonly JumpRule[]
  readonly chains: ReadonlyMap<string, SavedChain>
}

/**
 * In the kernel's chains, the rules that lead to the proxy's: all of them, in order, whatever stands between them, and none
 * that only other proxies put there. Those to KUBE-FIREWALL stand where kubelet or the proxy put them, whichever came first.
 */
export function auditJumps({ table, jumps, chains }: JumpsOfTable): readonly TableFinding[] {
  const builtIn = [...new Set(jumps.map(({ chain }) => chain))]
  return builtIn.flatMap((chain) => {
    const wanted = jumps.filter((jump) => jump.chain === chain).map(({ rule }) => rule)
    const found = chains.get(chain)?.rules.map(({ rule }) => rule) ?? []
    const [ours, kubelets] = [isOurChain, (name: string): boolean => name === CHAINS.firewall].map((leadsTo) =>
      compareJumps(
        { table, chain },
        [wanted, found].map((rules) => rules.filter(leadingTo(leadsTo))),
      ),
    )
    return [...(ours ?? []), ...(kubelets ?? [])]
  })
}

const leadingTo =
  (isMeant: (chain: string) => boolean) =>
  (rule: Rule): boolean => {
    const chain = chainOf(rule)
    return chain !== undefined && isMeant(chain)
  }

function compareJumps(
  place: Pick<TableFinding, 'table' | 'chain'>,
  [expected = [], present = []]: readonly (readonly Rule[])[],
): readonly TableFinding[] {
  const wanted = expected.map((rule): ExpectedRule => ({
    rule,
    meaning: meaningOf(rule),
    owner: undefined,
    isLast: false,
  }))
  const found = present.map((rule): FoundRule => ({ rule, meaning: meaningOf(rule) }))
  const { missing, moved, duplicated, changed, extra } = compareOrdered(wanted, found)
  return [
    ...missing.map((one) => findingOf('MISSING_JUMP', place, { expected: one })),
    ...changed.map(([one, other]) => findingOf('CHANGED_RULE', place, { expected: one, found: other })),
    ...moved.map(([one, other]) => findingOf('OUT_OF_ORDER', place, { expected: one, found: other })),
    ...duplicated.map(([one, other]) => findingOf('DUPLICATE_RULE', place, { expected: one, found: other })),
    // A rule of somebody else may lead where it likes.
    ...extra.filter(({ rule }) => isOurJump(rule)).map((other) => findingOf('EXTRA_JUMP', place, { found: other })),
  ]
}
