import {
  type ChangeLogReader,
  type ConntrackReport,
  type Front,
  frontKey,
  type KubernetesObject,
  type LogInfo,
  NO_SEQ,
  type Recorder,
  type Seq,
  seq as toSeq,
  udpFrontsOf,
} from '@pointsman/core'

/** What the log says of flows that lead to what serves no more: between the two, the agent could not delete all of them. */
export const FLOW_NOTICES = { pending: 'FLOWS_PENDING', cleared: 'FLOWS_CLEARED' } as const

interface FlowNoticesOptions {
  readonly recorder: Pick<Recorder, 'put'>
  readonly now: () => number
  /** The log ends with flows that are pending. */
  readonly pending: boolean
}

/** Notes in the log when flows could not be deleted, and when they are, so that the next start knows whose flows to look for. */
export function flowNotices({ recorder, now, pending }: FlowNoticesOptions): (report: ConntrackReport) => void {
  let isPending = pending
  let isNoted = false
  const put = (code: string, message: string): void =>
    recorder.put({ type: 'notice', observedAt: now(), code, message })
  return (report) => {
    const isLeft = report.type === 'failed' || report.left > 0
    if (isLeft && !isNoted) {
      const why = report.type === 'failed' ? report.error.message : 'a sync came first'
      put(FLOW_NOTICES.pending, `UDP flows to removed endpoints may be left: ${why}`)
    }
    if (!isLeft && isPending) put(FLOW_NOTICES.cleared, 'UDP flows to removed endpoints are deleted')
    isPending = isLeft
    isNoted = isLeft
  }
}

export interface FormerFronts {
  /** Each once: UDP fronts that there were when flows were deleted last, and since. */
  readonly fronts: readonly Front[]
  readonly pending: boolean
}

interface FormerFrontsInput {
  readonly log: Pick<ChangeLogReader, 'records' | 'eachObjectAt'>
  readonly info: LogInfo
  /** Whose syncs count. */
  readonly backend: string
  /** The log's end. */
  readonly seq: Seq
}

/**
 * The UDP fronts that Services had since the last sync whose flows were surely deleted: the agent may have ended before that was
 * done for the last two, and did not do it while the log says that flows are pending. Fronts of the log's end are not among them
 * where nothing changed.
 */
export function formerFrontsOf({ log, info, backend, seq }: FormerFrontsInput): FormerFronts {
  const pendingSeq = firstPending(log)
  const since = maxSeq(clearedSeq(log, { backend, before: pendingSeq ?? seq }), oldestStateOf(info))
  const fronts = new Map<string, Front>()
  const add = (object: KubernetesObject): void => {
    for (const front of udpFrontsOf([object])) fronts.set(frontKey(front), front)
  }
  const changed = new Set<string>()
  if (since < seq) {
    for (const record of log.records({ fromSeq: toSeq(since + 1), types: ['object'], kinds: ['Service'] })) {
      if (record.type !== 'object') continue
      add(record.object)
      const { namespace, name } = record
      if (changed.size > MOST_LOOKED_UP || changed.has(`${namespace}/${name}`) || since === NO_SEQ) continue
      changed.add(`${namespace}/${name}`)
      const object = { kind: 'Service', namespace, name } as const
      for (const before of log.records({ toSeq: since, types: ['object'], object, descending: true, limit: 1 }))
        if (before.type === 'object' && before.event !== 'DELETED') add(before.object)
    }
    if (changed.size > MOST_LOOKED_UP || (info.pruned && changed.size > 0)) log.eachObjectAt(since, add)
  }
  return { fronts: [...fronts.values()], pending: pendingSeq !== undefined }
}

/** From where on flows are pending; undefined: none are. */
function firstPending(log: Pick<ChangeLogReader, 'records'>): Seq | undefined {
  let first: Seq | undefined
  for (const record of log.records({ types: ['notice'], descending: true, limit: MOST_NOTICES })) {
    if (record.type !== 'notice') continue
    if (record.code === FLOW_NOTICES.cleared) break
    if (record.code === FLOW_NOTICES.pending) first = record.seq
  }
  return first
}

/** Where the last sync ended after which two more succeeded: its flows were deleted, and looked at once more. */
function clearedSeq(
  log: Pick<ChangeLogReader, 'records'>,
  { backend, before }: { readonly backend: string; readonly before: Seq },
): Seq {
  let later = 0
  for (const record of log.records({ types: ['sync'], toSeq: before, descending: true, limit: MOST_SYNCS })) {
    if (record.type !== 'sync' || record.backend !== backend || record.error !== undefined) continue
    if (later++ === 2) return record.toSeq
  }
  return NO_SEQ
}

/** The first position whose state a log can tell, after what retention has removed. */
function oldestStateOf({ pruned, firstSeq, lastSeq }: LogInfo): Seq {
  if (!pruned) return NO_SEQ
  return firstSeq === NO_SEQ ? lastSeq : toSeq(firstSeq - 1)
}

const maxSeq = (one: Seq, other: Seq): Seq => (one > other ? one : other)

/** Beyond so many Services, reading the whole state is cheaper than one after the other. */
const MOST_LOOKED_UP = 200
const MOST_NOTICES = 1000
const MOST_SYNCS = 100
