import { formatRestoreLine, formatRule, type RestoreLine, type SavedTable } from 'node-iptables'
import { CHAINS } from '../ruleset/chain-names.js'
import { chainOf, isOurChain, isOurJump } from './ownership.js'

/** What a cleanup leaves, and why. */
export interface LeftChain {
  readonly table: string
  readonly chain: string
  /** Rules of others that lead to it, as iptables-save prints them. None: it is kubelet's too. */
  readonly becauseOf: readonly string[]
}

export interface CleanupPlan {
  /** The input of `iptables-restore --noflush`, without line ends; empty when there is nothing to remove. */
  readonly lines: readonly string[]
  readonly removedChains: readonly { readonly table: string; readonly chain: string }[]
  /** Rules of ours, jumps among them. */
  readonly removedRules: number
  readonly left: readonly LeftChain[]
}

/**
 * What removes all that is the proxy's from the tables: the jumps to its chains, what is in them, and the chains. A chain
 * that a rule of somebody else leads to is emptied and left; so is KUBE-FIREWALL, as it is, because kubelet makes it too.
 */
export function planCleanup(tables: readonly SavedTable[]): CleanupPlan {
  const plans = tables.map((table) => planTable(table))
  return {
    lines: plans.flatMap(({ lines }) => lines),
    removedChains: plans.flatMap(({ removedChains }) => removedChains),
    removedRules: plans.reduce((sum, { removedRules }) => sum + removedRules, 0),
    left: plans.flatMap(({ left }) => left),
  }
}

function planTable({ table, chains }: SavedTable): CleanupPlan {
  const ours = chains.filter(({ chain }) => isOurChain(chain))
  const others = chains
    .filter(({ chain }) => !isOurChain(chain))
    .flatMap(({ chain, rules }) => rules.map(({ rule }) => ({ chain, rule })))
  const jumps = others.filter(({ rule }) => isOurJump(rule))
  const references = new Map<string | undefined, (typeof others)[number][]>()
  for (const other of others) {
    if (isOurJump(other.rule)) continue
    const chain = chainOf(other.rule)
    references.set(chain, [...(references.get(chain) ?? []), other])
  }
  const [kept, removed] = [
    ours.filter(({ chain }) => references.has(chain)),
    ours.filter(({ chain }) => !references.has(chain)),
  ]
  const flushed = [...removed, ...kept.filter(({ rules }) => rules.length > 0)]
  const changes: readonly RestoreLine[] = [
    ...flushed.map(({ chain }): RestoreLine => ({ type: 'chain', chain, counters: { packets: '0', bytes: '0' } })),
    ...jumps.map(({ chain, rule }): RestoreLine => ({ type: 'delete', chain, rule })),
    ...removed.map(({ chain }): RestoreLine => ({ type: 'delete-chain', chain })),
  ]
  const lines: readonly RestoreLine[] =
    changes.length === 0 ? [] : [{ type: 'table', table }, ...changes, { type: 'commit' }]
  return {
    lines: lines.map((line) => formatRestoreLine(line)),
    removedChains: removed.map(({ chain }) => ({ table, chain })),
    removedRules: jumps.length + ours.reduce((sum, { rules }) => sum + rules.length, 0),
    left: [
      ...kept.map(({ chain }) => ({
        table,
        chain,
        becauseOf: (references.get(chain) ?? []).map(({ chain: from, rule }) =>
          `-A ${from} ${formatRule(rule)}`.trimEnd(),
        ),
      })),
      ...chains.filter(({ chain }) => chain === CHAINS.firewall).map(({ chain }) => ({ table, chain, becauseOf: [] })),
    ],
  }
}
