import type { Variant } from '../capabilities.js'
import type { Family } from '../executables.js'
import type { AddrtypeMatch, Match, Rule, Target } from '../rules/rule.js'
import type { Hook } from './built-in-chains.js'
import type { KernelReason } from './refusal.js'

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

export interface RefusalContext {
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
