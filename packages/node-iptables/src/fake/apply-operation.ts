import type { Family } from '../detect-variant.js'
import type { Variant } from '../iptables.js'
import { formatRule, IptablesFormatError } from '../rules/format-rule.js'
import type { RestoreLine } from '../rules/restore-line.js'
import { assertNever, type Counters, type Rule } from '../rules/rule.js'
import { isTargetName, usageError } from './check-usage.js'
import { BUILT_IN_CHAINS, hookOf, hooksOf, KernelTable, type KernelChain, type KernelRule } from './kernel-table.js'
import { canonicalRule, demandsOf, refusedIn } from './rule-checks.js'
import { state, usage, type KernelReason, type KernelStep, type Program, type Refusal } from './spell-failure.js'

/** What one line or command changes in a table. */
export type Operation =
  | { readonly type: 'flush-table' }
  | { readonly type: 'append'; readonly chain: string; readonly rule: ReadRule }
  | { readonly type: 'insert'; readonly chain: string; readonly position: number; readonly rule: ReadRule }
  | { readonly type: 'delete' | 'check'; readonly chain: string; readonly rule: ReadRule }
  | Exclude<RestoreLine, { readonly type: 'blank' | 'comment' | 'table' | 'commit' | 'append' | 'insert' | 'delete' }>

/** A rule that iptables has read without a complaint. */
interface ReadRule {
  readonly kernelRule: KernelRule
  readonly isGoto: boolean
  /** Why the kernel would refuse it wherever in the table it stands. */
  readonly refused: KernelReason | undefined
}

interface ReadContext {
  readonly variant: Variant
  readonly family: Family
  readonly table: string
  /** The nfacct objects that there are. */
  readonly objects: ReadonlySet<string>
}

/** Reads a rule as iptables does before it looks at the table. */
export function readRule(
  { chain, rule: given, counters }: { readonly chain: string; readonly rule: Rule; readonly counters?: Counters },
  { variant, family, table, objects }: ReadContext,
): ReadRule | Refusal {
  const rule = canonicalRule(given, family)
  const error = usageError(rule, { variant, family, table, chain })
  if (error !== undefined) return usage(error)
  const text = textOf(rule)
  if (text === undefined) return usage('a rule that no save can print')
  const { target } = rule
  return {
    kernelRule: {
      text,
      to: target !== undefined && leadsToChain(target) ? target.chain : undefined,
      demands: demandsOf(rule),
      endsChain: isUnconditional(rule) && target?.type === 'jump' && VERDICTS.has(target.chain),
      // ip6tables-nft-restore of 1.8.9 reads the counters of rules, and forgets them.
      counters: variant === 'nft' && family === 'IPv6' ? undefined : counters,
      alive: false,
    },
    isGoto: target?.type === 'goto',
    refused: refusedIn(table, { rule, variant, family, objects }),
  }
}

/** Undefined: there is a word in it, such as a comment with a carriage return, that the formatter refuses. */
function textOf(rule: Rule): string | undefined {
  try {
    return formatRule(rule)
  } catch (error) {
    if (error instanceof IptablesFormatError) return undefined
    throw error
  }
}

const VERDICTS: ReadonlySet<string> = new Set(['ACCEPT', 'DROP', 'RETURN', 'QUEUE'])

/** Names that no chain may have. */
export const isVerdict = (name: string): boolean => VERDICTS.has(name)

const leadsToChain = (
  target: NonNullable<Rule['target']>,
): target is Extract<Rule['target'], { type: 'jump' | 'goto' }> =>
  target.type === 'goto' || (target.type === 'jump' && !VERDICTS.has(target.chain) && !isTargetName(target.chain))

const isUnconditional = ({ matches, target: _target, ...general }: Rule): boolean =>
  matches.length === 0 && Object.values(general).every((condition) => condition === undefined)

export interface ApplyOptions {
  readonly variant: Variant
  /** A chain's line empties the chain where it is there already; otherwise legacy refuses it. */
  readonly noflush: boolean
  /** The table was there before the restore, and was not emptied by it: else nft finds nothing for a `-F` of all chains. */
  readonly wasThere: boolean
}

/** Makes the change in the table, as far as the kernel would without the whole in view. Undefined: it is made. */
export function applyOperation(
  table: KernelTable,
  operation: Operation,
  { variant, noflush, wasThere }: ApplyOptions,
): Refusal | undefined {
  const isNft = variant === 'nft'
  const isBuiltIn = (name: string): boolean => hookOf(table.name, name) !== undefined
  /** nft makes a built-in chain when it is first needed. */
  const find = (name: string): KernelChain | undefined =>
    table.chains.get(name) ?? (isNft && isBuiltIn(name) ? table.addChain(name) : undefined)
  const add = (
    chainName: string,
    step: 'append' | 'insert',
    rule: ReadRule,
    position?: number,
  ): Refusal | undefined => {
    const missing = missingTarget(table, rule, variant)
    if (missing !== undefined) return missing
    const chain = find(chainName)
    if (chain === undefined) return NO_CHAIN
    const at = position === undefined ? chain.rules.length : position - 1
    if (at > chain.rules.length) return state('Index of insertion too big.')
    if (!isNft && rule.kernelRule.to !== undefined && isBuiltIn(rule.kernelRule.to)) return state('Invalid argument.')
    const refused = isNft ? (rule.refused ?? refusedAt(table, { chain, rule })) : undefined
    table.insert(chain, at, rule.kernelRule)
    return refused === undefined
      ? undefined
      : kernel(step === 'append' ? 'RULE_APPEND' : 'RULE_INSERT', refused, `rule in chain ${chainName}`)
  }

  switch (operation.type) {
    case 'flush-table':
      flushTable(table, variant)
      return undefined
    case 'chain':
      return restoreChain(table, operation, { find, isNft, noflush })
    case 'new-chain':
      if (table.chains.has(operation.chain) || isBuiltIn(operation.chain)) return state('Chain already exists.')
      table.addChain(operation.chain)
      return undefined
    case 'append':
      return add(operation.chain, 'append', operation.rule)
    case 'insert':
      return add(operation.chain, 'insert', operation.rule, operation.position)
    case 'delete':
    case 'check': {
      const missing = missingTarget(table, operation.rule, variant)
      if (missing !== undefined) return missing
      const chain = table.chains.get(operation.chain)
      const at = chain?.rules.findIndex(({ text }) => text === operation.rule.kernelRule.text) ?? -1
      if (chain === undefined || at < 0) return state('Bad rule (does a matching rule exist in that chain?).')
      if (operation.type === 'delete') table.remove(chain, at)
      return undefined
    }
    case 'delete-at': {
      const chain = table.chains.get(operation.chain)
      if (chain === undefined) return NO_CHAIN
      if (operation.position > chain.rules.length) return state('Index of deletion too big.')
      table.remove(chain, operation.position - 1)
      return undefined
    }
    case 'flush': {
      const chain = operation.chain === undefined ? undefined : find(operation.chain)
      if (operation.chain !== undefined && chain === undefined) return NO_CHAIN
      if (isNft && chain === undefined && !wasThere) return undefined
      for (const each of chain === undefined ? [...table.chains.values()] : [chain]) table.flush(each)
      return undefined
    }
    case 'delete-chain':
      return isNft ? deleteOnNft(table, operation.chain) : deleteOnLegacy(table, operation.chain)
    case 'policy': {
      if (!isBuiltIn(operation.chain)) return state('Bad built-in chain name.')
      if (!POLICIES.has(operation.policy)) return state('Bad policy name.')
      const chain = find(operation.chain)
      if (chain !== undefined) table.setPolicy(chain, operation.policy, undefined)
      return undefined
    }
    default:
      return assertNever(operation)
  }
}

const NO_CHAIN = state('No chain/target/match by that name.')
const POLICIES: ReadonlySet<string> = new Set(['ACCEPT', 'DROP'])

const kernel = (step: KernelStep, reason: KernelReason, object: string): Refusal => ({
  type: 'kernel',
  step,
  reason,
  object,
})

function flushTable(table: KernelTable, variant: Variant): void {
  if (variant === 'nft') {
    table.removeAll()
    return
  }
  for (const chain of table.chains.values()) table.flush(chain)
  for (const chain of table.chains.values()) if (chain.policy === undefined) table.removeChain(chain)
}

interface RestoreChainContext {
  readonly find: (name: string) => KernelChain | undefined
  readonly isNft: boolean
  readonly noflush: boolean
}

function restoreChain(
  table: KernelTable,
  { chain: name, policy, counters }: Extract<Operation, { type: 'chain' }>,
  { find, isNft, noflush }: RestoreChainContext,
): Refusal | undefined {
  const chain = find(name)
  const isUserChain = hookOf(table.name, name) === undefined
  if (isUserChain && chain === undefined) table.addChain(name)
  else if (isUserChain && chain !== undefined) {
    if (!isNft && !noflush) return usage(`error creating chain '${name}':File exists\n`)
    table.flush(chain)
  }
  if (policy === undefined) {
    if (isNft && chain?.policy !== undefined) table.setPolicy(chain, chain.policy, counters)
    return undefined
  }
  if (isUserChain) return isNft ? undefined : state('Bad built-in chain name.')
  if (!POLICIES.has(policy)) return state('Bad policy name.')
  if (chain !== undefined) table.setPolicy(chain, policy, counters)
  return undefined
}

/** nft takes the chains as they are when the line's turn comes at COMMIT, legacy when it reads the line. */
function missingTarget(
  table: KernelTable,
  { kernelRule: { to }, isGoto }: ReadRule,
  variant: Variant,
): Refusal | undefined {
  if (to === undefined || table.chains.has(to) || hookOf(table.name, to) !== undefined) return undefined
  if (variant === 'nft') return usage(`Chain '${to}' does not exist`)
  return usage(isGoto ? `goto '${to}' is not a chain\n` : `Couldn't load target \`${to}':No such file or directory\n`)
}

function refusedAt(
  table: KernelTable,
  { chain, rule }: { readonly chain: KernelChain; readonly rule: ReadRule },
): KernelReason | undefined {
  const { to, demands } = rule.kernelRule
  if (to !== undefined && hookOf(table.name, to) !== undefined) {
    return table.chains.has(to) ? 'Operation not supported' : 'No such file or directory'
  }
  const hook = hookOf(table.name, chain.name)
  if (hook === undefined || demands === undefined) return undefined
  const isTaken = (hooks: readonly string[] | undefined): boolean => hooks === undefined || hooks.includes(hook)
  return isTaken(demands.reachedFrom) && isTaken(demands.directlyIn) ? undefined : 'Invalid argument'
}

const isBusy = ({ rules, referrers }: KernelChain): boolean => rules.length > 0 || referrers.size > 0

function deleteOnNft(table: KernelTable, name: string | undefined): Refusal | undefined {
  if (name === undefined) {
    const removed = [...table.chains.values()].filter(
      ({ policy, rules }) => policy === undefined || (policy === 'ACCEPT' && rules.length === 0),
    )
    const busy = removed.filter((chain) => isBusy(chain)).toSorted(byName)[0]
    for (const chain of removed) table.removeChain(chain)
    return busy === undefined ? undefined : kernel('CHAIN_DEL', 'Device or resource busy', `chain ${busy.name}`)
  }
  const chain = table.chains.get(name)
  if (chain === undefined) return NO_CHAIN
  if (chain.policy !== undefined && chain.policy !== 'ACCEPT') return state('Directory not empty.')
  const refusal = isBusy(chain) ? kernel('CHAIN_DEL', 'Device or resource busy', `chain ${name}`) : undefined
  table.removeChain(chain)
  return refusal
}

function deleteOnLegacy(table: KernelTable, name: string | undefined): Refusal | undefined {
  const user = [...table.chains.values()].filter(({ policy }) => policy === undefined)
  const chains = name === undefined ? user.toSorted(byName) : [table.chains.get(name)]
  for (const chain of chains) {
    if (chain === undefined) return NO_CHAIN
    if (chain.policy !== undefined) return state('Invalid argument.')
    if (chain.referrers.size > 0) return state('Too many links.')
    if (chain.rules.length > 0) return state('Directory not empty.')
    table.removeChain(chain)
  }
  return undefined
}

const byName = (one: KernelChain, other: KernelChain): number =>
  Buffer.compare(Buffer.from(one.name), Buffer.from(other.name))

/** All built-in chains, as legacy has them from the first look at a table. */
function makeBuiltInChains(table: KernelTable): void {
  for (const hook of hooksOf(table.name)) if (!table.chains.has(hook)) table.addChain(hook)
}

/** All tables of one family in one kernel, as one variant sees them. */
export interface KernelTables {
  readonly program: Program
  /** The nfacct objects that there are. */
  readonly objects: ReadonlySet<string>
  /** Undefined: the kernel has no such table. legacy makes a table by looking at it. */
  readonly open: (name: string) => KernelTable | undefined
  /** Those that are there, in the order of a save. */
  readonly existing: () => readonly KernelTable[]
}

export function kernelTables(program: Program, objects: ReadonlySet<string>): KernelTables {
  const tables = new Map<string, KernelTable>([...BUILT_IN_CHAINS.keys()].map((name) => [name, new KernelTable(name)]))
  /** legacy lists the newest first. */
  const made: KernelTable[] = []

  return {
    program,
    objects,
    open: (name) => {
      const table = tables.get(name)
      if (table !== undefined && program.variant === 'legacy' && !table.exists) {
        makeBuiltInChains(table)
        table.keep()
        made.unshift(table)
      }
      return table
    },
    existing: () => (program.variant === 'legacy' ? made : [...tables.values()].filter(({ exists }) => exists)),
  }
}
