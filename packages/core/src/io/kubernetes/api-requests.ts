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

/**
 * Asks for one object, as cheaply as a server can read: by its name. `at`: as it was at that resourceVersion, which a server that
 * never was there refuses; absent: as it is, by a consistent read. Without an object, for any one of the kind. A list, as whoever
 * may list the kind need not be allowed to get one.
 */
export function checkRequest(
  { path, selectors }: WatchedKind,
  object: { readonly namespace: string; readonly name: string } | undefined,
  at?: string,
): ApiRequest {
  const version = at === undefined ? {} : { resourceVersion: at, resourceVersionMatch: 'Exact' }
  if (object === undefined) return { path, query: { ...selectors, ...version, limit: '1' } }
  const { namespace, name } = object
  // The selectors of the watch: to it, an object that they no longer select is deleted.
  const fieldSelector = [...new Set([selectors['fieldSelector'] ?? [], `metadata.name=${name}`].flat())].join()
  const cut = path.lastIndexOf('/')
  return {
    path: namespace === '' ? path : `${path.slice(0, cut)}/namespaces/${namespace}${path.slice(cut)}`,
    query: { ...selectors, fieldSelector, ...version, limit: '1' },
  }
}

export interface AtLeast {
  /** The resourceVersion that the answer may not be older than; absent: the newest that there is, whatever is known. */
  readonly atLeast?: string
}

/** From five to ten minutes, as client-go asks, so that the watches of many nodes do not end together. */
export const watchTimeoutSeconds = (random: () => number): number => Math.floor(300 * (1 + random()))
