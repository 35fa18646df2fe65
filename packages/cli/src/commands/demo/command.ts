import {
  type ChangeLogReader,
  DEFAULT_PROXY_CONFIG,
  displayName,
  findIncidents,
  NO_SEQ,
  type ObjectRecord,
  type Outage,
  parseAddress,
  type ProxyConfig,
  replay,
  seq,
  type Seq,
} from '@pointsman/core'
import { openChangeLogWriter, readRecording, type RecordingItem, type SqliteChangeLog } from '@pointsman/core/io'
import type { Command } from 'commander'
import { existsSync, mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { type Context, warn } from '../../context.js'
import { createMockBackend } from '../../dataplanes.js'
import { byteStream } from '../../input/open-input.js'
import { formatCount, shellWord, withExamples } from '../../output/format-text.js'
import { createProgress } from '../../output/progress.js'
import { importRecording, type ImportTally } from '../import/import-recording.js'
import { type Demo, demoText, momentAt } from './text.js'

interface DemoOptions {
  readonly recording?: readonly string[]
}

export function registerDemo(program: Command, context: Context): void {
  const command = program
    .command('demo')
    .summary('show the incident in the bundled recording, or in your own')
    .description(
      'Imports a recording into a temporary log, replays it to the mock backend, and shows which Service lost its endpoints, ' +
        'when, and the edit and author that caused it. Requires no cluster and no root.',
    )
    .option(
      '--recording <file>',
      'a recording in a format that `pointsman import` reads (repeatable)',
      (file: string, files: readonly string[] | undefined) => [...(files ?? []), file],
    )
    .action(async ({ recording = [bundledRecording()] }: DemoOptions) => demo(recording, context))
  withExamples(command, ['pointsman demo', 'pointsman demo --recording watch.jsonl.gz'])
}

/** Beside the bundle, which ships; else where a source tree has it. `--recording` takes any other. */
function bundledRecording(): string {
  const shipped = new URL('./shop-incident.jsonl', import.meta.url)
  const source = new URL('../../../../../fixtures/recordings/shop-incident/watch.jsonl', import.meta.url)
  return fileURLToPath(existsSync(shipped) ? shipped : source)
}

async function demo(files: readonly string[], context: Context): Promise<void> {
  const recording = await readRecording(files, byteStream(context.stdin))
  // Kept, so that the commands at the end can be typed.
  const path = join(mkdtempSync(join(tmpdir(), 'pointsman-demo-')), 'demo.db')
  const log = openChangeLogWriter(path, { durability: 'normal' })
  const progress = createProgress(context)
  try {
    const told = await runDemo({
      batches: recording.batches,
      log,
      interrupted: context.interrupted,
      onBatch: ({ events }) => progress.show(() => `importing ${formatCount(events)} events`),
      onEvent: (position) => {
        progress.show(() => `replaying ${formatCount(position)} events`)
        // Ctrl-C is noticed now and then.
        return position % 100 === 0 ? setImmediate() : undefined
      },
    })
    progress.end()
    warnOfLosses(told, context)
    context.stdout.print(demoText({ ...told, next: nextCommands(told, { path, env: context.env }) }, context.style))
  } catch (error) {
    if (!context.interrupted.aborted) throw error
    context.finish(130)
  } finally {
    progress.end()
    log.close()
  }
}

function warnOfLosses({ tally }: Pick<Demo, 'tally'>, context: Context): void {
  const lost = tally.badLines + tally.refused
  if (lost === 0) return
  warn(
    context,
    `${formatCount(lost)} ${lost === 1 ? 'line of the recording was' : 'lines of the recording were'} skipped: run \`pointsman import\` for the reasons`,
  )
  context.finish(2)
}

interface Surroundings {
  readonly path: string
  readonly env: Context['env']
}

function nextCommands(told: Omit<Demo, 'next'>, { path, env }: Surroundings): readonly string[] {
  // Inside `npm start` the command is not on the PATH.
  const command = env['npm_lifecycle_event'] === undefined ? 'pointsman' : 'npx pointsman'
  const log = `--log ${shellWord(path)}`
  const [outage] = told.outages
  if (outage === undefined) return [`${command} services ${log}`]
  const at = `--at ${outage.emptiedBy.seq} ${log}`
  return [
    `${command} log ${outage.service} ${log}`,
    `${command} services ${at}`,
    ...blamed(told, outage.service).map((service) => `${command} blame ${service} ${at}`),
    ...tracedPackets(told).map((packet) => `${command} trace ${packet} ${at}`),
    ...tracedPackets(told).map((packet) => `${command} bisect ${packet} ${log}`),
  ]
}

/** Where there is a node that rules could be for. */
function blamed({ replayed: { state } }: Omit<Demo, 'next'>, service: string): readonly string[] {
  if (state.node === undefined) return []
  return [state.nodes.size > 1 ? `${service} --node ${shellWord(state.node.name)}` : service]
}

/** The node's own packet to what broke, where the node has an address to send it from. */
function tracedPackets({ moments, replayed: { state } }: Omit<Demo, 'next'>): readonly string[] {
  const port = moments?.after.port
  const node = state.node
  if (port === undefined || !node?.addresses.some((address) => parseAddress(address)?.family === port.family)) return []
  const packet = `'${port.protocol.toLowerCase()} node -> ${displayName(port)}'`
  return [state.nodes.size > 1 ? `${packet} --node ${shellWord(node.name)}` : packet]
}

interface DemoQuestion {
  readonly batches: AsyncIterable<readonly RecordingItem[]>
  readonly log: SqliteChangeLog
  readonly interrupted: AbortSignal
  readonly onBatch?: (tally: ImportTally) => void
  readonly onEvent?: (seq: Seq) => void | Promise<void>
}

/** Imports a recording, replays it to the mock backend, and looks for what broke in it. */
async function runDemo({ batches, log, interrupted, onBatch, onEvent }: DemoQuestion): Promise<Omit<Demo, 'next'>> {
  const tally = await importRecording({ batches, log, interrupted, ...(onBatch && { onBatch }) })
  interrupted.throwIfAborted()
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
