import { digestOfPart, type DigestSum, digestSumText, type IpFamily, minusDigest, plusDigest } from '@pointsman/core'
import { formatRule, type SavedTable } from 'node-iptables'
import { sizeOf } from '../audit/text-tables.js'
import {
  chainKey,
  type ChainKey,
  chainsOf,
  entriesOf,
  type Found,
  type Installed,
  linesOf,
  type PackedService,
  type RuleLines,
  tableOf,
} from '../plan/installed.js'
import { CHAINS, chainsOfRole, type Layout, type LayoutChain } from '../ruleset/layout.js'
import type { Table } from '../ruleset/ruleset.js'
import { isOurChain, isOurJump } from '../chain-owner.js'

/**
 * A sum over rules that tells equal rulesets: service ports may stand in any order in the chains that they share, the rules
 * of every other chain in one. Added to and taken from, so that a small change costs little. KUBE-FIREWALL and what leads to
 * it are left out: they are kubelet's as well.
 */
export interface RulesetSum {
  readonly rules: RulesByTable
  readonly sum: DigestSum
}

export type RulesByTable = Readonly<Record<Table, number>>

export const EMPTY_SUM: RulesetSum = { rules: { mangle: 0, filter: 0, nat: 0 }, sum: 0n }

export const plus = (a: RulesetSum, b: RulesetSum): RulesetSum => ({
  rules: added(a.rules, b.rules, 1),
  sum: plusDigest(a.sum, b.sum),
})
export const minus = (a: RulesetSum, b: RulesetSum): RulesetSum => ({
  rules: added(a.rules, b.rules, -1),
  sum: minusDigest(a.sum, b.sum),
})
/** `0 12 174 3ad…`, of mangle, filter, nat and all: what `sumOfText` reads. */
export const sumText = ({ rules: { mangle, filter, nat }, sum }: RulesetSum): string =>
  `${mangle} ${filter} ${nat} ${sum.toString(16)}`

export function sumOfText(text: string): readonly RulesetSum[] {
  const [, mangle, filter, nat, sum] = /^(\d+) (\d+) (\d+) ([\da-f]+)$/.exec(text) ?? []
  if (sum === undefined) return []
  return [{ rules: { mangle: Number(mangle), filter: Number(filter), nat: Number(nat) }, sum: BigInt(`0x${sum}`) }]
}

export const rulesIn = ({ rules: { mangle, filter, nat } }: RulesetSum): number => mangle + filter + nat
export const digestText = ({ sum }: RulesetSum): string => digestSumText(sum)

const added = (a: RulesByTable, b: RulesByTable, sign: 1 | -1): RulesByTable => ({
  mangle: a.mangle + sign * b.mangle,
  filter: a.filter + sign * b.filter,
  nat: a.nat + sign * b.nat,
})

/** Which rules are summed up: those of a family in a layout. */
interface Rendered {
  readonly family: IpFamily
  readonly layout: Layout
}

/** Chains that service ports share with others as they were found are left out: `sumOfKept` has them once. */
export const sumOfService = (family: IpFamily, service: PackedService, shared: ReadonlySet<ChainKey>): RulesetSum =>
  total([
    ...(shared.size === 0 ? chainsOf(service) : chainsOf(service).filter(([key]) => !shared.has(key))).map(
      ([key, lines]) => sumOfChain(family, key, lines),
    ),
    ...entriesOf(service).map(([key, lines]) => sumOfShared(family, key, lines)),
  ])

/** The chains that several service ports have, each once. */
export const sumOfKept = (family: IpFamily, { shared, services }: Pick<Installed, 'shared' | 'services'>): RulesetSum =>
  shared.size === 0
    ? EMPTY_SUM
    : total(
        [...new Map([...services.values()].flatMap(chainsOf).filter(([key]) => shared.has(key)))].map(([key, lines]) =>
          sumOfChain(family, key, lines),
        ),
      )

/** What of a base is in force: fixed chains, the ends of shared ones, and jumps. */
export const sumOfBase = (
  { family, layout }: Rendered,
  { fixed, dispatch }: Pick<Installed, 'fixed' | 'dispatch'>,
): RulesetSum =>
  total([
    ...[...fixed].map(([key, lines]) => sumOfChain(family, key, lines)),
    ...[...dispatch].map(([key, lines]) => sumOfShared(family, key, lines ?? '')),
    sumOfJumps({ family, layout }, []),
  ])

/** What was read. */
export function sumOfFound({ family, layout }: Rendered, { chains, missingJumps, extraJumps }: Found): RulesetSum {
  const [shared, kubelets] = [keysOf(chainsOfRole(layout, 'dispatch')), keysOf(chainsOfRole(layout, 'kubelet'))]
  return total([
    ...[...chains]
      .filter(([key]) => !kubelets.has(key))
      .map(([key, lines]) => (shared.has(key) ? sumOfShared(family, key, lines) : sumOfChain(family, key, lines))),
    sumOfJumps({ family, layout }, missingJumps, extraJumps),
  ])
}

const keysOf = (chains: readonly LayoutChain[]): ReadonlySet<ChainKey> =>
  new Set(chains.map(({ table, chain }) => chainKey(table, chain)))

const sumOfChain = (family: IpFamily, key: ChainKey, lines: RuleLines): RulesetSum =>
  lines === '' ? EMPTY_SUM : sumOf(tableOf(key), linesOf(lines).length, `${family} ${key}\n${lines}`)

const sumOfShared = (family: IpFamily, key: ChainKey, lines: RuleLines): RulesetSum =>
  total(linesOf(lines).map((line) => sumOf(tableOf(key), 1, `${family} ${key}\n${line}`)))

const sumOfJumps = (
  { family, layout: { jumps } }: Rendered,
  missing: Found['missingJumps'],
  extra: Found['extraJumps'] = [],
): RulesetSum =>
  total(
    [...jumps.filter((jump) => !missing.includes(jump)), ...extra]
      .filter(({ rule: { target } }) => target?.type !== 'jump' || target.chain !== CHAINS.firewall)
      .map(({ table, chain, rule }) => sumOf(table, 1, `${family} ${table} ${chain}\n${formatRule(rule)}`)),
  )

const total = (sums: readonly RulesetSum[]): RulesetSum => sums.reduce(plus, EMPTY_SUM)

const sumOf = (table: Table, rules: number, text: string): RulesetSum => ({
  rules: { ...EMPTY_SUM.rules, [table]: rules },
  sum: digestOfPart(text),
})

/**
 * How many rules of the proxy there are: those in its chains, and the jumps to them. What is kubelet's as well does not
 * count: KUBE-FIREWALL, and what leads to it. A sync counts the same.
 */
export const countRules = (tables: readonly SavedTable[]): number =>
  tables
    .flatMap(({ chains }) => chains)
    .reduce(
      (sum, chain) =>
        sum + (isOurChain(chain.chain) ? sizeOf(chain) : chain.rules.filter(({ rule }) => isOurJump(rule)).length),
      0,
    )
