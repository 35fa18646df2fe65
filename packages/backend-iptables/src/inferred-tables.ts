import { shortList } from '@pointsman/core'
import { formatRule, type Rule } from 'node-iptables'
import { chainOf } from './chain-owner.js'
import { CHAIN_PREFIX, CHAINS, CURRENT, isServiceChain, LAYOUTS } from './ruleset/layout.js'

/** A line of a text with its number there. */
export interface PastedLine {
  readonly number: number
  readonly text: string
  /** The command that a person ran there: what follows is its output. */
  readonly command?: { readonly table: string; readonly isSave: boolean }
}

/** Chains and rules that were printed together: of one table, but where grep chose them. */
export interface Segment {
  /** By the command that printed it. */
  readonly table?: string
  readonly policies: Map<string, string>
  readonly chains: Set<string>
  readonly rules: SegmentRule[]
}

interface SegmentRule {
  readonly number: number
  readonly chain: string
  /** `-A CHAIN ...` */
  readonly text: string
}

export const openSegment = (table?: string): Segment => ({
  ...(table !== undefined && { table }),
  policies: new Map(),
  chains: new Set(),
  rules: [],
})

interface InferredTables {
  /** As iptables-save prints them. */
  readonly lines: readonly string[]
  /** What was inferred, a sentence each. */
  readonly notes: readonly string[]
  /** Rules are left out, or one of the tables that a proxy writes. */
  readonly isPart: boolean
}

interface OpenTable {
  readonly policies: Map<string, string>
  readonly chains: Set<string>
  readonly rules: string[]
  isPart: boolean
}

/**
 * The tables that chains and rules are of: by the command that printed them, else by the built-in chains, which differ from
 * table to table, else by which chains kube-proxy has where and which targets a table allows. Rules of a part of a save that
 * nothing leads to from a built-in chain get the jumps that kube-proxy makes. Throws what `refuse` makes where two tables are
 * possible, and for a table that is there twice.
 */
export function inferTables(segments: readonly Segment[], refuse: (message: string) => Error): InferredTables {
  const tables = new Map<string, OpenTable>()
  let isNamed = true
  for (const segment of segments) {
    const whole = segment.table ?? tableOfPolicies(segment)
    const isWhole = segment.policies.size > 1
    if (segment.table === undefined) isNamed = false
    const parts = whole === undefined ? partsOf(segment, refuse) : [{ ...segment, table: whole }]
    for (const { table, policies, chains, rules } of parts) {
      const known = tables.get(table)
      if (known !== undefined && (isWhole || !known.isPart))
        throw refuse(`the table ${table} is there twice: give what one iptables-save prints`)
      const open: OpenTable = known ?? { policies: new Map(), chains: new Set(), rules: [], isPart: !isWhole }
      tables.set(table, open)
      for (const [chain, policy] of policies) open.policies.set(chain, policy)
      for (const chain of chains) open.chains.add(chain)
      for (const { chain, text } of rules) {
        open.chains.add(chain)
        open.rules.push(text)
      }
    }
  }
  const counts = [...tables].map(([table, { rules }]) => `${table} (${rules.length})`).join(', ')
  const notes: string[] = []
  if (!isNamed && tables.size > 0)
    notes.push(`no line names the tables: they are inferred from the chains, with their numbers of rules: ${counts}`)
  const isCut = [...tables.values()].some(({ isPart }) => isPart)
  if (isCut) notes.push('the text is a part of a save: rules that are not in it are taken not to be there')
  for (const [table, open] of tables) if (open.isPart) notes.push(...completePart(table, open))
  return {
    lines: [...tables].flatMap(([table, open]) => saveLines(table, open)),
    notes,
    isPart: isCut || !tables.has('nat') || !tables.has('filter'),
  }
}

function saveLines(table: string, { policies, chains, rules }: OpenTable): readonly string[] {
  const builtIn = [...chains].filter((chain) => BUILT_IN.has(chain))
  const others = [...chains].filter((chain) => !BUILT_IN.has(chain))
  return [
    `*${table}`,
    ...builtIn.map((chain) => `:${chain} ${policies.get(chain) ?? 'ACCEPT'} [0:0]`),
    ...others.map((chain) => `:${chain} - [0:0]`),
    ...rules,
    'COMMIT',
  ]
}

export const BUILT_IN: ReadonlySet<string> = new Set(['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'])

/** Names for a sentence, each once. */
export const listed = (names: readonly string[]): string => shortList([...new Set(names)], MOST_LISTED)

const MOST_LISTED = 5

/** Each table has other built-in chains, but for filter and security. */
function tableOfPolicies({ policies }: Segment): string | undefined {
  const has = (chain: string): boolean => policies.has(chain)
  if (has('PREROUTING') && has('FORWARD')) return 'mangle'
  if (has('FORWARD') && has('INPUT') && has('OUTPUT')) return 'filter'
  // The table nat has INPUT since Linux 2.6.36.
  if (has('PREROUTING') && has('POSTROUTING')) return 'nat'
  return policies.size === 2 && has('PREROUTING') && has('OUTPUT') ? 'raw' : undefined
}

type Part = Segment & { readonly table: string }

/** Rules of one chain that stand together, and the tables that they can be of. */
interface Run {
  readonly chain: string
  readonly rules: SegmentRule[]
  /** The chains and targets that its rules lead to. */
  readonly targets: Set<string>
  possible: ReadonlySet<string>
}

/** Splits lines that grep left by table. A save has a table after the other, and in each the rules of a chain together. */
function partsOf({ policies, chains, rules }: Segment, refuse: (message: string) => Error): readonly Part[] {
  const runs: Run[] = []
  for (const rule of rules) {
    const possible = tablesOfRule(rule)
    const last = runs.at(-1)
    const both = last?.chain === rule.chain ? intersection(last.possible, possible) : NONE
    if (last !== undefined && both.size > 0) {
      last.rules.push(rule)
      last.targets.add(targetOf(rule.text))
      last.possible = both
    } else runs.push({ chain: rule.chain, rules: [rule], targets: new Set([targetOf(rule.text)]), possible })
  }
  settle(runs)
  const parts = new Map<string, Part>()
  const partOf = (table: string): Part => {
    const part = parts.get(table) ?? { ...openSegment(), table }
    parts.set(table, part)
    return part
  }
  for (const { chain, rules: own, possible } of runs) {
    const [table, ...others] = [...possible]
    if (table === undefined || others.length > 0)
      throw refuse(
        `line ${own[0]?.number ?? 0}: the rules of ${chain} can be of the tables ${[...possible].join(' and ') || 'of no one'}: give the whole output of iptables-save`,
      )
    for (const rule of own) partOf(table).rules.push(rule)
  }
  const withRules = new Set(runs.map(({ chain }) => chain))
  const withoutRules = [...chains].filter((chain) => !withRules.has(chain))
  for (const chain of withoutRules) {
    const possible = tablesOfChain(chain)
    const [table] = [...possible].filter((each) => parts.has(each) || possible.size === 1)
    if (table === undefined) continue
    partOf(table).chains.add(chain)
    const policy = policies.get(chain)
    if (policy !== undefined) partOf(table).policies.set(chain, policy)
  }
  return [...parts.values()]
}

const NONE: ReadonlySet<string> = new Set()
const intersection = (one: ReadonlySet<string>, other: ReadonlySet<string>): ReadonlySet<string> =>
  new Set([...one].filter((each) => other.has(each)))

/** Passes over all runs: enough for any real depth of chains. */
const MOST_LOOKS = 20

/** Decides runs by what stands before and after them, and by the chains that they lead to and come from. */
function settle(runs: readonly Run[]): void {
  const jumps = jumpsOf(runs)
  for (const isLast of [false, true]) {
    for (let look = 0, isChanged = true; isChanged && look < MOST_LOOKS; look++) {
      isChanged = false
      for (const [at, run] of runs.entries()) {
        if (run.possible.size === 1) continue
        const table = tableByPlace(runs, at, isLast) ?? tableByJumps(run, jumps)
        if (table === undefined || !run.possible.has(table)) continue
        run.possible = new Set([table])
        isChanged = true
      }
    }
  }
}

/** Which runs lead to a chain, and which are of it. */
interface Jumps {
  readonly to: ReadonlyMap<string, readonly Run[]>
  readonly of: ReadonlyMap<string, readonly Run[]>
}

function jumpsOf(runs: readonly Run[]): Jumps {
  const to = new Map<string, Run[]>()
  const of = new Map<string, Run[]>()
  const add = (map: Map<string, Run[]>, chain: string, run: Run): void => {
    const known = map.get(chain)
    if (known === undefined) map.set(chain, [run])
    else known.push(run)
  }
  for (const run of runs) {
    add(of, run.chain, run)
    for (const target of run.targets) add(to, target, run)
  }
  return { to, of }
}

const decided = (run: Run | undefined): string | undefined =>
  run !== undefined && run.possible.size === 1 ? [...run.possible][0] : undefined

/** Built-in chains come first in a table: one behind others begins the next. */
function tableByPlace(runs: readonly Run[], at: number, isLast: boolean): string | undefined {
  const run = runs[at]
  if (run === undefined) return undefined
  const before = decided(runs[at - 1])
  const after = decided(runs[at + 1])
  const isFirst = BUILT_IN.has(run.chain) && !BUILT_IN.has(runs[at - 1]?.chain ?? 'PREROUTING')
  if (isFirst) return after
  if (before === after) return before
  if (!isLast) return undefined
  const possible = [before, after].filter((table) => table !== undefined && run.possible.has(table))
  return possible.length === 1 ? possible[0] : undefined
}

/** A rule leads to a chain of its own table. Chains of one name can be in several. */
function tableByJumps({ chain, targets }: Run, { to, of }: Jumps): string | undefined {
  if (TABLES_OF_CHAIN.has(chain)) return undefined
  const tables = new Set((to.get(chain) ?? []).map(decided))
  for (const target of targets) {
    if (TABLES_OF_CHAIN.has(target)) continue
    for (const run of of.get(target) ?? []) tables.add(decided(run))
  }
  return tables.size === 1 ? [...tables][0] : undefined
}

const targetOf = (text: string): string => / -[jg] (\S+)/.exec(text.replaceAll(/"[^"]*"/g, '""'))?.[1] ?? ''

function tablesOfRule({ chain, text }: SegmentRule): ReadonlySet<string> {
  const target = targetOf(text)
  // Those of filter accept, drop and reject; only those of nat lead on.
  if (chain === CHAINS.services || chain === CHAINS.nodePorts) return target.startsWith(CHAIN_PREFIX) ? NAT : FILTER
  return intersection(tablesOfChain(chain), TABLES_OF_TARGET.get(target) ?? tablesOfChain(target))
}

const ALL: ReadonlySet<string> = new Set(['nat', 'filter', 'mangle', 'raw'])
const NAT: ReadonlySet<string> = new Set(['nat'])
const FILTER: ReadonlySet<string> = new Set(['filter'])
const NOT_NAT: ReadonlySet<string> = new Set(['filter', 'mangle', 'raw'])

/** Where iptables-extensions(8) allows a target. */
const TABLES_OF_TARGET: ReadonlyMap<string, ReadonlySet<string>> = new Map([
  ...['DNAT', 'SNAT', 'MASQUERADE', 'REDIRECT', 'NETMAP'].map((target) => [target, NAT] as const),
  ['REJECT', FILTER],
  ['DROP', NOT_NAT],
  ...['TPROXY', 'TOS', 'DSCP', 'TTL', 'TCPMSS', 'CHECKSUM'].map((target) => [target, new Set(['mangle'])] as const),
  ...['CT', 'NOTRACK'].map((target) => [target, new Set(['raw'])] as const),
])

/** kube-proxy's chains, of all its layouts, and the built-in ones. */
function tablesOfChain(chain: string): ReadonlySet<string> {
  if (isServiceChain(chain)) return NAT
  return TABLES_OF_CHAIN.get(chain) ?? ALL
}

const BASE_CHAINS = LAYOUTS.flatMap(({ baseChains }) => baseChains)

const TABLES_OF_CHAIN: ReadonlyMap<string, ReadonlySet<string>> = new Map([
  ...BASE_CHAINS.map(({ chain }) => {
    const tables = BASE_CHAINS.filter((one) => one.chain === chain).map(({ table }): string => table)
    return [chain, new Set(tables)] as const
  }),
  // Of ipvs mode.
  ...['KUBE-LOAD-BALANCER', 'KUBE-NODE-PORT'].map((chain) => [chain, NAT] as const),
  ['PREROUTING', new Set(['nat', 'mangle', 'raw'])],
  ['INPUT', new Set(['filter', 'mangle', 'nat'])],
  ['FORWARD', new Set(['filter', 'mangle'])],
  ['OUTPUT', ALL],
  ['POSTROUTING', new Set(['nat', 'mangle'])],
])

const withoutComment = (rule: Rule): Rule => ({
  ...rule,
  matches: rule.matches.filter(({ type }) => type !== 'comment'),
})

/** Adds what grep may have left out: the jumps that lead to kube-proxy's chains, and chains without rules. */
function completePart(table: string, { chains, rules }: OpenTable): readonly string[] {
  const targets = new Set(rules.map(targetOf))
  const missing = CURRENT.jumps
    .filter((jump) => jump.table === table)
    .map(({ chain, rule }) => ({ chain, to: chainOf(rule) ?? '', text: formatRule(withoutComment(rule)) }))
    .filter(({ to }) => chains.has(to) && !targets.has(to))
  for (const { chain, text } of missing) {
    chains.add(chain)
    rules.push(`-A ${chain} ${text}`)
  }
  const empty = [...targets].filter((target) => /^[A-Z]+-|^cali-/.test(target) && !chains.has(target))
  for (const chain of empty) chains.add(chain)
  const notes: string[] = []
  if (missing.length > 0)
    notes.push(
      `no line of ${table} leads to ${listed(missing.map(({ to }) => to))}: kube-proxy's own jumps are taken to be there`,
    )
  if (empty.length > 0) notes.push(`no line of ${table} is of ${listed(empty)}: taken to be empty`)
  return notes
}
