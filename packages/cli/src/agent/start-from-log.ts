import {
  type LastSync,
  createStateFold,
  type LogInfo,
  nodeInfoOf,
  type NodeInfo,
  NO_SEQ,
  restoreInSteps,
  seq as toSeq,
  type ChangeLogReader,
  type Front,
  type JsonObject,
  type KubernetesObject,
  type ObjectKind,
  type Seq,
  type StateFold,
} from '@pointsman/core'
import {
  ChangeLogError,
  createKnownObjects,
  type KnownObjects,
  openChangeLog,
  type ResumePoints,
  resumePoints,
} from '@pointsman/core/io'
import { setImmediate as turn } from 'node:timers/promises'
import type { LogStart } from './agent-event.js'
import { formerFrontsOf } from './pending-flows.js'

export interface StartFromLogOptions {
  readonly file: string
  readonly nodeName: string
  /** The backend whose syncs count as applied, by its name in the log. */
  readonly backend: string
  /** Of the machine's present boot; absent: not known. */
  readonly bootId?: string | undefined
  /** A state that is older is not brought into force before the API server has confirmed it; absent: however old. */
  readonly maxAgeMs?: number | undefined
  /** Milliseconds since 1970 UTC. */
  readonly now: () => number
  readonly onWarning: (message: string) => void
  /** Takes an object that reading failed on; absent: the failure is thrown. */
  readonly onUnusable?: (object: KubernetesObject, error: unknown) => void
  /** Called when it is known of which boot the log is: from then on it may be opened for writing, which notes the present one. */
  readonly onIdentified?: () => void
}

/** What an agent begins with. */
export interface AgentStart {
  readonly fold: StateFold
  readonly known: KnownObjects
  /** Where records go on. */
  readonly head: Seq
  readonly lastObservedAt: number
  /** Kinds that had been received whole; none when the state may not be brought into force as it is. */
  readonly received: ReadonlySet<ObjectKind>
  readonly resume: ResumePoints
  readonly appliedSeq?: Seq
  /** Which cluster the log is of; absent: not known. */
  readonly clusterId?: string
  /** Absent: nothing is known. */
  readonly fromLog?: LogStart
  /** UDP fronts whose flows may have to be deleted, besides those of the state. */
  readonly formerFronts: readonly Front[]
  /** The log says that flows could not be deleted. */
  readonly flowsPending: boolean
  /** The configuration that the log holds. */
  readonly config?: JsonObject
  /** The last sync that succeeded, where it is known what it left. */
  readonly lastSync?: LastSync
  /** The log is damaged: nothing is to be appended to it. */
  readonly damage?: ChangeLogError
}

/** What a log tells before its objects are read, which takes seconds where there are many. */
export interface LoggedStart {
  /** The last sync that succeeded, where it is known what it left. */
  readonly lastSync?: LastSync
  /** The state that this sync brought about, where the log has no change since, and the state may be brought into force as it is. */
  readonly synced?: SyncedStart
  /** Reads the objects, in turn with other work, and closes the log. To be called once. */
  readonly read: () => Promise<AgentStart>
}

export interface SyncedStart extends LogStart {
  readonly node: NodeInfo | undefined
}

/**
 * What a log knows, brought to its end. A log that is not there gives an empty start; so does one that cannot be read or is
 * of another node, with a warning: rules come before history.
 */
export function startFromLog(options: StartFromLogOptions): LoggedStart {
  const nothing = (more: Pick<AgentStart, 'damage'> = {}): AgentStart => ({ ...emptyStart(options), ...more })
  let log: ChangeLogReader
  try {
    log = openChangeLog(options.file, { mode: 'read', asOfNow: true })
  } catch (error) {
    if (!(error instanceof ChangeLogError)) throw error
    if (error.code !== 'LOG_NOT_FOUND') options.onWarning(`starting without a log: ${error.message}`)
    options.onIdentified?.()
    return { read: () => Promise.resolve(nothing()) }
  }
  const unreadable = (error: unknown): AgentStart => {
    log.close()
    if (!(error instanceof ChangeLogError)) throw error
    options.onWarning(`starting without a log: ${error.message}`)
    return nothing(error.code === 'LOG_DAMAGED' ? { damage: error } : {})
  }
  try {
    const info = log.info()
    options.onIdentified?.()
    const lastSync = isOfOther(info, options) ? undefined : lastSyncIn(log, info.lastSeq, options)
    const synced = lastSync && syncedIn(log, info, options)
    return {
      ...(lastSync && { lastSync }),
      ...(synced && { synced }),
      read: async () => {
        try {
          const start = await readStart(log, { info, lastSync }, options)
          log.close()
          return start
        } catch (error) {
          return unreadable(error)
        }
      },
    }
  } catch (error) {
    const start = unreadable(error)
    return { read: () => Promise.resolve(start) }
  }
}

const isOfOther = ({ nodeName }: LogInfo, options: StartFromLogOptions): boolean =>
  nodeName !== undefined && nodeName !== options.nodeName

function lastSyncIn(log: ChangeLogReader, seq: Seq, options: StartFromLogOptions): LastSync | undefined {
  const { backend, digest, mark } = log.appliedAt(seq) ?? {}
  return backend === options.backend && digest !== undefined && mark !== undefined ? { digest, mark } : undefined
}

/** A sync with a mark had received all kinds that rules need. */
function syncedIn(log: ChangeLogReader, info: LogInfo, options: StartFromLogOptions): SyncedStart | undefined {
  const { lastSeq: seq, lastAt: at = 0 } = info
  const synced = log.appliedAt(seq)?.toSeq
  if (synced === undefined || isRebooted(info, options) || isTooOld(at, options)) return undefined
  const since = log.records({ fromSeq: toSeq(synced + 1), types: ['object'], limit: 1 })
  if ([...since].length > 0) return undefined
  const notices = log.records({ types: ['notice'], descending: true, limit: MOST_NOTICES })
  // What the sync brought about was not made from all that is in the log.
  for (const notice of notices) if (notice.type === 'notice' && notice.code === 'LOG_UNREAD') return undefined
  const object = log.objectAt(seq, { kind: 'Node', namespace: '', name: options.nodeName })
  return { seq, at, rebooted: false, node: object && nodeInfoOf(object).node }
}

const isRebooted = ({ bootId }: LogInfo, options: StartFromLogOptions): boolean =>
  bootId !== undefined && options.bootId !== undefined && bootId !== options.bootId

const isTooOld = (at: number, { maxAgeMs, now }: StartFromLogOptions): boolean =>
  maxAgeMs !== undefined && now() - at > maxAgeMs

function emptyStart({ nodeName, onUnusable }: Pick<StartFromLogOptions, 'nodeName' | 'onUnusable'>): AgentStart {
  return {
    fold: createStateFold({ nodeName, onUnusable }),
    known: createKnownObjects(),
    head: NO_SEQ,
    lastObservedAt: 0,
    received: new Set(),
    resume: {},
    formerFronts: [],
    flowsPending: false,
  }
}

async function readStart(
  log: ChangeLogReader,
  { info, lastSync }: { readonly info: LogInfo; readonly lastSync: LastSync | undefined },
  options: StartFromLogOptions,
): Promise<AgentStart> {
  const empty = emptyStart(options)
  if (isOfOther(info, options)) {
    options.onWarning(
      `${options.file} is the log of node ${info.nodeName}, not of ${options.nodeName}: use another --log`,
    )
    return empty
  }
  const { fold, known } = empty
  const visit = (object: KubernetesObject): void => known.add(object)
  const restored = await inTurns(restoreInSteps(log, { fold, backend: options.backend, visit }))
  const { seq, at = 0, received, appliedSeq } = restored
  const former =
    appliedSeq === undefined || appliedSeq === NO_SEQ
      ? undefined
      : formerFrontsOf({ log, info, seq, backend: options.backend })
  const config = log.configAt(seq)
  const common = {
    ...empty,
    head: seq,
    lastObservedAt: at,
    ...(former && { formerFronts: former.fronts, flowsPending: former.pending }),
    ...(info.clusterId !== undefined && { clusterId: info.clusterId }),
    ...(appliedSeq !== undefined && { appliedSeq }),
    ...(config !== undefined && { config }),
    ...(lastSync && { lastSync }),
  }
  if (!received.has('Service') || !received.has('EndpointSlice')) return common
  const start: AgentStart = {
    ...common,
    received,
    resume: resumePoints(log.positions(), received),
    fromLog: { seq, at, rebooted: isRebooted(info, options) },
  }
  if (!isTooOld(at, options)) return start
  options.onWarning(
    `the logged state is ${Math.round((options.now() - at) / 1000)} s old, older than --max-log-age-at-start: waiting for the API server`,
  )
  // Everything is listed anew, so that it is known when all of it has been confirmed.
  return common
}

const MOST_NOTICES = 1000

/** Between two steps probes and signals have their turn. */
async function inTurns<Result>(steps: Iterator<unknown, Result, undefined>): Promise<Result> {
  for (;;) {
    const { done, value } = steps.next()
    if (done === true) return value
    await turn()
  }
}
