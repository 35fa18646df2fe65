import type { DependenceCode, Supposition } from '../ports/trace.js'

/**
 * An unknown fact: that the value of a subject lies in a range, both ends included, compared as text. The subject has
 * one value as long as the packet is the same, so that claims about it imply and exclude each other: `-i eth0`, `-i eth+`.
 */
export interface Claim {
  readonly subject: string
  readonly low: string
  readonly high: string
  readonly code: DependenceCode
  /** A clause for a person: `it arrives by eth0`. */
  readonly text: string
}

/** One case of unknown facts, newest first: cases that part have their beginnings in common. */
export interface Case {
  readonly claim: Claim
  readonly holds: boolean
  readonly before: Case | undefined
  /** How many there are with it. */
  readonly count: number
}

/** The cases in which a way is taken: they exclude each other. One that is empty: always. */
export type When = readonly (Case | undefined)[]

export const ALWAYS: When = [undefined]

export const withClaim = (before: Case | undefined, claim: Claim, holds: boolean): Case => ({
  claim,
  holds,
  before,
  count: (before?.count ?? 0) + 1,
})

/** Whether a claim holds in a case. Undefined: the case does not say. */
export function truthIn(start: Case | undefined, claim: Claim): boolean | undefined {
  for (let at = start; at !== undefined; at = at.before) {
    if (at.claim.subject !== claim.subject) continue
    const truth = implied(at, claim)
    if (truth !== undefined) return truth
  }
  return undefined
}

/** What a claim about a subject says of another about it. */
export function implied({ claim: known, holds }: Pick<Case, 'claim' | 'holds'>, asked: Claim): boolean | undefined {
  if (!holds) return isWithin(asked, known) ? false : undefined
  if (isWithin(known, asked)) return true
  return known.high < asked.low || asked.high < known.low ? false : undefined
}

const isWithin = (inner: Claim, outer: Claim): boolean => outer.low <= inner.low && inner.high <= outer.high

/** What is evaluated comes to a value, or to a claim that has to be decided first. */
export type Evaluated<T> = { readonly value: T } | { readonly unknown: Claim }

export interface InCases<T> {
  readonly value: T
  readonly when: When
}

/**
 * Evaluates in each case, and parts a case in two wherever a claim has to be decided first. Cases that say the same of all claims
 * that are asked for are evaluated once, with these claims alone. Values with the same key come together. `spend` is called for each
 * evaluation, with its cases.
 */
export function evaluateInCases<T>(
  when: When,
  evaluate: (supposed: Case | undefined) => Evaluated<T>,
  { keyOf, spend }: { readonly keyOf: (value: T) => string; readonly spend: (cases: When) => void },
): readonly InCases<T>[] {
  const found = new Map<string, { readonly value: T; readonly cases: (Case | undefined)[] }>()
  const waiting: { readonly asked: Case | undefined; readonly cases: When }[] = [{ asked: undefined, cases: when }]
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const { asked, cases } = next
    spend(cases)
    const evaluated = evaluate(asked)
    if ('unknown' in evaluated) {
      const [yes, no] = parted(cases, evaluated.unknown)
      if (no.length > 0) waiting.push({ asked: withClaim(asked, evaluated.unknown, false), cases: no })
      if (yes.length > 0) waiting.push({ asked: withClaim(asked, evaluated.unknown, true), cases: yes })
      continue
    }
    const key = keyOf(evaluated.value)
    const group = found.get(key)
    if (group === undefined) found.set(key, { value: evaluated.value, cases: [...cases] })
    else for (const one of cases) group.cases.push(one)
  }
  return [...found.values()].map(({ value, cases }) => ({ value, when: simplified(cases) }))
}

/** The cases in which a claim holds, and those in which it does not. */
function parted(cases: When, claim: Claim): readonly [yes: When, no: When] {
  const yes: (Case | undefined)[] = []
  const no: (Case | undefined)[] = []
  for (const one of cases) {
    const truth = truthIn(one, claim)
    if (truth !== false) yes.push(truth === undefined ? withClaim(one, claim, true) : one)
    if (truth !== true) no.push(truth === undefined ? withClaim(one, claim, false) : one)
  }
  return [yes, no]
}

/** The cases of either way, those that differ in their last claim alone as one. */
export const eitherOf = (one: When, other: When): When => simplified([...one, ...other])

function simplified(cases: readonly (Case | undefined)[]): When {
  const kept = new Set<Case | undefined>()
  /** By what they have in common, the case that waits for its contrary. */
  const halves = new Map<Claim, Map<Case | undefined, Case>>()
  for (const one of cases) {
    let next = one
    while (next !== undefined) {
      const { claim, before } = next
      const siblings = halves.get(claim) ?? new Map<Case | undefined, Case>()
      halves.set(claim, siblings)
      const half = siblings.get(before)
      if (half === undefined || half.holds === next.holds) {
        siblings.set(before, next)
        break
      }
      siblings.delete(before)
      kept.delete(half)
      next = before
    }
    kept.add(next)
  }
  return kept.size === 1 && kept.has(undefined) ? ALWAYS : [...kept]
}

/** The claims of a case, the oldest first. */
export function suppositionsOf(last: Case | undefined): readonly { readonly claim: Claim; readonly holds: boolean }[] {
  const found: { readonly claim: Claim; readonly holds: boolean }[] = []
  for (let at = last; at !== undefined; at = at.before) found.push(at)
  return found.reverse()
}

/** The claims of all cases, each once, those that were asked for first before others. */
export function claimsIn(cases: When): readonly Claim[] {
  const seen = new Set<Case>()
  const claims = new Map<string, Claim>()
  for (const last of cases) {
    const fresh: Case[] = []
    for (let at = last; at !== undefined && !seen.has(at); at = at.before) {
      seen.add(at)
      fresh.push(at)
    }
    for (const { claim } of fresh.reverse()) if (!claims.has(claim.text)) claims.set(claim.text, claim)
  }
  return [...claims.values()]
}

export const suppositionOf = ({
  claim: { code, text },
  holds,
}: {
  readonly claim: Claim
  readonly holds: boolean
}): Supposition => ({ code, text, holds })
