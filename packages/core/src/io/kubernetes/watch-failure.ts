import { assertNever } from '../../model/language.js'
import { printable } from '../../model/shown-text.js'
import { parseJson, readStatus, type ApiStatus } from './answer.js'

/** What ends a list or a watch before its time, and what is done about it. */
export const WATCH_ERRORS = {
  EXPIRED: 'the requested resourceVersion is too old (compacted): relisting',
  TOO_NEW:
    "the server's resourceVersion is behind ours; waiting for it to catch up, then relisting (was the cluster restored from a backup?)",
  RESTORED:
    "the server's history is not the one that was followed (was etcd restored from a backup?): relisting everything",
  STREAMING_LIST_REFUSED: 'the server does not support streaming lists: falling back to paginated lists',
  UNAUTHORIZED: 'the server rejected the credentials: renew the token or the certificate in the kubeconfig',
  FORBIDDEN:
    'permission denied: grant this user list and watch on services, endpointslices and nodes (ClusterRole system:node-proxier)',
  THROTTLED: 'the server is overloaded: backing off',
  SERVER_ERROR: "internal server error: backing off; see the API server's log",
  REFUSED: 'the server rejected the request: check its version, and proxies and load balancers on the path',
  CLOSED_AT_ONCE: 'watches are closed immediately: check proxies and load balancers on the path',
  CLOSED_EARLY: 'the connection closed within an event or list: resuming from the last complete one',
  SILENT: 'no event or bookmark received in time: reconnecting',
  GARBLED: 'the response is not a watch event or list: retrying; check proxies and load balancers on the path',
  TOO_LONG: 'an event or list page exceeds the size limit: retrying; check for very large objects',
  LIST_TOO_LONG: 'the list exceeds the limits on time or number of objects: retrying; check the server',
  ENDED_BY_SERVER: 'the server ended the watch with an error: resuming',
  NO_ANSWER: 'no response to the request',
} as const

export type WatchErrorCode = keyof typeof WATCH_ERRORS

/** Why a request ended, and what follows from it. */
export interface Failure {
  /** One of WATCH_ERRORS, or the code of the ApiServerError that the connection failed with. */
  readonly code: string
  /** One line: what it means, what to do, and what the server or the connection said. */
  readonly message: string
  readonly remedy: Remedy
  /** The server asked to be left alone so long. */
  readonly retryAfterMs?: number
}

type Remedy =
  /** The same again, after a pause. */
  | 'retry'
  /** The position in the history is of no use any more. */
  | 'relist'
  /** Nothing that is known can be relied on. */
  | 'relist-all'
  /** The same list, in pages. */
  | 'list-in-pages'
  /** The same again, and if that does not help a list that need not be as new as what is known. */
  | 'wait-for-newer'
  /** The same again, and if that does not help a list. */
  | 'retry-then-relist'

export function failureOf(
  code: WatchErrorCode,
  { remedy = 'retry', detail = '', retryAfterMs }: { remedy?: Remedy; detail?: string; retryAfterMs?: number } = {},
): Failure {
  const message = detail === '' ? WATCH_ERRORS[code] : `${WATCH_ERRORS[code]} (${detail})`
  return { code, message, remedy, ...(retryAfterMs !== undefined && { retryAfterMs }) }
}

/** How an answer ended. */
export type Ending =
  /** By the server, where an answer may end. */
  | { readonly type: 'closed' }
  /** By the server, within a line. */
  | { readonly type: 'cut'; readonly pendingBytes: number }
  /** It was none: another status than 200. */
  | {
      readonly type: 'refused'
      readonly status: number
      readonly headers: Readonly<Record<string, string | undefined>>
      readonly body: Uint8Array
    }
  | { readonly type: 'silent'; readonly afterMs: number }
  | { readonly type: 'too-long'; readonly limitBytes: number }
  /** By the connection, or it was never made. */
  | { readonly type: 'threw'; readonly error: unknown }

/** What was asked for. */
export type Asked = 'watch' | 'streaming-list' | 'page' | 'check'

/** What an answer that ended means; undefined where it has done its duty. `now` in milliseconds since 1970 UTC. */
export function failureOfEnding(ending: Ending, asked: Asked, now: number): Failure | undefined {
  switch (ending.type) {
    case 'closed':
      return undefined
    case 'cut':
      return failureOf('CLOSED_EARLY', { detail: `${ending.pendingBytes} bytes of an unfinished event` })
    case 'silent':
      return failureOf('SILENT', { detail: `for ${Math.round(ending.afterMs / 1000)} s` })
    case 'too-long':
      return failureOf('TOO_LONG', { remedy: 'retry-then-relist', detail: `more than ${ending.limitBytes} bytes` })
    case 'threw':
      return failureOfException(ending.error)
    case 'refused': {
      const parsed = parseJson(ending.body)
      const status = readStatus('value' in parsed ? parsed.value : undefined)
      const retryAfterMs = retryAfter(ending.headers['retry-after'], now) ?? secondsToMs(status.retryAfterSeconds)
      return failureOfStatus({ ...status, code: ending.status }, asked, retryAfterMs)
    }
    default:
      return assertNever(ending)
  }
}

/** What a watch's ERROR event means. */
export const failureOfErrorEvent = (status: ApiStatus, asked: Asked): Failure =>
  failureOfStatus(status, asked, secondsToMs(status.retryAfterSeconds), 'ENDED_BY_SERVER')

function failureOfStatus(
  status: ApiStatus,
  asked: Asked,
  retryAfterMs: number | undefined,
  otherwise: 'ENDED_BY_SERVER' | 'SERVER_ERROR' = 'SERVER_ERROR',
): Failure {
  const { code = 0 } = status
  const detail = [code === 0 ? '' : String(code), status.reason, status.message].filter((part) => part !== '').join(' ')
  const more = { detail, ...(retryAfterMs !== undefined && { retryAfterMs }) }
  if (isTooNew(status)) return failureOf('TOO_NEW', { ...more, remedy: 'wait-for-newer' })
  if (code === 410 || status.reason === 'Expired' || status.reason === 'Gone')
    return failureOf('EXPIRED', { ...more, remedy: 'relist' })
  if (asked === 'streaming-list' && refusesStreaming(status))
    return failureOf('STREAMING_LIST_REFUSED', { ...more, remedy: 'list-in-pages' })
  if (code === 401) return failureOf('UNAUTHORIZED', more)
  if (code === 403) return failureOf('FORBIDDEN', more)
  if (code === 429) return failureOf('THROTTLED', more)
  if (code >= 400 && code < 500) {
    // 400 and 422 may mean a resourceVersion that the server cannot read, as after a change of its storage.
    const afterRefusal = asked === 'watch' ? 'relist' : 'wait-for-newer'
    return failureOf('REFUSED', { ...more, remedy: code === 400 || code === 422 ? afterRefusal : 'retry' })
  }
  return failureOf(otherwise, more)
}

// Servers before 1.18.6 say it in words alone, and some pass on what etcd says.
const isTooNew = ({ causes, message }: ApiStatus): boolean =>
  causes.includes('ResourceVersionTooLarge') ||
  /Too large resource version|required revision is a future revision/.test(message)

/** 400 and 422 is how validation answers; 500 is a store that does not know its own position. */
const refusesStreaming = ({ code, message }: ApiStatus): boolean =>
  code === 400 || code === 422 || /required storage feature|sendInitialEvents|WatchList/.test(message)

function failureOfException(error: unknown): Failure {
  const { message = String(error) } = error instanceof Error ? error : {}
  const code = error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
  if (code === undefined || !isOurs(error)) return failureOf('NO_ANSWER', { detail: printable(message) })
  return { code, message: printable(message), remedy: 'retry' }
}

/** An ApiServerError has a message for users; what the operating system throws has a code too, but none for them. */
const isOurs = (error: unknown): boolean => error instanceof Error && error.name === 'ApiServerError'

/** Retry-After is in seconds, or a date. https://www.rfc-editor.org/rfc/rfc9110#name-retry-after */
function retryAfter(header: string | undefined, now: number): number | undefined {
  if (header === undefined) return undefined
  if (/^[0-9]+$/.test(header)) return secondsToMs(Number(header))
  const date = Date.parse(header)
  return Number.isNaN(date) ? undefined : bounded(date - now)
}

const secondsToMs = (seconds: number | undefined): number | undefined =>
  seconds === undefined ? undefined : bounded(seconds * 1000)

// A server that asks for hours is mistaken, or is no API server: rules must not be that old.
const LONGEST_WAIT_MS = 300_000
const bounded = (ms: number): number => Math.min(LONGEST_WAIT_MS, Math.max(0, ms))
