import { isEqual, type ServicePortName } from '@pointsman/core'
import { formatRule, type Match, type Rule, type SavedChain, type SavedTable, type Target } from 'node-iptables'
import { chainOf, isOurChain, isOurJump } from '../chain-owner.js'
import { OwnedRule } from '../render/owned-rules.js'
import { CHAINS, isServiceChain } from '../ruleset/layout.js'
import { TABLES, type BaseChain, type JumpRule, type Ruleset, type Table } from '../ruleset/ruleset.js'
import {
  asksForMasquerading,
  auditSharedChain,
  claimOf,
  compareOrdered,
  duplicateFindings,
  extraType,
  findingOf,
  foundRule,
  isForCounting,
  meaningIn,
  meaningOf,
  type ExpectedRule,
  type FoundRule,
} from './compared-rules.js'
import type { TableFinding } from './finding.js'
import { isTextChain, sizeOf } from './text-tables.js'

export interface AuditOptions {
  /**
   * The cluster is so large that kube-proxy deletes chains late (`isLargeCluster`): one that nothing leads to is no finding.
   * Default: it is.
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
): readonly TableFinding[] {
  const found = new Map(tables.map((table) => [table.table, table]))
  return TABLES.flatMap((table) => {
    const saved = found.get(table)
    if (saved === undefined) {
      return table === 'mangle' ? [] : [{ type: 'MISSING_TABLE' as const, table, chain: '' }]
    }
    return auditTable({ table, expected, saved, keepsStaleChains })
  })
}

interface TableAudit {
  readonly table: Table
  readonly expected: Ruleset
  readonly saved: SavedTable
  readonly keepsStaleChains: boolean
}

function auditTable({ table, expected, saved, keepsStaleChains }: TableAudit): readonly TableFinding[] {
  const chains = new Map(saved.chains.map((chain) => [chain.chain, chain]))
  const base = new Map(
    expected.base.chains.filter((chain) => chain.table === table).map((chain) => [chain.chain, chain]),
  )
  const wanted = expectedChains(table, expected)
  const needed = [...wanted.keys()].filter((chain) => !MAY_BE_KUBELETS.has(base.get(chain)?.role))
  // Flushed, or of another proxy altogether: a finding a chain would say no more.
  if (needed.length > 0 && needed.every((chain) => !chains.has(chain))) return [{ type: 'NO_CHAINS', table, chain: '' }]

  // Emptied, and kept because a rule of another program leads there, is not left over; nor is one about to be deleted.
  const strays = [...chains].filter(
    ([chain, found]) => !wanted.has(chain) && isServiceChain(chain) && sizeOf(found) > 0,
  )
  const led = strays.length > 0 && keepsStaleChains ? ledTo(chains) : undefined
  return [
    ...[...wanted].flatMap(([chain, rules]) =>
      auditChain({ table, chain, role: base.get(chain)?.role, wanted: rules, found: chains.get(chain) }),
    ),
    ...strays
      .filter(([chain]) => led?.has(chain) !== false)
      .map(([chain, stray]): TableFinding => {
        const rules = rulesOf(stray)
        const claims = claimOf(rules)
        const found = rules.map((rule) => foundRule({ table, chain }, rule))
        return { type: 'LEFT_OVER_CHAIN', table, chain, ...(claims !== undefined && { claims }), found }
      }),
    ...auditJumps({ table, jumps: expected.base.jumps.filter((jump) => jump.table === table), chains }),
  ]
}

const ledTo = (chains: ReadonlyMap<string, SavedChain>): ReadonlySet<string> =>
  new Set([...chains.values()].flatMap((chain) => rulesOf(chain).flatMap((rule) => chainOf(rule) ?? [])))

const rulesOf = ({ rules }: SavedChain): readonly Rule[] => rules.map(({ rule }) => rule)

/** There whether or not there is a proxy, or not worth a word when they are lacking. */
const MAY_BE_KUBELETS: ReadonlySet<BaseChain['role'] | undefined> = new Set<BaseChain['role']>(['kubelet', 'canary'])

function expectedChains(table: Table, { base, services }: Ruleset): ReadonlyMap<string, readonly WantedRule[]> {
  const chains = new Map<string, WantedRule[]>()
  const put = (chain: string, rules: readonly Rule[], { owner, isLast = false }: PutOptions = {}): void => {
    const list = chains.get(chain) ?? []
    for (const rule of rules) {
      if (!isForCounting(rule)) list.push({ rule, owner, isLast })
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

/** Its meaning is only put into words where it is not found as it is. */
type WantedRule = Omit<ExpectedRule, 'meaning'>

interface ChainAudit {
  readonly table: Table
  readonly chain: string
  /** Undefined: the chain is one service port's. */
  readonly role: BaseChain['role'] | undefined
  readonly wanted: readonly WantedRule[]
  readonly found: SavedChain | undefined
}

function auditChain(audit: ChainAudit): readonly TableFinding[] {
  const { table, chain, role, wanted, found } = audit
  // Canaries are there to be missed by their proxy alone; what is in kubelet's chain beside ours is kubelet's.
  if (role === 'canary' || (role === 'kubelet' && wanted.length === 0)) return []
  const owner = role === undefined ? wanted[0]?.owner : undefined
  if (found === undefined) return [missingChain(audit, owner)]
  if (areSame(audit, found)) return []
  const expected = wanted.map((one): ExpectedRule => ({ ...one, meaning: meaningIn(chain, one.rule) }))
  const rules = rulesOf(found)
    .filter((rule) => !isForCounting(rule))
    .map((rule): FoundRule => ({ rule, meaning: meaningIn(chain, rule) }))
  if (role === 'dispatch') return auditSharedChain({ table, chain, wanted: expected, found: rules })
  const ofInterest =
    role === 'kubelet' ? rules.filter(({ meaning }) => expected.some((one) => one.meaning === meaning)) : rules
  const { missing, extra, moved, duplicated, changed } = compareOrdered(expected, ofInterest)
  return [
    ...missing.map((one) => findingOf('MISSING_RULE', audit, { expected: one })),
    ...changed.map(([one, other]) => findingOf('CHANGED_RULE', audit, { expected: one, found: other })),
    ...moved.map(([one, other]) => findingOf('OUT_OF_ORDER', audit, { expected: one, found: other })),
    ...duplicateFindings(audit, duplicated),
    ...extra.map((other) => findingOf(extraType(other.rule), audit, { found: other, owner })),
  ]
}

/** Whether the rules are the wanted ones, in their order; in a shared chain in any, but for those that must be last. */
function areSame({ chain, role, wanted }: ChainAudit, found: SavedChain): boolean {
  if (wanted.length !== sizeOf(found)) return false
  if (!isTextChain(found)) return wanted.every(({ rule }, at) => isEqual(rule, found.rules[at]?.rule))
  const { lines } = found
  const textOf = ({ rule }: WantedRule): string => `-A ${chain} ${formatRule(rule)}`
  if (role !== 'dispatch') return wanted.every((one, at) => textOf(one) === lines[at])
  const texts = wanted.map(textOf)
  if (wanted.some(({ rule }) => asksForMasquerading(rule))) return isEqual(texts, lines)
  const end = texts.length - wanted.filter(({ isLast }) => isLast).length
  return (
    texts.slice(end).every((text, at) => text === lines[end + at]) &&
    isEqual(texts.slice(0, end).toSorted(), lines.slice(0, end).toSorted())
  )
}

const missingChain = ({ table, chain, wanted }: ChainAudit, owner: ServicePortName | undefined): TableFinding => ({
  type: 'MISSING_CHAIN',
  table,
  chain,
  ...(owner !== undefined && { owner }),
  ...(wanted.length > 0 && {
    expected: wanted.map((one) => new OwnedRule({ table, chain, rule: one.rule, owner: one.owner })),
  }),
})

interface JumpsOfTable {
  readonly table: string
  readonly jumps: readonly JumpRule[]
  readonly chains: ReadonlyMap<string, SavedChain>
}

/**
 * In the kernel's chains, the rules that lead to the proxy's: all of them, in order, whatever stands between them, and none
 * that only other proxies put there. Those to KUBE-FIREWALL stand where kubelet or the proxy put them, whichever came first.
 */
function auditJumps({ table, jumps, chains }: JumpsOfTable): readonly TableFinding[] {
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
    ...duplicateFindings(place, duplicated),
    // A rule of another program may lead anywhere.
    ...extra.filter(({ rule }) => isOurJump(rule)).map((other) => findingOf('EXTRA_JUMP', place, { found: other })),
  ]
}

/**
 * Rules of others that use the bit of the packet mark by which the proxy's rules ask for masquerading, with another meaning:
 * they set it, so that packets get the node's address that should keep theirs; they clear it between the proxy's setting and
 * its asking; or they drop, reject or redirect what has it, or has not. Others may well let such packets pass, return, or
 * masquerade them: CNIs do. A rule that has to do with all bits, our own being no part of its value, asks for a mark that
 * none of ours has, or gives one before ours is given.
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
