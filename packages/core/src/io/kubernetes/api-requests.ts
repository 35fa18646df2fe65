import type { ApiRequest } from '../../ports/api-server.js'
import type { WatchedKind } from './watch-kind.js'

/** How list and watch are asked for: https://kubernetes.io/docs/reference/using-api/api-concepts/ */

/** A watch of what changes after a resourceVersion. */
export const watchRequest = (
  watched: WatchedKind,
  { resourceVersion, timeoutSeconds }: { readonly resourceVersion: string; readonly timeoutSeconds: number },
): ApiRequest => ({
  path: watched.path,
  query: {
    ...watched.selectors,
    watch: '1',
    resourceVersion,
    allowWatchBookmarks: 'true',
    timeoutSeconds: String(timeoutSeconds),
  },
})

/** A watch that begins with all objects, and says by a bookmark when it has sent them. */
export const streamingListRequest = (
  watched: WatchedKind,
  { atLeast, timeoutSeconds }: AtLeast & { readonly timeoutSeconds: number },
): ApiRequest => ({
  path: watched.path,
  query: {
    ...watched.selectors,
    watch: '1',
    sendInitialEvents: 'true',
    ...(atLeast !== undefined && { resourceVersion: atLeast }),
    resourceVersionMatch: 'NotOlderThan',
    allowWatchBookmarks: 'true',
    timeoutSeconds: String(timeoutSeconds),
  },
})

/**
 * One page of a list. The first of a list names no resourceVersion, and so asks for the newest: `0`, which client-go
 * begins with, may be answered from the past and makes the server ignore the limit. Where something is known already, the list
 * must not be older than that. A page that follows says neither: its token does.
 */
export const pageRequest = (
  watched: WatchedKind,
  { atLeast, pageSize, continueToken }: AtLeast & { readonly pageSize: number; readonly continueToken?: string },
): ApiRequest => ({
  path: watched.path,
  query: {
    ...watched.selectors,
    limit: String(pageSize),
    ...(continueToken !== undefined
      ? { continue: continueToken }
      : atLeast !== undefined && { resourceVersion: atLeast, resourceVersionMatch: 'NotOlderThan' }),
  },
})

/** Asks for one object, to hear whether the server has come as far as a resourceVersion. */
export const probeRequest = (watched: WatchedKind, resourceVersion: string): ApiRequest =>
  pageRequest(watched, { atLeast: resourceVersion, pageSize: 1 })

export interface AtLeast {
  /** The resourceVersion that the answer may not be older than; absent: the newest that there is, whatever is known. */
  readonly atLeast?: string
}

/** From five to ten minutes, as client-go asks, so that the watches of many nodes do not end together. */
export const watchTimeoutSeconds = (random: () => number): number => Math.floor(300 * (1 + random()))
