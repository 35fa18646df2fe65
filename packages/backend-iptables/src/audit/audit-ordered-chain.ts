/** How the rules of one chain differ from what they should be, where order counts. */
export interface ChainDifference<E, F> {
  readonly missing: readonly E[]
  readonly extra: readonly F[]
  readonly moved: readonly (readonly [E, F])[]
  readonly duplicated: readonly (readonly [E, F])[]
  /** The one stands where the other should. */
  readonly changed: readonly (readonly [E, F])[]
}

export interface WithMeaning {
  readonly meaning: string
}

/**
 * Compares two lists: what both have in the same order stays; of the rest, what both have was moved, what the second has once
 * more was duplicated, and what stands between the same neighbours was changed.
 */
export function compareOrdered<E extends WithMeaning, F extends WithMeaning>(
  expected: readonly E[],
  found: readonly F[],
): ChainDifference<E, F> {
  const pairs = longestCommon(expected, found)
  const [keptE, keptF] = [new Set(pairs.map(([e]) => e)), new Set(pairs.map(([, f]) => f))]
  const lostE = expected.flatMap((item, at) => (keptE.has(at) ? [] : [{ item, gap: gapOf(pairs, at, 0) }]))
  const lostF = found.flatMap((item, at) => (keptF.has(at) ? [] : [{ item, gap: gapOf(pairs, at, 1) }]))

  const moved: [E, F][] = []
  const changed: [E, F][] = []
  const duplicated: [E, F][] = []
  const extra: F[] = []
  const restE = [...lostE]
  const later: typeof lostF = []
  for (const lost of lostF) {
    const at = restE.findIndex(({ item }) => item.meaning === lost.item.meaning)
    const [match] = at < 0 ? [] : restE.splice(at, 1)
    if (match === undefined) later.push(lost)
    else moved.push([match.item, lost.item])
  }
  for (const lost of later) {
    const original = expected.find(({ meaning }) => meaning === lost.item.meaning)
    if (original !== undefined) {
      duplicated.push([original, lost.item])
      continue
    }
    const at = restE.findIndex(({ gap }) => gap === lost.gap)
    const [match] = at < 0 ? [] : restE.splice(at, 1)
    if (match === undefined) extra.push(lost.item)
    else changed.push([match.item, lost.item])
  }
  return { missing: restE.map(({ item }) => item), extra, moved, duplicated, changed }
}

/** How many of the common ones stand before a place: the same number, the same gap. */
const gapOf = (pairs: readonly (readonly [number, number])[], at: number, side: 0 | 1): number =>
  pairs.filter((pair) => pair[side] < at).length

/** Index pairs of a longest common subsequence. Equal beginnings and ends, which is nearly all, cost nothing. */
function longestCommon(a: readonly WithMeaning[], b: readonly WithMeaning[]): readonly (readonly [number, number])[] {
  const same = (i: number, j: number): boolean => a[i]?.meaning === b[j]?.meaning
  let start = 0
  while (start < a.length && start < b.length && same(start, start)) start++
  let end = 0
  while (end < a.length - start && end < b.length - start && same(a.length - 1 - end, b.length - 1 - end)) end++
  const [rows, columns] = [a.length - end - start, b.length - end - start]
  const head = Array.from({ length: start }, (_, at): [number, number] => [at, at])
  const tail = Array.from({ length: end }, (_, at): [number, number] => [a.length - end + at, b.length - end + at])
  if (rows * columns > MAX_CELLS) return [...head, ...tail]

  const lengths = Array.from({ length: rows + 1 }, () => new Uint32Array(columns + 1))
  const cell = (i: number, j: number): number => lengths[i]?.[j] ?? 0
  for (let i = rows - 1; i >= 0; i--) {
    for (let j = columns - 1; j >= 0; j--) {
      const row = lengths[i]
      if (row === undefined) continue
      row[j] = same(start + i, start + j) ? cell(i + 1, j + 1) + 1 : Math.max(cell(i + 1, j), cell(i, j + 1))
    }
  }
  const middle: [number, number][] = []
  for (let i = 0, j = 0; i < rows && j < columns;) {
    if (same(start + i, start + j)) middle.push([start + i++, start + j++])
    else if (cell(i + 1, j) >= cell(i, j + 1)) i++
    else j++
  }
  return [...head, ...middle, ...tail]
}

// A chain of a service with thousands of endpoints, all changed: what is common in the middle is then told as moved.
const MAX_CELLS = 4_000_000
