import { createMockBackend } from '@pointsman/backend-mock'
import { DEFAULT_PROXY_CONFIG, findIncidents, NO_SEQ, replay, seq } from '@pointsman/core'
import type { ChangeLogReader, ObjectRecord, Outage, ProxyConfig, Seq } from '@pointsman/core'
import type { RecordingItem, SqliteChangeLog } from '@pointsman/core/io'
import { importRecording } from '../import/import-recording.js'
import type { ImportTally } from '../import/import-recording.js'
import type { Demo } from './demo-text.js'
import { momentAt } from './demo-view.js'

export interface DemoQuestion {
  readonly batches: AsyncIterable<readonly RecordingItem[]>
  readonly log: SqliteChangeLog
  readonly interrupted: AbortSignal
  readonly onBatch?: (tally: ImportTally) => void
  readonly onEvent?: (seq: Seq) => void | Promise<void>
}

/** Imports a recording, replays it to the mock backend, and looks for what broke in it. */
export async function runDemo({
  batches,
  log,
  interrupted,
  onBatch,
  onEvent,
}: DemoQuestion): Promise<Omit<Demo, 'next'>> {
  const tally = await importRecording({ batches, log, interrupted, ...(onBatch && { onBatch }) })
  const config = demoConfig(log)
  const backend = createMockBackend({ config })
  const replayed = await replay({ log, backend, config, signal: interrupted, ...(onEvent && { onEvent }) })
  await backend.close()
  const outages = findIncidents(log.records({ types: ['object'] }))
  const [outage] = outages
  if (outage === undefined) return { tally, replayed, outages }
  const before = await momentAt({ reader: log, seq: seqBefore(log, outage), config, outage })
  const after = await momentAt({ reader: log, seq: outage.emptiedBy.seq, config, outage })
  return { tally, replayed, outages, moments: { before, after } }
}

/** The demo's own configuration: the recording's first node, whose pods are those of its pod CIDRs. */
function demoConfig(reader: ChangeLogReader): ProxyConfig {
  const names: string[] = []
  for (const record of reader.records({ types: ['object'], kinds: ['Node'] }))
    if (record.type === 'object') names.push(record.name)
  const [nodeName] = names.sort()
  return nodeName === undefined
    ? DEFAULT_PROXY_CONFIG
    : { ...DEFAULT_PROXY_CONFIG, nodeName, detectLocal: { mode: 'NodeCIDR' } }
}

/** The last record before the edit, or before the endpoints went where there was none. */
function seqBefore(reader: ChangeLogReader, { emptiedBy, cause }: Outage): Seq {
  const edit = cause.type === 'service-edit' ? startOf(reader, cause.edit.record) : emptiedBy.seq
  const first = Math.min(edit, emptiedBy.seq)
  return first > 1 ? seq(first - 1) : NO_SEQ
}

/** The record that an edit begins with: of a Service that was replaced, the deletion of the one before. */
function startOf(reader: ChangeLogReader, { event, namespace, name, seq: at }: ObjectRecord): Seq {
  if (event !== 'ADDED') return at
  const object = { kind: 'Service', namespace, name } as const
  const [before] = reader.records({ object, toSeq: seq(at - 1), descending: true, limit: 1 })
  return before?.type === 'object' && before.event === 'DELETED' ? before.seq : at
}
