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
