import type { RefusedService, ReplaySummary } from '@pointsman/core'
import { countOf, formatCount, formatDuration, shellWord } from '../../output/format-text.js'
import { pointJson, refusedItem } from '../../output/json.js'
import type { Style } from '../../output/terminal.js'
import type { ReplaySummaryJson } from './schema.js'

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
