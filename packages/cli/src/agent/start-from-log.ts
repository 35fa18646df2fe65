import {
  type LastSync,
  createStateFold,
  NO_SEQ,
  restoreState,
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

/**
 * What a log knows, brought to its end. A log that is not there gives an empty start; so does one that cannot be read or is
 * of another node, with a warning: rules come before history.
 */
export function startFromLog(options: StartFromLogOptions): AgentStart {
  const empty = emptyStart(options)
  let log: ChangeLogReader
  try {
    log = openChangeLog(options.file, { mode: 'read', asOfNow: true })
  } catch (error) {
    if (!(error instanceof ChangeLogError)) throw error
    if (error.code !== 'LOG_NOT_FOUND') options.onWarning(`starting without a log: ${error.message}`)
    options.onIdentified?.()
    return empty
  }
  try {
    return readStart(log, empty, options)
  } catch (error) {
    if (!(error instanceof ChangeLogError)) throw error
    options.onWarning(`starting without a log: ${error.message}`)
    return { ...emptyStart(options), ...(error.code === 'LOG_DAMAGED' && { damage: error }) }
  } finally {
    log.close()
  }
}

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

function readStart(log: ChangeLogReader, empty: AgentStart, options: StartFromLogOptions): AgentStart {
  const info = log.info()
  options.onIdentified?.()
  if (info.nodeName !== undefined && info.nodeName !== options.nodeName) {
    options.onWarning(
      `${options.file} is the log of node ${info.nodeName}, not of ${options.nodeName}: use another --log`,
    )
    return empty
  }
  const { fold, known } = empty
  const visit = (object: KubernetesObject): void => known.add(object)
  const restored = restoreState(log, { fold, backend: options.backend, visit })
  const { seq, at = 0, received, appliedSeq } = restored
  const former =
    appliedSeq === undefined || appliedSeq === NO_SEQ
      ? undefined
      : formerFrontsOf({ log, info, seq, backend: options.backend })
  const config = log.configAt(seq)
  const { backend, digest, mark } = log.appliedAt(seq) ?? {}
  const isKnown = backend === options.backend && digest !== undefined && mark !== undefined
  const common = {
    ...empty,
    head: seq,
    lastObservedAt: at,
    ...(former && { formerFronts: former.fronts, flowsPending: former.pending }),
    ...(info.clusterId !== undefined && { clusterId: info.clusterId }),
    ...(appliedSeq !== undefined && { appliedSeq }),
    ...(config !== undefined && { config }),
    ...(isKnown && { lastSync: { digest, mark } }),
  }
  if (!received.has('Service') || !received.has('EndpointSlice')) return common
  const rebooted = info.bootId !== undefined && options.bootId !== undefined && info.bootId !== options.bootId
  const start: AgentStart = {
    ...common,
    received,
    resume: resumePoints(log.positions(), received),
    fromLog: { seq, at, rebooted },
  }
  const { maxAgeMs } = options
  const ageMs = options.now() - at
  if (maxAgeMs === undefined || ageMs <= maxAgeMs) return start
  options.onWarning(
    `the logged state is ${Math.round(ageMs / 1000)} s old, older than --max-log-age-at-start: waiting for the API server`,
  )
  // Everything is listed anew, so that it is known when all of it has been confirmed.
  return common
}
