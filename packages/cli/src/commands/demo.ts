import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { displayName, parseAddress } from '@pointsman/core'
import { openChangeLogWriter, readRecording } from '@pointsman/core/io'
import type { Command } from 'commander'
import { type Context, warn } from '../context.js'
import { type Demo, demoText } from '../demo/demo-text.js'
import { runDemo } from '../demo/run-demo.js'
import { byteStream } from '../input/open-input.js'
import { formatCount } from '../output/duration.js'
import { createProgress } from '../output/progress.js'
import { shellWord } from '../output/shell-word.js'
import { withExamples } from '../output/with-examples.js'

interface DemoOptions {
  readonly recording?: readonly string[]
}

export function registerDemo(program: Command, context: Context): void {
  const command = program
    .command('demo')
    .summary('tell the incident in the bundled recording, or in your own')
    .description(
      'Imports a recording into a temporary log, replays it to the mock backend and tells which service lost its endpoints, when, and\n' +
        'which edit by whom was behind it. Needs no cluster and no root.',
    )
    .option(
      '--recording <file>',
      'your own recording, as `pointsman import` takes it (several times)',
      (file: string, files: readonly string[] | undefined) => [...(files ?? []), file],
    )
    .action(async ({ recording = [BUNDLED] }: DemoOptions) => demo(recording, context))
  withExamples(command, ['pointsman demo', 'pointsman demo --recording watch.jsonl.gz'])
}

/** What a source tree has; `--recording` takes any other. */
const BUNDLED = fileURLToPath(new URL('../../../../fixtures/recordings/shop-incident/watch.jsonl', import.meta.url))

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
    `${formatCount(lost)} ${lost === 1 ? 'line of the recording was' : 'lines of the recording were'} left out: \`pointsman import\` says why`,
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
