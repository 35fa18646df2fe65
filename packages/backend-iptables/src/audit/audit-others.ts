import type { Match, Rule, SavedTable, Target } from 'node-iptables'
import { chainOf, isOurChain } from '../adapter/ownership.js'
import { CHAINS } from '../ruleset/layout.js'
import { foundRule } from './compared-rules.js'
import type { TableFinding } from './finding.js'

/**
 * Rules of others that use the bit of the packet mark by which the proxy's rules ask for masquerading, with another meaning:
 * they set it, so that packets get the node's address that should keep theirs; they clear it between the proxy's setting and
 * its asking; or they drop, reject or redirect what bears it, or does not. Others may well let such packets pass, return, or
 * masquerade them: CNIs do. A rule that has to do with all bits, our own being no part of its value, asks for a mark that
 * none of ours bears, or gives one before ours is given.
 */
export function auditMarkBit(tables: readonly SavedTable[], mark: number): readonly TableFinding[] {
  return tables.flatMap(({ table, chains }) => {
    // Ours lead to none of others, or that is a finding of its own.
    const others = chains.filter(({ chain }) => !isOurChain(chain))
    const rulesOf = new Map(others.map(({ chain, rules }) => [chain, rules.map(({ rule }) => rule)]))
    const late = chainsBehind(AFTER_OURS[table] ?? [], rulesOf)
    return [...rulesOf].flatMap(([chain, rules]) => {
      return rules
        .filter((rule) => usesBit(rule, { mark, isLate: late.has(chain) }))
        .map((rule): TableFinding => ({ type: 'MARK_BIT', table, chain, found: [foundRule({ table, chain }, rule)] }))
    })
  })
}

/** Where packets come by between our chains in PREROUTING and OUTPUT of nat, and KUBE-POSTROUTING. */
const AFTER_OURS: Readonly<Record<string, readonly string[]>> = {
  mangle: ['FORWARD', 'POSTROUTING'],
  filter: ['FORWARD', 'OUTPUT'],
  security: ['FORWARD', 'OUTPUT'],
  nat: ['POSTROUTING'],
}

function chainsBehind(from: readonly string[], rulesOf: ReadonlyMap<string, readonly Rule[]>): ReadonlySet<string> {
  const behind = new Set(from)
  // A set that grows while it is gone through yields what is added.
  for (const chain of behind) {
    for (const rule of rulesOf.get(chain) ?? []) {
      const next = chainOf(rule)
      if (next !== undefined && rulesOf.has(next)) behind.add(next)
    }
  }
  return behind
}

interface Use {
  readonly mark: number
  readonly isLate: boolean
}

const has = (bits: number, mark: number): boolean => (bits & mark) !== 0

function usesBit({ matches, target }: Rule, { mark, isLate }: Use): boolean {
  if (target?.type === 'MARK') {
    return has(target.value, mark) || (isLate && has(target.mask, mark))
  }
  return judges(target) && matches.some((match) => asksFor(match, mark))
}

/** Asking for all bits, ours not among those that are set, is no question about ours. */
const asksFor = (match: Match, mark: number): boolean =>
  match.type === 'mark' && has(match.mask, mark) && (has(match.value, mark) || match.mask !== ALL_BITS)

const ALL_BITS = 0xffff_ffff

/** Whether a target decides about a packet otherwise than by letting it pass or masquerading it. */
function judges(target: Target | undefined): boolean {
  if (target === undefined) return false
  if (target.type === 'REJECT' || target.type === 'DNAT') return true
  if (target.type !== 'jump' && target.type !== 'goto') return false
  return !HARMLESS.has(target.chain) && !isOurChain(target.chain)
}

const HARMLESS: ReadonlySet<string> = new Set(['ACCEPT', 'RETURN'])

/**
 * What the variant of iptables that the node does not use has of the proxy's: one finding for all, with the rules. What
 * kubelet makes may be in both: its own chains and, before 1.28, KUBE-MARK-MASQ and KUBE-POSTROUTING; an empty canary is nothing.
 */
export function auditOtherVariant(tables: readonly SavedTable[]): readonly TableFinding[] {
  const chains = tables.flatMap(({ table, chains: all }) =>
    all.filter(({ chain }) => isOurChain(chain)).map(({ chain, rules }) => ({ table, chain, rules })),
  )
  if (chains.every(({ chain }) => NOT_OF_PROXIES_ALONE.has(chain))) return []
  const found = chains.flatMap(({ rules, ...place }) => rules.map(({ rule }) => foundRule(place, rule)))
  return [{ type: 'OTHER_VARIANT', table: '', chain: '', ...(found.length > 0 && { found }) }]
}

const NOT_OF_PROXIES_ALONE: ReadonlySet<string> = new Set([CHAINS.canary, CHAINS.markMasq, CHAINS.postrouting])
