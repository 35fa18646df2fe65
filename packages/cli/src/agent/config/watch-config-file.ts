import { type FSWatcher, watch } from 'node:fs'
import { readFile, realpath } from 'node:fs/promises'
import { dirname } from 'node:path'
import {
  asyncScheduler,
  concatMap,
  debounceTime,
  EMPTY,
  from,
  interval,
  merge,
  Observable,
  type SchedulerLike,
  take,
  timer,
} from 'rxjs'

export type ConfigFileChange = { readonly type: 'changed' | 'removed' }

export interface ConfigFileToWatch {
  readonly path: string
  /** What was read of it: a change that came before the watch is one, too. */
  readonly text: string
}

export interface WatchTiming {
  /** So long nothing more may happen before the file is looked at: writers write in pieces, and replace by renaming. */
  readonly settleMs?: number
  /** The file is looked at so often whatever is heard of it, as not every file system tells. */
  readonly lookMs?: number
  readonly scheduler?: SchedulerLike
}

/**
 * Says once that a configuration file holds something else than what was read, or is gone, and completes: the process then
 * ends, to be started again with the new one, as kube-proxy does. A write that changes nothing says nothing. What is
 * watched is the folder of the path, and that of the file that it leads to: a ConfigMap volume swaps the link `..data`
 * beside the path, and an editor renames a new file over the old. Never errors.
 */
export function watchConfigFile(
  { path, text }: ConfigFileToWatch,
  { settleMs = 250, lookMs = 5000, scheduler = asyncScheduler }: WatchTiming = {},
): Observable<ConfigFileChange> {
  const heard = from(foldersOf(path)).pipe(
    concatMap((folders) => merge(...folders.map(stirringsIn))),
    debounceTime(settleMs, scheduler),
  )
  const lookNow = async (): Promise<ConfigFileChange | undefined> => look(path, text)
  return merge(from([undefined]), heard, interval(lookMs, scheduler)).pipe(
    concatMap(lookNow),
    // A file that is being written again looks empty, and one that is being replaced gone: only what lasts counts.
    concatMap((change) => (change === undefined ? EMPTY : timer(settleMs, scheduler).pipe(concatMap(lookNow)))),
    concatMap((change) => (change === undefined ? EMPTY : [change])),
    take(1),
  )
}

async function foldersOf(path: string): Promise<readonly string[]> {
  const folder = dirname(path)
  try {
    return [...new Set([folder, dirname(await realpath(path))])]
  } catch {
    return [folder]
  }
}

/** Whenever something happens in a folder. One that cannot be watched, or no longer, is silent. */
const stirringsIn = (folder: string): Observable<void> =>
  new Observable((subscriber) => {
    let watcher: FSWatcher | undefined
    try {
      watcher = watch(folder, { persistent: false }, () => subscriber.next())
      watcher.on('error', () => watcher?.close())
    } catch {
      // Such as without inotify watches left: the file is still looked at now and then.
    }
    return () => watcher?.close()
  })

async function look(path: string, text: string): Promise<ConfigFileChange | undefined> {
  try {
    const now = await readFile(path, 'utf8')
    return withoutMark(now) === text ? undefined : { type: 'changed' }
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    // Whatever else stands in the way of a look says nothing of the file: the next one may see.
    return code === 'ENOENT' || code === 'ENOTDIR' ? { type: 'removed' } : undefined
  }
}

// A reader of text files leaves the byte order mark out.
const withoutMark = (text: string): string => (text.startsWith('\uFEFF') ? text.slice(1) : text)
