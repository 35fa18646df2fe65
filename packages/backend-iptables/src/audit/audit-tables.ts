import type { ServicePortName } from '@pointsman/core'
import { formatRule, type Rule, type SavedTable } from 'node-iptables'
import { chainOf, isOurChain } from '../adapter/ownership.js'
import { CHAINS, isServiceChain } from '../ruleset/chain-names.js'
import { TABLES, type BaseChain, type Ruleset, type Table } from '../ruleset/ruleset.js'
import { compareOrdered } from './audit-ordered-chain.js'
import type { AuditFinding, FindingType } from './finding.js'
import { isForCounting, meaningOf } from './rule-meaning.js'

export interface AuditOptions {
  /**
   * The cluster is so large that kube-proxy deletes chains late: one that nothing leads to is no finding. Default: as the
   * ruleset tells, by rules without comments.
   */
  readonly keepsStaleChains?: boolean | undefined
}

/**
 * Holds the tables of a node, as iptables-save printed them, against the rules that it should have; of one family. What is
 * not the proxy's is no finding, unless it stands in a chain that is. Of two service ports that claim one front either may
 * win, and rules that large clusters write without comments may have them or not.
 */
export function auditTables(
  expected: Ruleset,
  tables: readonly SavedTable[],
  { keepsStaleChains = false }: AuditOptions = {},
): readonly AuditFinding[] {
  const found = new Map(tables.map((table) => [table.table, table]))
  return TABLES.flatMap((table) => {
    const saved = found.get(table)
    if (saved === undefined) {
      return table === 'mangle' ? [] : [{ type: 'MISSING_TABLE' as const, table, chain: '' }]
    }
    return auditTable({ table, expected, saved, keepsStaleChains })
  })
}

interface ExpectedRule {
  readonly rule: Rule
  readonly meaning: string
  readonly owner: ServicePortName | undefined
  /** Of a shared chain: one that has to come after all others. */
  readonly isLast: boolean
}

interface FoundRule {
  readonly rule: Rule
  readonly meaning: string
}

interface TableAudit {
  readonly table: Table
  readonly expected: Ruleset
  readonly saved: SavedTable
  readonly keepsStaleChains: boolean
}

function auditTable({ table, expected, saved, keepsStaleChains }: TableAudit): readonly AuditFinding[] {
  const chains = new Map(saved.chains.map(({ chain, rules }) => [chain, rules.map(({ rule }) => rule)]))
  const base = new Map(
    expected.base.chains.filter((chain) => chain.table === table).map((chain) => [chain.chain, chain]),
  )
  const wanted = expectedChains(table, expected)
  const led = new Set([...chains.values()].flat().flatMap((rule) => chainOf(rule) ?? []))
  return [
    ...[...wanted].flatMap(([chain, rules]) =>
      auditChain({ table, chain, role: base.get(chain)?.role, wanted: rules, found: chains.get(chain) }),
    ),
    ...[...chains].flatMap(([chain, rules]): readonly AuditFinding[] => {
      if (wanted.has(chain) || !isServiceChain(chain)) return []
      // Emptied, and kept because a rule of somebody else leads there; or about to be deleted.
      if (rules.length === 0 || (keepsStaleChains && !led.has(chain))) return []
      return [{ type: 'LEFT_OVER_CHAIN', table, chain }]
    }),
    ...auditJumps({ table, expected, chains }),
  ]
}

function expectedChains(table: Table, { base, services }: Ruleset): ReadonlyMap<string, readonly ExpectedRule[]> {
  const chains = new Map<string, ExpectedRule[]>()
  const put = (chain: string, rules: readonly Rule[], { owner, isLast = false }: PutOptions = {}): void => {
    const list = chains.get(chain) ?? []
    for (const rule of rules) {
      if (!isForCounting(rule)) list.push({ rule, meaning: meaningIn(chain, rule), owner, isLast })
    }
    chains.set(chain, list)
  }
  const ofTable = base.chains.filter((chain) => chain.table === table)
  for (const { chain, first } of ofTable) put(chain, first)
  for (const { owner, chains: own, entries } of services) {
    for (const { table: of, chain, rules } of [...own, ...entries]) if (of === table) put(chain, rules, { owner })
  }
  for (const { chain, last } of ofTable) put(chain, last, { isLast: true })
  return chains
}

interface PutOptions {
  readonly owner?: ServicePortName | undefined
  readonly isLast?: boolean | undefined
}

/** Large clusters leave comments out of rules in KUBE-SEP- chains, and of those that lead to them. */
const meaningIn = (chain: string, rule: Rule): string =>
  meaningOf(rule, {
    comments: !chain.startsWith('KUBE-SEP-') && chainOf(rule)?.startsWith('KUBE-SEP-') !== true,
  })

interface ChainAudit {
  readonly table: Table
  readonly chain: string
  readonly role: BaseChain['role'] | undefined
  readonly wanted: readonly ExpectedRule[]
  readonly found: readonly Rule[] | undefined
}

function auditChain(audit: ChainAudit): readonly AuditFinding[] {
  const { table, chain, role, wanted, found } = audit
  // Canaries are there to be missed by their proxy alone; what is in kubelet's chain beside ours is kubelet's.
  if (role === 'canary' || (role === 'kubelet' && wanted.length === 0)) return []
  if (found === undefined) return [{ type: 'MISSING_CHAIN', table, chain, owner: onlyOwner(wanted) }]
  const rules = found
    .filter((rule) => !isForCounting(rule))
    .map((rule): FoundRule => ({ rule, meaning: meaningIn(chain, rule) }))
  if (role === 'dispatch') return auditShared(audit, rules)
  const ofInterest =
    role === 'kubelet' ? rules.filter(({ meaning }) => wanted.some((one) => one.meaning === meaning)) : rules
  const { missing, extra, moved, duplicated, changed } = compareOrdered(wanted, ofInterest)
  return [
    ...missing.map((one) => findingOf('MISSING_RULE', audit, { expected: one })),
    ...changed.map(([one, other]) => findingOf('CHANGED_RULE', audit, { expected: one, found: other })),
    ...moved.map(([one, other]) => findingOf('OUT_OF_ORDER', audit, { expected: one, found: other })),
    ...duplicated.map(([one, other]) => findingOf('DUPLICATE_RULE', audit, { expected: one, found: other })),
    ...extra.map((other) => findingOf(extraType(other.rule), audit, { found: other })),
  ]
}

/** A chain that service ports share: their rules may come in any order, and those that must be last are the end. */
function auditShared(audit: ChainAudit, found: readonly FoundRule[]): readonly AuditFinding[] {
  const { wanted } = audit
  const left = new Map<string, ExpectedRule[]>()
  for (const one of wanted) left.set(one.meaning, [...(left.get(one.meaning) ?? []), one])
  const known = new Map(wanted.map((one) => [one.meaning, one]))
  const extra: FoundRule[] = []
  const findings: AuditFinding[] = []
  const places = new Map<ExpectedRule, number>()
  for (const [at, one] of found.entries()) {
    const match = left.get(one.meaning)?.shift()
    const original = known.get(one.meaning)
    if (match !== undefined) places.set(match, at)
    else if (original !== undefined)
      findings.push(findingOf('DUPLICATE_RULE', audit, { expected: original, found: one }))
    else extra.push(one)
  }
  const missing = [...left.values()].flat()
  for (const one of extra) {
    const at = missing.findIndex((expected) => isOtherFormOf(one.rule, expected.rule))
    const [match] = at < 0 ? [] : missing.splice(at, 1)
    if (match === undefined) findings.push(findingOf(extraType(one.rule), audit, { found: one }))
    else findings.push(findingOf('CHANGED_RULE', audit, { expected: match, found: one }))
  }
  findings.push(...missing.map((one) => findingOf('MISSING_RULE', audit, { expected: one })))

  const firstLast = Math.min(...wanted.filter(({ isLast }) => isLast).map((one) => places.get(one) ?? found.length))
  for (const one of wanted) {
    const at = places.get(one) ?? -1
    if (!one.isLast && at > firstLast) findings.push(findingOf('OUT_OF_ORDER', audit, { expected: one }))
  }
  const lasts = wanted.filter((one) => one.isLast && places.has(one))
  for (const [index, one] of lasts.entries()) {
    const before = lasts[index - 1]
    if (before !== undefined && (places.get(one) ?? 0) < (places.get(before) ?? 0)) {
      findings.push(findingOf('OUT_OF_ORDER', audit, { expected: one }))
    }
  }
  return findings
}

/** Whether the one is the other in which something was altered: the same comment, or the same packets, or the same end. */
function isOtherFormOf(rule: Rule, other: Rule): boolean {
  const comment = commentOf(rule)
  if (comment !== undefined && comment === commentOf(other)) return true
  const packets = ({ matches, target: _, ...rest }: Rule): string =>
    formatRule({ ...rest, matches: matches.filter(({ type }) => type !== 'comment' && type !== 'nfacct') })
  if (packets(rule) === packets(other)) return true
  const chain = chainOf(rule)
  return (
    chain !== undefined &&
    isServiceChain(chain) &&
    chain === chainOf(other) &&
    rule.protocol?.name === other.protocol?.name
  )
}

interface JumpAudit {
  readonly table: Table
  readonly expected: Ruleset
  readonly chains: ReadonlyMap<string, readonly Rule[]>
}

/** In the kernel's chains, the rules that lead to the proxy's: all of them, in order, whatever stands between them. */
function auditJumps({ table, expected, chains }: JumpAudit): readonly AuditFinding[] {
  const jumps = expected.base.jumps.filter((jump) => jump.table === table)
  const builtIn = [...new Set(jumps.map(({ chain }) => chain))]
  return builtIn.flatMap((chain) => {
    const wanted = jumps
      .filter((jump) => jump.chain === chain)
      .map(({ rule }): ExpectedRule => ({ rule, meaning: meaningOf(rule), owner: undefined, isLast: false }))
    const found = (chains.get(chain) ?? [])
      .filter((rule) => leadsToOurs(rule))
      .map((rule): FoundRule => ({ rule, meaning: meaningOf(rule) }))
    const audit: ChainAudit = { table, chain, role: undefined, wanted, found: undefined }
    const { missing, moved, duplicated, changed } = compareOrdered(wanted, found)
    return [
      ...missing.map((one) => findingOf('MISSING_JUMP', audit, { expected: one })),
      ...changed.map(([one, other]) => findingOf('CHANGED_RULE', audit, { expected: one, found: other })),
      ...moved.map(([one, other]) => findingOf('OUT_OF_ORDER', audit, { expected: one, found: other })),
      ...duplicated.map(([one, other]) => findingOf('DUPLICATE_RULE', audit, { expected: one, found: other })),
    ]
  })
}

function leadsToOurs(rule: Rule): boolean {
  const chain = chainOf(rule)
  return chain !== undefined && (isOurChain(chain) || chain === CHAINS.firewall)
}

function findingOf(
  type: FindingType,
  { table, chain }: Pick<ChainAudit, 'table' | 'chain'>,
  { expected, found }: { readonly expected?: ExpectedRule; readonly found?: FoundRule },
): AuditFinding {
  return {
    type,
    table,
    chain,
    ...(expected?.owner !== undefined && { owner: expected.owner }),
    ...(expected !== undefined && { expected: spelt(chain, expected.rule) }),
    ...(found !== undefined && { found: spelt(chain, found.rule) }),
  }
}

const spelt = (chain: string, rule: Rule): string => `-A ${chain} ${formatRule(rule)}`.trimEnd()

/** Rules of a proxy lead to its chains, or say in their comment whose they are. */
function extraType(rule: Rule): 'LEFT_OVER_RULE' | 'FOREIGN_RULE' {
  const chain = chainOf(rule)
  const isProxys =
    (chain !== undefined && isOurChain(chain)) || /^[^ /]+\/[^ :]+(?::\S*)?(?: |$)/.test(commentOf(rule) ?? '')
  return isProxys ? 'LEFT_OVER_RULE' : 'FOREIGN_RULE'
}

const commentOf = ({ matches }: Rule): string | undefined => {
  const match = matches.find(({ type }) => type === 'comment')
  return match?.type === 'comment' ? match.comment : undefined
}

function onlyOwner(rules: readonly ExpectedRule[]): ServicePortName | undefined {
  const owners = new Set(rules.map(({ owner }) => owner))
  return owners.size === 1 ? rules[0]?.owner : undefined
}
