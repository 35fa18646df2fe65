/**
 * Reads a duration as Go writes it (`30s`, `1m0s`, `1.5h`, `-1s`, `0`): milliseconds, or undefined where it is none.
 * A number always carries a unit, 0 alone excepted (https://pkg.go.dev/time#ParseDuration).
 */
export function parseGoDuration(text: string): number | undefined {
  const match = /^([+-]?)(.+)$/.exec(text)
  const amount = match?.[2]
  if (amount === undefined) return undefined
  const milliseconds = amount === '0' ? 0 : sumOfParts(amount)
  return milliseconds === undefined
    ? undefined
    : match?.[1] === '-' && milliseconds !== 0
      ? -milliseconds
      : milliseconds
}

const MILLISECONDS: ReadonlyMap<string, number> = new Map([
  ['ns', 1e-6],
  ['us', 1e-3],
  ['µs', 1e-3],
  ['μs', 1e-3],
  ['ms', 1],
  ['s', 1000],
  ['m', 60_000],
  ['h', 3_600_000],
])

function sumOfParts(text: string): number | undefined {
  const part = /(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)/y
  let sum = 0
  while (part.lastIndex < text.length) {
    const match = part.exec(text)
    if (match === null) return undefined
    sum += Number(match[1]) * (MILLISECONDS.get(match[2] ?? '') ?? 0)
  }
  return sum
}
