import type { Family } from '../detect-variant.js'
import type { Variant } from '../iptables.js'
import type { AddrtypeMatch, Match, Rule, Target } from '../rules/rule.js'
import { hookOf, type Hook, type KernelChain, type KernelRule, type KernelTable } from './kernel-table.js'
import type { KernelReason } from './spell-failure.js'

/** Why the kernel refuses a table as a whole: packets would go round, or come to a rule that is not for their hook. */
type Invalid = 'loop' | 'hook'

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

/** Where the kernel takes a rule. */
export interface RuleDemands {
  /** The hooks from which packets may come to it, by whatever jumps. */
  readonly reachedFrom?: readonly Hook[] | undefined
  /** The same, but nft asks only where the rule stands in a built-in chain itself. */
  readonly directlyIn?: readonly Hook[] | undefined
}

/** Undefined: it may stand anywhere. */
export function demandsOf({ target, matches }: Rule): RuleDemands | undefined {
  const reachedFrom = target === undefined ? undefined : TARGET_HOOKS.get(nameOf(target))
  const lists = matches.flatMap((match) => matchHooks(match) ?? [])
  const directlyIn =
    lists.length === 0 ? undefined : ALL_HOOKS.filter((hook) => lists.every((hooks) => hooks.has(hook)))
  return reachedFrom === undefined && directlyIn === undefined ? undefined : { reachedFrom, directlyIn }
}

/** Why the kernel refuses a rule wherever in this table it stands. Undefined: it does not. */
export function refusedIn(table: string, { rule, variant, family, objects }: RefusalContext): KernelReason | undefined {
  const { target, matches, protocol } = rule
  for (const match of matches) {
    if (match.type === 'nfacct' && !objects.has(match.name)) return 'No such file or directory'
    if (match.type === 'addrtype' && family === 'IPv6' && IPV4_TYPES.some((type) => looksFor(match, type))) {
      return 'Invalid argument'
    }
    if (isForProtocol(match, variant) && (protocol?.name !== match.type || protocol.negated)) return 'Invalid argument'
  }
  if (target === undefined) return undefined
  const tables = TARGET_TABLES.get(nameOf(target))
  if (tables !== undefined && !tables.includes(table)) return 'Invalid argument'
  if (target.type === 'REJECT' && target.with === 'tcp-reset' && (protocol?.name !== 'tcp' || protocol.negated)) {
    return 'Invalid argument'
  }
  return undefined
}

interface RefusalContext {
  readonly rule: Rule
  readonly variant: Variant
  readonly family: Family
  readonly objects: ReadonlySet<string>
}

/** Types of addresses that IPv6 does not have. */
const IPV4_TYPES = ['BROADCAST', 'PROHIBIT', 'THROW', 'NAT', 'XRESOLVE']

const looksFor = ({ source, destination }: AddrtypeMatch, type: string): boolean =>
  source?.types.includes(type) === true || destination?.types.includes(type) === true

/** nft has its own way to look at the ports of TCP and UDP, which takes the contrary of a protocol too. */
const isForProtocol = (match: Match, variant: Variant): boolean =>
  match.type === 'sctp' ||
  ((match.type === 'tcp' || match.type === 'udp') &&
    (variant === 'legacy' ||
      (match.source === undefined && match.destination === undefined && match.flags === undefined)))

const ALL_HOOKS: readonly Hook[] = ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING']

const TARGET_HOOKS: ReadonlyMap<string, readonly Hook[]> = new Map<string, readonly Hook[]>([
  ['DNAT', ['PREROUTING', 'OUTPUT']],
  ['REDIRECT', ['PREROUTING', 'OUTPUT']],
  ['SNAT', ['POSTROUTING', 'INPUT']],
  ['MASQUERADE', ['POSTROUTING']],
  ['REJECT', ['INPUT', 'FORWARD', 'OUTPUT']],
])

const TARGET_TABLES: ReadonlyMap<string, readonly string[]> = new Map([
  ['DNAT', ['nat']],
  ['REDIRECT', ['nat']],
  ['SNAT', ['nat']],
  ['MASQUERADE', ['nat']],
  ['REJECT', ['filter']],
])

const without = (...hooks: readonly Hook[]): ReadonlySet<Hook> =>
  new Set(ALL_HOOKS.filter((hook) => !hooks.includes(hook)))

function matchHooks(match: Match): ReadonlySet<Hook> | undefined {
  if (match.type === 'addrtype' && match.limit !== undefined) {
    return match.limit === 'in' ? without('POSTROUTING', 'OUTPUT') : without('PREROUTING', 'INPUT')
  }
  if (match.type !== 'physdev') return undefined
  const looksOut = match.out !== undefined || match.isOut !== undefined
  return looksOut && match.isBridged?.negated !== false ? without('OUTPUT') : undefined
}

const nameOf = (target: Target): string => {
  if (target.type === 'jump') return target.chain
  return target.type === 'other' ? target.name : target.type
}

/** The rule with what iptables fills in where it says nothing, so that two spellings of one rule are one text. */
export function canonicalRule(rule: Rule, family: Family): Rule {
  return {
    ...rule,
    matches: rule.matches.map((match) => canonicalMatch(match, family)),
    ...(rule.target === undefined ? {} : { target: canonicalTarget(rule.target, family) }),
  }
}

const WHOLE_ADDRESS = { IPv4: '255.255.255.255', IPv6: 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff' } as const

function canonicalMatch(match: Match, family: Family): Match {
  if (match.type !== 'recent') return match
  const { name = 'DEFAULT', mask = WHOLE_ADDRESS[family], side = 'source' } = match
  return { ...match, name, mask, side }
}

function canonicalTarget(target: Target, family: Family): Target {
  if (target.type === 'REJECT') return { type: 'REJECT', with: target.with ?? REJECT_KINDS[family][0] }
  if (target.type !== 'other' || target.name !== 'REJECT') return target
  const [option, kind = ''] = target.words
  const full = option === '--reject-with' ? SHORT_KINDS[family].get(kind) : undefined
  return full === undefined || target.words.length > 2 ? target : { type: 'REJECT', with: full }
}

/** Kinds of refusal of each family; the first is what it is when none is named. */
export const REJECT_KINDS: { readonly [family in Family]: readonly [string, ...string[]] } = {
  IPv4: [
    'icmp-port-unreachable',
    'icmp-net-unreachable',
    'icmp-host-unreachable',
    'icmp-proto-unreachable',
    'icmp-net-prohibited',
    'icmp-host-prohibited',
    'icmp-admin-prohibited',
    'tcp-reset',
  ],
  IPv6: [
    'icmp6-port-unreachable',
    'icmp6-no-route',
    'icmp6-adm-prohibited',
    'icmp6-addr-unreachable',
    'icmp6-policy-fail',
    'icmp6-reject-route',
    'tcp-reset',
  ],
}

const SHORT_KINDS: { readonly [family in Family]: ReadonlyMap<string, string> } = {
  IPv4: new Map([
    ['port-unreach', 'icmp-port-unreachable'],
    ['net-unreach', 'icmp-net-unreachable'],
    ['host-unreach', 'icmp-host-unreachable'],
    ['proto-unreach', 'icmp-proto-unreachable'],
    ['net-prohib', 'icmp-net-prohibited'],
    ['host-prohib', 'icmp-host-prohibited'],
    ['admin-prohib', 'icmp-admin-prohibited'],
  ]),
  IPv6: new Map([
    ['port-unreach', 'icmp6-port-unreachable'],
    ['addr-unreach', 'icmp6-addr-unreachable'],
    ['policy-fail', 'icmp6-policy-fail'],
    ['reject-route', 'icmp6-reject-route'],
  ]),
}
