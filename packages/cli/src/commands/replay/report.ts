import { type Context, modesOf } from '../../context.js'
import type { RefusedService, ReplaySummary } from '@pointsman/core'
import { DATAPLANES } from '../../dataplanes.js'
import { countOf, formatCount, formatDuration, shellWord } from '../../output/format-text.js'
import { pointJson, refusedItem } from '../../output/json.js'
import {
  documentHead,
  flag,
  integer,
  listOf,
  objectOf,
  oneOfNames,
  optional,
  point,
  refusedServicePort,
  required,
  text,
  type DocumentJson,
} from '../../output/schema.js'
import type { Style } from '../../output/terminal.js'

/** The backends that a replay can have, in the order of the help text: mock, each data plane, none. The first is the default. */
export const replayBackends = (context: Pick<Context, 'dataplanes'>): readonly string[] => [
  'mock',
  ...modesOf(context),
  'none',
]

const lastSync = objectOf('Sync', {
  fromSeq: required(integer, 'the first record that it carried, as numbered in the log that was recorded to, if any'),
  toSeq: required(integer, 'the last record that it carried'),
  full: required(flag, 'whether everything was written, or only a difference'),
  rules: required(integer, 'rules in force after it'),
  digest: required(text, 'of what is in force after it: equal states and configurations give equal digests'),
})

/** What `pointsman replay -o json` prints: the same for the same log and settings, whatever the speed. */
export const replaySummary = objectOf('ReplaySummary', {
  ...documentHead('ReplaySummary'),
  at: required(point, 'the last record that was played'),
  log: required(text, 'the path of the log'),
  backend: required(oneOfNames(...replayBackends({ dataplanes: DATAPLANES })), 'where the syncs went'),
  events: required(integer, 'watch events that were played'),
  syncs: required(integer, 'runs of the backend that succeeded'),
  failures: required(integer, 'runs that failed'),
  servicePorts: required(integer, 'service ports in the last state'),
  spanMs: required(integer, "from the first to the last event, in the recording's time"),
  last: optional(lastSync, 'the last sync that succeeded'),
  refused: optional(
    listOf(refusedServicePort),
    'service ports that kept their previous rules in that sync; absent where none did',
  ),
  recordedTo: optional(text, 'the log that keeps the events and syncs'),
})
type ReplaySummaryJson = DocumentJson<typeof replaySummary>

/** Service ports that the last sync left with their previous rules. */
export const refusedOf = ({ last }: Pick<ReplaySummary, 'last'>): readonly RefusedService[] =>
  last?.result.refused ?? []

export interface ReplayReport {
  readonly summary: ReplaySummary
  readonly backend: string
  /** The log that was replayed, and how far. */
  readonly path: string
  readonly seq: number
  readonly time?: number
  /** The log that keeps the events and syncs of this run. */
  readonly recordedTo?: string
  readonly elapsedMs: number
}

export function replayText(
  { summary, backend, path, seq, recordedTo, elapsedMs }: ReplayReport,
  style: Style,
): readonly string[] {
  const { events, syncs, failures, last, spanMs, state } = summary
  const conclusion = `replayed ${formatCount(events)} events of ${path} up to seq ${seq}`
  const lines = [
    `${style.bold(conclusion)}: ${formatDuration(spanMs)} of recording in ${formatDuration(elapsedMs)}`,
    `  service ports  ${formatCount(state.services.size)}`,
    ...(backend === 'none'
      ? []
      : [
          `  syncs          ${formatCount(syncs)} to ${backend}${failures > 0 ? style.red(`, ${formatCount(failures)} failed`) : ''}`,
        ]),
    ...(last === undefined
      ? []
      : [`  in force       ${formatCount(last.result.rules)} rules, digest ${last.result.digest}`]),
  ]
  const refused = refusedOf(summary).length
  if (refused > 0) lines.push(`  refused        ${style.red(countOf(refused, 'service port'))} kept the previous rules`)
  if (recordedTo !== undefined)
    lines.push(`  recorded to    ${recordedTo}`, `next: pointsman log --log ${shellWord(recordedTo)}`)
  return lines
}

export function replayDocument({ summary, backend, path, seq, time, recordedTo }: ReplayReport): ReplaySummaryJson {
  const { events, syncs, failures, last, spanMs, state } = summary
  return {
    kind: 'ReplaySummary',
    at: pointJson({ seq, time }),
    log: path,
    backend,
    events,
    syncs,
    failures,
    servicePorts: state.services.size,
    spanMs,
    last: last && {
      fromSeq: last.fromSeq,
      toSeq: last.toSeq,
      full: last.result.full,
      rules: last.result.rules,
      digest: last.result.digest,
    },
    refused: refusedOf(summary).length === 0 ? undefined : refusedOf(summary).map(refusedItem),
    recordedTo,
  }
}
