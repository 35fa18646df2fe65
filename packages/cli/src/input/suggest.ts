/** The candidate that a user who wrote `wanted` most likely meant; undefined where none is near. */
function suggest(wanted: string, candidates: Iterable<string>): string | undefined {
  let best: { readonly candidate: string; readonly distance: number } | undefined
  const limit = Math.max(1, Math.floor(wanted.length / 3))
  for (const candidate of candidates) {
    if (Math.abs(candidate.length - wanted.length) > limit) continue
    const distance = editDistance(wanted.toLowerCase(), candidate.toLowerCase())
    if (distance <= limit && (best === undefined || distance < best.distance)) best = { candidate, distance }
  }
  return best?.candidate
}

/** `: did you mean X?`, or nothing. */
export function didYouMean(wanted: string, candidates: Iterable<string>): string {
  const candidate = suggest(wanted, candidates)
  return candidate === undefined ? '' : `: did you mean ${candidate}?`
}

/** Letters to insert, delete, replace, or swap with their neighbour. */
function editDistance(one: string, other: string): number {
  let beforeLast: number[] = []
  let last = Array.from({ length: other.length + 1 }, (_, index) => index)
  for (let row = 1; row <= one.length; row++) {
    const current = [row]
    for (let column = 1; column <= other.length; column++) {
      const cost = one[row - 1] === other[column - 1] ? 0 : 1
      let distance = Math.min((last[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1, (last[column - 1] ?? 0) + cost)
      const isSwapped =
        row > 1 && column > 1 && one[row - 1] === other[column - 2] && one[row - 2] === other[column - 1]
      if (isSwapped) distance = Math.min(distance, (beforeLast[column - 2] ?? 0) + 1)
      current.push(distance)
    }
    beforeLast = last
    last = current
  }
  return last[other.length] ?? 0
}

/**
 * Arguments that begin with a dash and are no options: `-5m` for `diff`, a rule `-A CHAIN ...` for `blame`. A space before
 * them keeps the parser from taking them for options; who reads them trims.
 */
export function shieldDashed(argv: readonly string[]): readonly string[] {
  const dashed = DASHED[argv[0] ?? '']
  return dashed === undefined ? argv : argv.map((argument) => (dashed.test(argument) ? ` ${argument}` : argument))
}

const DASHED: { readonly [command: string]: RegExp } = {
  blame: /^-A\s/,
  diff: /^-\d/,
}
