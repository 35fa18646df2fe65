/** What ends a list or a watch before its time, and what is done about it. */
export const WATCH_ERRORS = {
  EXPIRED: 'the server no longer has the history that the watch or list needs: everything is listed again',
  TOO_NEW:
    'the server has not come as far as what is known: it is waited for, and if it does not come, its history was replaced and everything is listed',
  STREAMING_LIST_REFUSED: 'the server cannot send a list as a watch: pages are asked for in its place',
  UNAUTHORIZED:
    'the server does not accept the credentials: renew the token or the certificate that the kubeconfig names',
  FORBIDDEN:
    'the server does not allow it: let this user get, list and watch services, endpointslices and nodes, as the ClusterRole system:node-proxier does',
  THROTTLED: 'the server has too much to do: it is asked again later',
  SERVER_ERROR: 'the server failed: it is asked again later; its own log says why',
  REFUSED: 'the server does not take the request: look at its version, and at what stands between',
  CLOSED_AT_ONCE: 'the server closes watches as soon as they begin: look at what stands between',
  CLOSED_EARLY: 'the connection ended in the midst of an event or a list: what was lost is asked for again',
  SILENT: 'nothing came any more, not even a bookmark: the connection is given up and made anew',
  GARBLED: 'what came is no event or list: it is asked for again; look at what stands between',
  TOO_LONG: 'an event or a page is longer than the limit: it is asked for again; look for an enormous object',
  LIST_TOO_LONG:
    'a list does not end, or there are more objects than any cluster has: it is asked for again; look at what answers',
  ENDED_BY_SERVER: 'the server ended the watch with an error: it is watched again from where it was',
  NO_ANSWER: 'the request got no answer',
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

export type Remedy =
  /** The same again, after a pause. */
  | 'retry'
  /** The position in the history is of no use any more. */
  | 'relist'
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
