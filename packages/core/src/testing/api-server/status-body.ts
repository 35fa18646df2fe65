import type { JsonObject } from '../../model/kubernetes-object.js'

/** A refusal, as the API server words one: the body of an answer, or the object of an ERROR event. */
export interface StatusBody {
  readonly code: number
  readonly body: JsonObject
  /** Whole seconds: the answer's Retry-After. */
  readonly retryAfterSeconds?: number
}

const REASONS: { readonly [code: number]: string } = {
  400: 'BadRequest',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'NotFound',
  405: 'MethodNotAllowed',
  409: 'AlreadyExists',
  410: 'Expired',
  415: 'UnsupportedMediaType',
  422: 'Invalid',
  429: 'TooManyRequests',
  500: 'InternalError',
  503: 'ServiceUnavailable',
  504: 'Timeout',
}

/** `code`: an HTTP status. `details`: of the body, before retryAfterSeconds. */
export function statusBody(
  code: number,
  message: string,
  { retryAfterSeconds, details, metadata = {} }: StatusExtras = {},
): StatusBody {
  const allDetails = { ...details, ...(retryAfterSeconds !== undefined && { retryAfterSeconds }) }
  return {
    code,
    body: {
      kind: 'Status',
      apiVersion: 'v1',
      metadata,
      status: 'Failure',
      message,
      reason: REASONS[code] ?? 'InternalError',
      ...(Object.keys(allDetails).length > 0 && { details: allDetails }),
      code,
    },
    ...(retryAfterSeconds !== undefined && { retryAfterSeconds }),
  }
}

export interface StatusExtras {
  readonly retryAfterSeconds?: number
  readonly details?: JsonObject
  readonly metadata?: JsonObject
}

/** A resourceVersion that the server has not come to. */
export const tooLargeResourceVersion = (asked: number, current: number, retryAfterSeconds = 1): StatusBody =>
  statusBody(504, `Timeout: Too large resource version: ${asked}, current: ${current}`, {
    retryAfterSeconds,
    details: { causes: [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }] },
  })

/** A resourceVersion that history does not reach back to. */
export const tooOldResourceVersion = (asked: number, oldest: number): StatusBody =>
  statusBody(410, `too old resource version: ${asked} (${oldest})`)

/** What a server says whose store cannot do streaming lists, in an ERROR event. */
export const streamingListsUnsupported = (): StatusBody =>
  statusBody(
    500,
    'a watch stream was requested by the client but the required storage feature RequestWatchProgress is disabled',
  )
