// node bench/fleet.mjs [--nodes N] [--services N] [--endpoints N] [--changes N] [--minutes N] [--keep]
//
// What one recorder for a whole cluster has to take: a deterministic hour of 5,000 Nodes that send heartbeats and of 10,000 Services of 15
// endpoints that change, through `pointsman import`, which writes the log that `pointsman record` writes; then questions about every node of
// that log. Processor time, user and system, all threads, beside JSON.parse of the same lines. docs/fleet.md keeps the results.
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const { values } = parseArgs({
  options: {
    nodes: { type: 'string', default: '5000' },
    services: { type: 'string', default: '10000' },
    endpoints: { type: 'string', default: '15' },
    changes: { type: 'string', default: '100000' },
    minutes: { type: 'string', default: '60' },
    keep: { type: 'boolean', default: false },
  },
})
const [nodes, services, endpointsPerService, changes, minutes] = [
  values.nodes,
  values.services,
  values.endpoints,
  values.changes,
  values.minutes,
].map(Number)
const here = fileURLToPath(new URL('.', import.meta.url))
const pointsman = fileURLToPath(new URL('../packages/cli/bin/pointsman.mjs', import.meta.url))
const directory = mkdtempSync(join(tmpdir(), 'pointsman-bench-fleet-'))
const recording = join(directory, 'hour.jsonl')
const lists = join(directory, 'lists.jsonl')
const REPORT = "data:text/javascript,process.on('exit',()=>console.error(JSON.stringify(process.resourceUsage())))"

try {
  const shape = { nodes, services, endpointsPerService, changeEveryMs: (minutes * 60_000) / changes }
  const ofLists = record(lists, 0, shape)
  const ofHour = record(recording, changes, shape)
  const heartbeats = ofHour.lines - ofLists.lines - changes
  const bytes = ofHour.bytes - ofLists.bytes
  say(`${nodes} nodes, ${services} Services, ${services * endpointsPerService} endpoints, ${minutes} minutes`)
  say(
    `lists: ${ofLists.lines} objects, ${mb(ofLists.bytes)} MB; then ${changes} changes and ${heartbeats} heartbeats, ${mb(bytes)} MB`,
  )
  const before = imported(lists)
  const after = imported(recording)
  const { perProcessorSecond } = JSON.parse(
    execFileSync(process.execPath, [join(here, 'parse.mjs'), recording], { encoding: 'utf8' }),
  )
  say(`the lists alone: ${before.seconds.toFixed(1)} s, log ${mb(before.size)} MB, peak ${before.peak} MB`)
  say(`the hour with them: ${after.seconds.toFixed(1)} s, log ${mb(after.size)} MB, peak ${after.peak} MB`)
  const events = ofHour.lines - ofLists.lines
  const rate = events / (after.seconds - before.seconds)
  say(
    `events a second of processor time: ${Math.round(rate)}, ${(rate / perProcessorSecond).toFixed(2)} of JSON.parse alone (${Math.round(perProcessorSecond)})`,
  )
  say(`bytes of log a change: ${Math.round((after.size - before.size) / changes)}`)
  for (const args of [
    ['trace', 'tcp outside -> team-1/service-1:http', '--node', 'all', '--cluster-cidr', '10.64.0.0/10'],
    ['services', '--node', 'all'],
    [
      'bisect',
      `tcp outside -> ${services > 1225 ? 'team-25/service-1225' : 'team-25/service-25'}:http`,
      '--node',
      'all',
      '--cluster-cidr',
      '10.64.0.0/10',
    ],
  ]) {
    const { seconds, peak } = run([...args, '--log', after.log])
    say(`${args[0]} --node all: ${seconds.toFixed(1)} s, peak ${peak} MB`)
  }
} finally {
  if (values.keep) say(`kept: ${directory}`)
  else rmSync(directory, { recursive: true, force: true })
}

function record(file, events, shape) {
  const args = [join(here, 'recording.mjs'), file, String(events), JSON.stringify(shape)]
  return JSON.parse(execFileSync(process.execPath, args, { encoding: 'utf8' }))
}

function imported(file) {
  const log = file.replace(/jsonl$/, 'db')
  return { ...run(['import', file, '--log', log]), size: statSync(log).size, log }
}

/** Processor seconds of a whole command and the most memory that it had. A packet that reaches nothing, or that nothing broke, is status 1. */
function run(args) {
  const { status, stderr } = spawnSync(process.execPath, ['--import', REPORT, pointsman, ...args], {
    stdio: ['ignore', 'ignore', 'pipe'],
    encoding: 'utf8',
    maxBuffer: 2 ** 30,
  })
  const last = stderr.trim().split('\n').at(-1)
  if (status !== 0 && status !== 1) throw new Error(`${args.join(' ')}: status ${status}: ${stderr.slice(-500)}`)
  const { userCPUTime, systemCPUTime, maxRSS } = JSON.parse(last)
  return { seconds: (userCPUTime + systemCPUTime) / 1e6, peak: Math.round(maxRSS / 1024) }
}

function mb(size) {
  return Math.round(size / 1e6)
}

function say(text) {
  console.log(text)
}
