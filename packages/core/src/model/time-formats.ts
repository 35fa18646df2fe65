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

/** A duration as Go prints it: `24h0m0s`, `1.5s`, `250ms`, `0s`. Nothing below a nanosecond. */
export function formatGoDuration(milliseconds: number): string {
  const nanoseconds = BigInt(Math.round(Math.abs(milliseconds) * 1e6))
  if (nanoseconds === 0n) return '0s'
  const sign = milliseconds < 0 ? '-' : ''
  for (const [unit, size] of BELOW_A_SECOND) {
    if (nanoseconds < size * 1000n) return `${sign}${decimal(nanoseconds, size)}${unit}`
  }
  const [hours, minutes] = [nanoseconds / HOUR, (nanoseconds % HOUR) / MINUTE]
  const seconds = `${decimal(nanoseconds % MINUTE, SECOND)}s`
  if (hours > 0n) return `${sign}${hours}h${minutes}m${seconds}`
  return minutes > 0n ? `${sign}${minutes}m${seconds}` : `${sign}${seconds}`
}

const SECOND = 1_000_000_000n
const MINUTE = 60n * SECOND
const HOUR = 60n * MINUTE
const BELOW_A_SECOND = [
  ['ns', 1n],
  ['µs', 1000n],
  ['ms', 1_000_000n],
] as const

/** A number of units of a size, as a power of ten, without zeros at its end. */
function decimal(nanoseconds: bigint, size: bigint): string {
  const fraction = String(nanoseconds % size)
    .padStart(String(size).length - 1, '0')
    .replace(/0+$/, '')
  return `${nanoseconds / size}${fraction === '' || size === 1n ? '' : `.${fraction}`}`
}

const DATE_TIME = /^(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:([Zz])|([+-])(\d\d):(\d\d))?$/

/**
 * Milliseconds since 1970 UTC of an RFC 3339 date-time; finer fractions are cut off. Without a zone it is UTC, unlike
 * `Date.parse`, which would take the zone of the machine. Undefined for everything else, days that no month has included.
 */
export function parseRfc3339(text: string): number | undefined {
  const match = DATE_TIME.exec(text)
  if (match === null) return undefined
  const part = (index: number): number => Number(match[index] ?? 0)
  const date = new Date(0)
  date.setUTCFullYear(part(1), part(2) - 1, part(3))
  date.setUTCHours(part(4), part(5), part(6), Number((match[7] ?? '').slice(0, 3).padEnd(3, '0')))
  const isReal =
    date.getUTCMonth() === part(2) - 1 &&
    date.getUTCDate() === part(3) &&
    date.getUTCHours() === part(4) &&
    part(5) < 60 &&
    part(6) < 60
  if (!isReal || part(10) > 23 || part(11) > 59) return undefined
  const offsetMs = (part(10) * 60 + part(11)) * 60_000
  return date.getTime() + (match[9] === '-' ? offsetMs : -offsetMs)
}
