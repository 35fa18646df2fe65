import { formatRestoreLine, formatRule, type RestoreLine, type SavedChain, type SavedTable } from 'node-iptables'
import { CHAINS, deletionRank, isServiceChain, MARK_DROP } from '../ruleset/layout.js'
import { chainOf, hasMarkDrop, isDropMarked, isOurChain, isOurJump } from '../chain-owner.js'

/** What a cleanup leaves, and why. */
export interface LeftChain {
  readonly table: string
  readonly chain: string
  /** Rules of others that lead to it, as iptables-save prints them. None: it is kubelet's too. */
  readonly becauseOf: readonly string[]
}

export interface CleanupPlan {
  /** Inputs of `iptables-restore --noflush`, one after the other, without line ends; none when nothing is to be removed. */
  readonly restores: readonly (readonly string[])[]
  /** All of them together. */
  readonly lines: readonly string[]
  readonly removedChains: readonly { readonly table: string; readonly chain: string }[]
  /** Rules of ours, jumps among them. */
  readonly removedRules: number
  readonly left: readonly LeftChain[]
}

/**
 * What removes all that is the proxy's from the tables: the jumps to its chains, what is in them, and the chains. A chain
 * that a rule of another program leads to is emptied and left; so are KUBE-FIREWALL, but for what layout `classic` put there, because kubelet makes it too, and
 * what older kubelets have with it.
 */
export function planCleanup(
  tables: readonly SavedTable[],
  { maxLines = Number.MAX_SAFE_INTEGER }: { readonly maxLines?: number | undefined } = {},
): CleanupPlan {
  const rules = tables.flatMap(({ table, chains }) =>
    table === 'filter' ? chains.filter(({ chain }) => chain === CHAINS.firewall).flatMap((each) => each.rules) : [],
  )
  const keepsMarkDrop = hasMarkDrop(rules.map(({ rule }) => rule))
  const plans = tables.map((table) => planTable(table, { maxLines, keepsMarkDrop }))
  const commits = plans.flatMap((plan) => plan.commits)
  const lines = commits.flat()
  return {
    restores: lines.length === 0 ? [] : lines.length <= maxLines ? [lines] : commits,
    lines,
    removedChains: plans.flatMap(({ removedChains }) => removedChains),
    removedRules: plans.reduce((sum, { removedRules }) => sum + removedRules, 0),
    left: plans.flatMap(({ left }) => left),
  }
}

interface TableCleanup extends Omit<CleanupPlan, 'restores' | 'lines'> {
  readonly commits: readonly (readonly string[])[]
}

interface TableOptions {
  readonly maxLines: number
  readonly keepsMarkDrop: boolean
}

function planTable({ table, chains }: SavedTable, { maxLines, keepsMarkDrop }: TableOptions): TableCleanup {
  const isOurs = (chain: string): boolean =>
    isOurChain(chain) || (table === 'nat' && chain === MARK_DROP && !keepsMarkDrop)
  const ours = chains.filter(({ chain }) => isOurs(chain))
  const others = chains
    .filter(({ chain }) => !isOurs(chain))
    .flatMap(({ chain, rules }) => rules.map(({ rule }) => ({ chain, rule })))
  const isOursThere = (one: (typeof others)[number]): boolean =>
    isOurJump(one.rule) || (table === 'filter' && one.chain === CHAINS.firewall && isDropMarked(one.rule))
  const jumps = others.filter(isOursThere)
  const references = new Map<string | undefined, (typeof others)[number][]>()
  for (const other of others) {
    if (isOursThere(other)) continue
    const chain = chainOf(other.rule)
    references.set(chain, [...(references.get(chain) ?? []), other])
  }
  const [kept, removed] = [
    ours.filter(({ chain }) => references.has(chain)),
    ours.filter(({ chain }) => !references.has(chain)),
  ]
  const emptied = new Set([...removed, ...kept.filter(({ rules }) => rules.length > 0)])
  const gone = new Set(removed)
  // The jumps and what they lead to first, in one; then chains of services, as many at once as is good.
  const shared = ours.filter(({ chain }) => !isServiceChain(chain))
  const services = ours
    .filter(({ chain }) => isServiceChain(chain))
    .toSorted((a, b) => deletionRank(a.chain) - deletionRank(b.chain))
  const parts = (chains: readonly SavedChain[]): readonly [readonly RestoreLine[], readonly RestoreLine[]] => [
    chains.filter((one) => emptied.has(one)).map(({ chain }) => ({ type: 'chain', chain, counters: NONE })),
    chains.filter((one) => gone.has(one)).map(({ chain }) => ({ type: 'delete-chain', chain })),
  ]
  const [emptyShared, deleteShared] = parts(shared)
  const deleteJumps = jumps.map(({ chain, rule }): RestoreLine => ({ type: 'delete', chain, rule }))
  const isSmall = emptyShared.length + deleteJumps.length + 2 * services.length <= maxLines
  const [emptyServices, deleteServices] = parts(services)
  const commits = isSmall
    ? [[...emptyShared, ...emptyServices, ...deleteJumps, ...deleteServices, ...deleteShared]]
    : [
        [...emptyShared, ...deleteJumps],
        ...chunked(services, Math.max(1, Math.floor(maxLines / 2))).map((chunk) => parts(chunk).flat()),
        deleteShared,
      ]
  return {
    commits: commits
      .filter(({ length }) => length > 0)
      .map((changes) =>
        [{ type: 'table', table } as const, ...changes, { type: 'commit' } as const].map((line) =>
          formatRestoreLine(line),
        ),
      ),
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
      ...chains
        .filter(({ chain }) => chain === CHAINS.firewall || (chain === MARK_DROP && keepsMarkDrop))
        .map(({ chain }) => ({ table, chain, becauseOf: [] })),
    ],
  }
}

const NONE = { packets: '0', bytes: '0' }

const chunked = <T>(items: readonly T[], size: number): readonly (readonly T[])[] =>
  Array.from({ length: Math.ceil(items.length / size) }, (_, at) => items.slice(at * size, (at + 1) * size))
