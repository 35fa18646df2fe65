import type { OverlapGroup, ServicePortName } from '@pointsman/core'
import type { JumpRule } from '../ruleset/ruleset.js'
import { chainsOf, entriesOf, packService, type PackedService, type PackedServices } from './packed-service.js'
import { type ChainKey, linesOf, type RenderedBase, type RenderedService, type RuleLines } from './rendered-service.js'

/** What is in the kernel, of one family: known because it was put there, or because it was read. */
export interface Installed {
  readonly fixed: ReadonlyMap<ChainKey, RuleLines>
  /** The end of each chain that service ports share. Null: it ends otherwise than it should. */
  readonly dispatch: ReadonlyMap<ChainKey, RuleLines | null>
  /** All rules of kubelet's chains. */
  readonly kubelet: ReadonlyMap<ChainKey, RuleLines>
  /** Jumps that are to be put before all others of their chain, in this order. */
  readonly missingJumps: readonly JumpRule[]
  /** Jumps that are to be taken out before that. */
  readonly extraJumps: readonly JumpRule[]
  /** Chains that rules of others lead to. */
  readonly referred: ReadonlySet<ChainKey>
  readonly services: PackedServices
  /** What is nobody's any more. */
  readonly leftovers: RenderedService
  /** Of service ports that claim a front together with others: the group, in the order in which their rules stand. */
  readonly groups: ReadonlyMap<ServicePortName, string>
}

export const groupText = (group: OverlapGroup): string => group.join('\n')

/** What was read from the kernel, of one family: the chains that are or may be ours, and what leads to them. */
export interface Found {
  /** Their rules, in order. */
  readonly chains: ReadonlyMap<ChainKey, RuleLines>
  readonly missingJumps: readonly JumpRule[]
  readonly extraJumps: readonly JumpRule[]
  readonly referred: ReadonlySet<ChainKey>
}

/**
 * Tells whose each rule that was found is, by what is wanted: a chain or rule that is wanted by a service port is its, even
 * where the chain reads otherwise; the rest of the proxy's chains and of their rules are leftovers.
 */
export function adopt(found: Found, wanted: PackedServices, whole: WantedBase): Installed {
  const { base, overlapping } = whole
  const shared = new Map([...base.dispatch].map(([key, last]) => [key, readShared(found.chains.get(key), last)]))
  const services = new Map<ServicePortName, PackedService>()
  const nobodys = new Map(found.chains)
  for (const chains of [base.fixed, base.dispatch, base.kubelet]) for (const key of chains.keys()) nobodys.delete(key)
  for (const [name, service] of wanted) {
    const chains = chainsOf(service)
    for (const [key] of chains) nobodys.delete(key)
    const there = packService({
      chains: chains.flatMap(([key]): RenderedService['chains'] => {
        const lines = found.chains.get(key)
        return lines === undefined ? [] : [[key, lines]]
      }),
      entries: entriesOf(service).map(([key, lines]) => [
        key,
        linesOf(lines)
          .filter((line) => takeOne(shared.get(key)?.counts, line))
          .join('\n'),
      ]),
    })
    // One string in memory where there would be two.
    services.set(name, there === service ? service : there)
  }
  const only = <T>(keys: Iterable<ChainKey>, of: (key: ChainKey) => T | undefined): Map<ChainKey, T> =>
    new Map([...keys].flatMap((key) => withValue(key, of(key))))
  const leftovers: RenderedService = {
    chains: [...nobodys],
    entries: [...shared].map(([key, { counts }]) => [key, repeated(counts).join('\n')]),
  }
  return {
    fixed: only(base.fixed.keys(), (key) => found.chains.get(key)),
    dispatch: only(base.dispatch.keys(), (key) => shared.get(key)?.end),
    kubelet: only(base.kubelet.keys(), (key) => found.chains.get(key)),
    missingJumps: found.missingJumps,
    extraJumps: found.extraJumps,
    referred: found.referred,
    services,
    leftovers,
    groups: new Map(
      overlapping
        .filter((group) => standsInOrder(group, { wanted, found, leftovers }))
        .flatMap((group) => group.map((name) => [name, groupText(group)])),
    ),
  }
}

export interface WantedBase {
  readonly base: RenderedBase
  readonly overlapping: readonly OverlapGroup[]
}

interface SharedChain {
  /** Undefined: there is no such chain. */
  readonly end: RuleLines | null | undefined
  /** How often each rule stands before the end. */
  readonly counts: Map<string, number>
}

function readShared(rules: RuleLines | undefined, last: RuleLines): SharedChain {
  const lines = linesOf(rules)
  const ending = linesOf(last)
  const isWhole = lines.slice(lines.length - ending.length).join('\n') === last
  const before = isWhole ? lines.slice(0, lines.length - ending.length) : lines
  const counts = new Map<string, number>()
  for (const line of before) counts.set(line, (counts.get(line) ?? 0) + 1)
  // An end that stands in the midst of the chain as well takes packets too early.
  const end = isWhole && !ending.some((line) => counts.has(line)) ? last : null
  return { end: rules === undefined ? undefined : end, counts }
}

function takeOne(counts: Map<string, number> | undefined, line: string): boolean {
  const count = counts?.get(line) ?? 0
  if (count > 0) counts?.set(line, count - 1)
  return count > 0
}

const repeated = (counts: ReadonlyMap<string, number>): readonly string[] =>
  [...counts].flatMap(([line, count]) => Array.from({ length: count }, () => line))

const withValue = <T>(key: ChainKey, value: T | undefined): readonly [ChainKey, T][] =>
  value === undefined ? [] : [[key, value]]

/**
 * Whether the rules of the group stand in its order in every chain, and none like them is to be taken out: that takes out the
 * first one that reads so.
 */
function standsInOrder(
  group: OverlapGroup,
  {
    wanted,
    found,
    leftovers,
  }: {
    readonly wanted: PackedServices
    readonly found: Found
    readonly leftovers: RenderedService
  },
): boolean {
  const entries = group.flatMap((name) => entriesOf(wanted.get(name)))
  return [...new Set(entries.map(([key]) => key))].every((key) => {
    const rules = entries.filter(([other]) => other === key).flatMap(([, lines]) => linesOf(lines))
    const surplus = new Set(leftovers.entries.filter(([other]) => other === key).flatMap(([, lines]) => linesOf(lines)))
    if (rules.some((rule) => surplus.has(rule))) return false
    // Other service ports can have rules like these, so that there may be more of one.
    let next = 0
    for (const line of linesOf(found.chains.get(key))) if (line === rules[next]) next++
    return next === rules.length
  })
}
