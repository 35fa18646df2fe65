import type { ConfigFields } from './config-fields.js'
import { parseGoDuration } from './go-duration.js'

/** A duration as Go writes it, in milliseconds; undefined where it is absent, or wrong, which the fields report. */
export function readDuration(fields: ConfigFields, name: string): number | undefined {
  const text = fields.text(name)
  if (text === undefined) return undefined
  const duration = parseGoDuration(text)
  if (duration === undefined) fields.reject(name, `${JSON.stringify(text)} is not a duration such as 30s or 1m0s`)
  else if (duration < 0) fields.reject(name, `must not be negative, and is ${text}`)
  return duration === undefined || duration < 0 ? undefined : duration
}
