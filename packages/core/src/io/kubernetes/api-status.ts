import { isJsonObject } from '../../model/is-json-object.js'
import { printable } from '../../model/shown-text.js'

/** What an API server says of a request that failed: the Status object of a refused request, or of a watch's ERROR event. */
export interface ApiStatus {
  readonly code?: number
  readonly reason: string
  readonly message: string
  /** The reasons in `details.causes`. */
  readonly causes: readonly string[]
  readonly retryAfterSeconds?: number
}

/** Reads a Status; what is none, such as a proxy's page in HTML, gives an empty one. Never throws. */
export function readStatus(value: unknown): ApiStatus {
  if (!isJsonObject(value)) return { reason: '', message: '', causes: [] }
  const { code, reason, message, details } = value
  const { causes, retryAfterSeconds } = isJsonObject(details) ? details : {}
  const reasons = Array.isArray(causes) ? causes.map((cause: unknown) => isJsonObject(cause) && cause['reason']) : []
  return {
    ...(typeof code === 'number' && { code }),
    reason: typeof reason === 'string' ? reason : '',
    message: typeof message === 'string' ? printable(message) : '',
    causes: reasons.filter((cause) => typeof cause === 'string'),
    ...(typeof retryAfterSeconds === 'number' && { retryAfterSeconds }),
  }
}
