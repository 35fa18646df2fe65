import type { OverlapGroup, ServicePortName } from '@pointsman/core'
import type { JumpRule } from '../ruleset/ruleset.js'
import {
  type ChainKey,
  chainsOf,
  entryLines,
  haveSameChains,
  type Installed,
  linesOf,
  marksFirst,
  type PackedService,
  type RenderedBase,
  type RenderedService,
  type RuleLines,
  type ServiceTexts,
  tableOf,
} from './installed.js'

/** What is to be in the kernel. */
export interface Wanted {
  readonly base: RenderedBase
  /** Service ports that may differ from what is installed; undefined: gone. Of others nothing is changed. */
  readonly services: ServiceTexts<PackedService | undefined>
  /** Groups that have, or had, one of these service ports among them. */
  readonly overlapping: readonly OverlapGroup[]
  /** Every service port that is to be there, in the order of a chain that is written anew. */
  readonly order: () => readonly ServicePortName[]
}

/** What one family's tables have to be changed by: a description, of which nothing is done. */
export interface Changes {
  /** Chains to be made, or emptied and filled anew, of one service port after the other. */
  readonly writes: readonly ServiceWrites[]
  /** Chains to be emptied; and deleted, but for those that others refer to. */
  readonly removed: readonly ChainKey[]
  readonly referred: ReadonlySet<ChainKey>
  /** The chains that all service ports share, as far as they change. */
  readonly dispatch: readonly DispatchChange[]
  /** Fixed chains to be made or written anew. */
  readonly fixed: readonly (readonly [ChainKey, RuleLines])[]
  /** Rules that kubelet's chains lack, and those of other layouts that they are to lose. */
  readonly kubelet: readonly KubeletChange[]
  /** To be taken out. */
  readonly extraJumps: readonly JumpRule[]
  /** To be put in after that, before all others of their chain. */
  readonly jumps: readonly JumpRule[]
}

interface KubeletChange {
  readonly key: ChainKey
  readonly isNew: boolean
  readonly rules: readonly string[]
  readonly deleted: readonly string[]
}

export interface ServiceWrites {
  readonly chains: () => RenderedService['chains']
  /**
   * Something that leads to the service port now is to go. Until then it would lead to what is written, so that both have to
   * happen at once.
   */
  readonly withEntries: boolean
}

export interface DispatchChange {
  readonly key: ChainKey
  /** The chain is not there. */
  readonly isNew: boolean
  /** It does not end as it should, so that only writing it anew helps. */
  readonly isDamaged: boolean
  /** Rules to be taken out; each takes out the first that reads so. */
  readonly deleted: readonly string[]
  /** Rules to be put in before all others, in the order in which they come to stand. */
  readonly inserted: readonly string[]
  /** All that the chain has to hold in the end. */
  readonly whole: () => readonly string[]
}

export const isNothing = ({ writes, removed, dispatch, fixed, kubelet, extraJumps, jumps }: Changes): boolean =>
  [writes, removed, dispatch, fixed, kubelet, extraJumps, jumps].every(({ length }) => length === 0)

/** The difference between what is installed and what is wanted. */
export function changesTo(installed: Installed, wanted: Wanted): Changes {
  const { base, order } = wanted
  const before = (name: ServicePortName): PackedService | undefined => installed.services.get(name)
  const after = (name: ServicePortName): PackedService | undefined =>
    wanted.services.has(name) ? wanted.services.get(name) : before(name)

  // After a start nearly all are as they should be.
  const names = [...wanted.services.keys()].filter((name) => before(name) !== after(name)).toSorted()
  const kept = new Set(names.flatMap((name) => keysOf(chainsOf(after(name)))))
  const isHad = (key: ChainKey): boolean =>
    installed.shared.has(key) &&
    [...installed.services.keys()].some((name) => keysOf(chainsOf(after(name))).includes(key))
  const former = [...names.flatMap((name) => keysOf(chainsOf(before(name)))), ...keysOf(installed.leftovers.chains)]
  const removed = [...new Set(former)].filter((key) => !kept.has(key) && !isHad(key))
  return {
    writes: names.flatMap((name) => {
      const chains = (): RenderedService['chains'] => differing(before(name), after(name))
      if (chains().length === 0) return []
      const withEntries = [...base.dispatch.keys()].some(
        (key) =>
          tableOf(key) === 'nat' && without(entryLines(before(name), key), entryLines(after(name), key)).length > 0,
      )
      return [{ chains, withEntries }]
    }),
    // A chain that is empty already, and has to stay, is as it should be.
    removed: removed.filter((key) => !(installed.referred.has(key) && isEmptyLeftover(installed, key))),
    referred: installed.referred,
    dispatch: [...base.dispatch].flatMap(([key, last]) => {
      const { deleted, inserted } = entryChanges(key, { installed, wanted, names, before, after })
      const end = installed.dispatch.get(key)
      const [isNew, isDamaged] = [end === undefined, end !== undefined && end !== last]
      if (!isNew && !isDamaged && deleted.length === 0 && inserted.length === 0) return []
      const whole = (): readonly string[] => [
        ...order().flatMap((name) => entryLines(after(name), key)),
        ...linesOf(last),
      ]
      return [{ key, isNew, isDamaged, deleted, inserted, whole }]
    }),
    fixed: [...base.fixed].filter(([key, lines]) => installed.fixed.get(key) !== lines),
    kubelet: [...base.kubelet].flatMap(([key, lines]) => {
      const there = installed.kubelet.get(key)
      const held = new Set(linesOf(there).map(withoutComment))
      const rules = linesOf(lines).filter((line) => !held.has(withoutComment(line)))
      const old = new Set(linesOf(base.retired.get(key)))
      const deleted = linesOf(there).filter((line) => old.has(line))
      const isRight = there !== undefined && rules.length === 0 && deleted.length === 0
      return isRight ? [] : [{ key, isNew: there === undefined, rules, deleted }]
    }),
    extraJumps: installed.extraJumps,
    jumps: installed.missingJumps,
  }
}

/** A rule of kubelet's does what one of ours does, though its comment differs. */
const withoutComment = (line: string): string => line.replace(/(^| )-m comment --comment (?:"(?:[^"\\]|\\.)*"|\S+)/, '')

const isEmptyLeftover = ({ leftovers }: Installed, key: ChainKey): boolean =>
  leftovers.chains.some(([other, lines]) => other === key && lines === '')

const keysOf = (chains: RenderedService['chains']): readonly ChainKey[] => chains.map(([key]) => key)

/** The chains that are not there yet, or read otherwise. */
function differing(before: PackedService | undefined, after: PackedService | undefined): RenderedService['chains'] {
  if (before !== undefined && after !== undefined && haveSameChains(before, after)) return []
  const old = new Map(chainsOf(before))
  return chainsOf(after).filter(([key, lines]) => old.get(key) !== lines)
}

interface EntryQuestion {
  readonly installed: Installed
  readonly wanted: Wanted
  /** Those that are to differ from what is installed. */
  readonly names: readonly ServicePortName[]
  readonly before: (name: ServicePortName) => PackedService | undefined
  readonly after: (name: ServicePortName) => PackedService | undefined
}

/**
 * Rules of one service port in one shared chain do not depend on each other's order, but for those that mark (`marksFirst`); those of a
 * group that overlaps do.
 */
function entryChanges(
  key: ChainKey,
  { installed, wanted, names, before, after }: EntryQuestion,
): { readonly deleted: readonly string[]; readonly inserted: readonly string[] } {
  // Parts instead of one list that grows: a service may have more entries than a call takes arguments.
  const deleted = [linesOf(installed.leftovers.entries.find(([other]) => other === key)?.[1])]
  const inserted: (readonly string[])[] = []
  const together = new Set(wanted.overlapping.flat())
  for (const name of names) {
    if (together.has(name)) continue
    const [old, now] = [entryLines(before(name), key), entryLines(after(name), key)]
    if (old.join('\n') === now.join('\n')) continue
    const added = without(now, old)
    const gone = without(old, now)
    // What is put in comes before what stays.
    const isInOrder = marksFirst([...added, ...without(old, gone)], now)
    deleted.push(isInOrder ? gone : old)
    inserted.push(isInOrder ? added : now)
  }
  for (const group of wanted.overlapping) {
    const old = group.flatMap((name) => entryLines(before(name), key))
    const now = group.flatMap((name) => entryLines(after(name), key))
    const stands = group.every((name) => keepsOrder(group, installed.groups.get(name)))
    if (stands && old.join('\n') === now.join('\n')) continue
    deleted.push(old)
    inserted.push(now)
  }
  return { deleted: deleted.flat(), inserted: inserted.flat() }
}

/** Whether the group stands in its order where it stood together with others, some of which may be gone. */
function keepsOrder(group: OverlapGroup, stood: string | undefined): boolean {
  let next = 0
  for (const name of stood?.split('\n') ?? []) if (name === group[next]) next++
  return next === group.length
}

/** The rules but for the others, each as often as it is there: two addresses of a service port that are the same make one rule twice. */
function without(rules: readonly string[], others: readonly string[]): readonly string[] {
  const counts = new Map<string, number>()
  for (const rule of others) counts.set(rule, (counts.get(rule) ?? 0) + 1)
  return rules.filter((rule) => {
    const count = counts.get(rule) ?? 0
    counts.set(rule, count - 1)
    return count <= 0
  })
}
