import type { Variant } from '../capabilities.js'
import { hookOf } from './built-in-chains.js'
import type { Hook } from './built-in-chains.js'
import type { KernelChain, KernelRule, KernelTable } from './kernel-table.js'

/** Why the kernel refuses a table as a whole: packets would go round, or come to a rule that is not for their hook. */
export type Invalid = 'loop' | 'hook'

/**
 * Looks where packets go through the rules that were added. nft looks at all rules; legacy at none behind one that ends
 * its chain whatever the packet, so that there the whole table is looked at. Undefined: nothing is wrong.
 */
export function invalidIn(
  table: KernelTable,
  { added, variant }: { readonly added: readonly AddedRule[]; readonly variant: Variant },
): Invalid | undefined {
  const walk = walker(table, variant)
  if (variant === 'legacy') {
    for (const chain of table.chains.values()) {
      const hook = hookOf(table.name, chain.name)
      const invalid = hook === undefined ? undefined : walk(chain, hook)
      if (invalid !== undefined) return invalid
    }
    return undefined
  }
  const hooksTo = hookFinder(table)
  for (const { chain, rule } of added) {
    if (!rule.alive || (rule.to === undefined && rule.demands === undefined)) continue
    for (const hook of hooksTo(chain)) {
      const invalid = walk(chain, hook)
      if (invalid !== undefined) return invalid
    }
  }
  return undefined
}

export interface AddedRule {
  readonly chain: KernelChain
  readonly rule: KernelRule
}

/** Each chain is looked at once for each hook. */
function walker(table: KernelTable, variant: Variant): (chain: KernelChain, hook: Hook) => Invalid | undefined {
  const done = new Map<Hook, Set<KernelChain>>()
  const open = new Set<KernelChain>()
  const walk = (chain: KernelChain, hook: Hook): Invalid | undefined => {
    if (open.has(chain)) return 'loop'
    const seen = done.get(hook) ?? new Set()
    done.set(hook, seen)
    if (seen.has(chain)) return undefined
    open.add(chain)
    for (const rule of chain.rules) {
      if (!isTaken(rule, { hook, variant })) return 'hook'
      const next = rule.to === undefined ? undefined : table.chains.get(rule.to)
      const invalid = next === undefined ? undefined : walk(next, hook)
      if (invalid !== undefined) return invalid
      if (variant === 'legacy' && rule.endsChain) break
    }
    open.delete(chain)
    seen.add(chain)
    return undefined
  }
  return walk
}

function isTaken(
  { demands }: KernelRule,
  { hook, variant }: { readonly hook: Hook; readonly variant: Variant },
): boolean {
  if (demands?.reachedFrom?.includes(hook) === false) return false
  return variant === 'nft' || demands?.directlyIn?.includes(hook) !== false
}

/** The hooks from which packets come to a chain, against the direction of the jumps. */
function hookFinder(table: KernelTable): (chain: KernelChain) => readonly Hook[] {
  const known = new Map<KernelChain, readonly Hook[]>()
  return (chain) => {
    const before = known.get(chain)
    if (before !== undefined) return before
    const seen = new Set([chain])
    const hooks: Hook[] = []
    for (const each of seen) {
      const hook = hookOf(table.name, each.name)
      if (hook !== undefined) hooks.push(hook)
      for (const name of each.referrers.keys()) {
        const referrer = table.chains.get(name)
        if (referrer !== undefined) seen.add(referrer)
      }
    }
    known.set(chain, hooks)
    return hooks
  }
}
