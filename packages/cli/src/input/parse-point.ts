import { parseRfc3339 } from '@pointsman/core'

/** A point that a person wrote, before it is looked up in a log. */
export type Point =
  | { readonly type: 'seq'; readonly seq: number }
  /** Milliseconds since 1970 UTC. */
  | { readonly type: 'time'; readonly time: number }
  /** Milliseconds since midnight UTC on the day of the last record. */
  | { readonly type: 'clock'; readonly sinceMidnight: number }
  /** Milliseconds back from the last record. */
  | { readonly type: 'back'; readonly by: number }

/** What a point can look like, for error messages and help texts. */
export const POINT_FORMS =
  'a seq (118), a time (2026-01-31T14:03:00Z, 14:03, 14:03:20), or an offset from the last record (-5m, -1h30m)'

/** Reads a point in time: the grammar of `POINT_FORMS`. Undefined for everything else. */
export function parsePoint(text: string): Point | undefined {
  if (/^\d{1,15}$/.test(text)) return { type: 'seq', seq: Number(text) }
  const time = parseRfc3339(text)
  if (time !== undefined) return { type: 'time', time }
  return parseClock(text) ?? parseBack(text)
}

function parseClock(text: string): Point | undefined {
  const match = /^(\d\d):(\d\d)(?::(\d\d(?:\.\d{1,3})?))?$/.exec(text)
  if (match === null) return undefined
  const [hours, minutes, seconds] = [match[1], match[2], match[3]].map((part) => Number(part ?? 0))
  if (
    hours === undefined ||
    minutes === undefined ||
    seconds === undefined ||
    hours > 23 ||
    minutes > 59 ||
    seconds >= 60
  )
    return undefined
  return { type: 'clock', sinceMidnight: Math.round(((hours * 60 + minutes) * 60 + seconds) * 1000) }
}

function parseBack(text: string): Point | undefined {
  const match = /^-(?=\d)(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?$/.exec(text)
  if (match === null) return undefined
  const by = UNITS_MS.reduce((sum, unit, index) => sum + unit * Number(match[index + 1] ?? 0), 0)
  return { type: 'back', by }
}

const UNITS_MS = [86_400_000, 3_600_000, 60_000, 1000, 1]
