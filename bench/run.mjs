// npm run bench [-- --events N] [--rounds N] [--keep]
//
// What the engine and its log cost, each beside a bare equivalent in the same run: the same lines through JSON.parse
// alone, say. One process a measurement, several rounds, medians. Aims are from the first issue; docs/performance.md keeps
// the results. Nothing here passes or fails.
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const { values } = parseArgs({
  options: {
    events: { type: 'string', default: '1000000' },
    rounds: { type: 'string', default: '3' },
    keep: { type: 'boolean', default: false },
  },
})
const events = Number(values.events)
const rounds = Number(values.rounds)
const here = fileURLToPath(new URL('.', import.meta.url))
const pointsman = fileURLToPath(new URL('../packages/cli/bin/pointsman.mjs', import.meta.url))
const directory = mkdtempSync(join(tmpdir(), 'pointsman-bench-'))
const recording = join(directory, 'churn.jsonl')
const log = join(directory, 'churn.db')
const rows = []
/** Of the Services of churn.ts: one that changes as often as the middle one, and the one that changes most. */
const [TYPICAL, BUSIEST] = ['team-25/service-625', 'team-0/service-0']

try {
  say(`writing a recording of ${events} events over 5,000 services`)
  const { lines, bytes } = measure('recording.mjs', [recording, String(events)])
  say(`importing ${Math.round(bytes / 1e6)} MB, ${rounds} times`)
  const imported = Array.from({ length: rounds }, () => {
    for (const suffix of ['', '-wal', '-shm', '-lock']) rmSync(log + suffix, { force: true })
    const started = performance.now()
    execFileSync(process.execPath, [pointsman, 'import', recording, '--log', log], { stdio: 'ignore' })
    return lines / ((performance.now() - started) / 1000)
  })
  const parsed = repeat('parse.mjs', [recording]).map(({ perSecond }) => perSecond)
  add('events imported a second (whole command)', {
    aim: 50_000,
    measured: median(imported),
    beside: median(parsed),
    besideWhat: 'JSON.parse of the same lines',
  })

  say('folding')
  const folded = repeat('fold.mjs', [])
  for (const [name, key] of [
    ['events folded a second, applied at the end', 'once'],
    ['events folded a second, applied every 100', 'every100'],
  ]) {
    add(name, {
      aim: 150_000,
      measured: median(folded.map((result) => result[key])),
      beside: median(folded.map(({ bare }) => bare)),
      besideWhat: 'the same events into a bare Map',
    })
  }
  add('log records read a second', {
    measured: median(repeat('read-log.mjs', [log]).map(({ perSecond }) => perSecond)),
  })

  say('reading states at random points')
  const states = repeat('state-at.mjs', [log])
  add(`state at a random point of ${lines} events, ms (median)`, {
    aim: 1000,
    measured: median(states.map((state) => state.median)),
  })
  add('... slowest of 20, ms', { aim: 1000, measured: median(states.map((state) => state.slowest)) })
  const command = Array.from({ length: rounds }, (_, round) => {
    const started = performance.now()
    execFileSync(
      process.execPath,
      [
        pointsman,
        'services',
        '--log',
        log,
        '--at',
        String(Math.floor((lines * (round + 1)) / (rounds + 2))),
        '-o',
        'json',
      ],
      { maxBuffer: 2 ** 30 },
    )
    return performance.now() - started
  })
  add('... `pointsman services --at N -o json`, ms (whole command)', { aim: 1000, measured: median(command) })

  say('asking questions')
  const questions = [
    { name: '`pointsman rules SERVICE`', args: ['rules', TYPICAL], aim: 1000 },
    { name: '`pointsman rules`, all of them', args: ['rules'], aim: 1000 },
    { name: `\`pointsman blame SERVICE\`, of ${recordsOf(TYPICAL)} records`, args: ['blame', TYPICAL], aim: 1000 },
    { name: `... of the busiest, of ${recordsOf(BUSIEST)} records`, args: ['blame', BUSIEST] },
    { name: '`pointsman explain SERVICE`', args: ['explain', TYPICAL], aim: 1000 },
    { name: '... of the busiest', args: ['explain', BUSIEST], aim: 1000 },
    { name: '`pointsman bisect PACKET`', args: ['bisect', `tcp 10.244.1.9 -> ${TYPICAL}`], aim: 5000 },
    { name: '... to the busiest', args: ['bisect', `tcp 10.244.1.9 -> ${BUSIEST}`], aim: 5000 },
    { name: '`pointsman diff -5m --stat`', args: ['diff', '-5m', '--stat'] },
  ]
  for (const { name, args, aim } of questions) {
    const took = Array.from({ length: rounds }, () => {
      const started = performance.now()
      // A difference is status 1, and so is a packet that nothing broke.
      spawnSync(process.execPath, [pointsman, ...args, '--log', log, '--masquerade-all'], { stdio: 'ignore' })
      return performance.now() - started
    })
    add(`${name}, ms (whole command)`, { measured: median(took), ...(aim !== undefined && { aim }) })
  }

  add('bytes an event on disk', {
    aim: 300,
    measured: statSync(log).size / lines,
    beside: bytes / lines,
    besideWhat: 'the recording',
  })

  say('measuring memory')
  const memory = repeat('memory.mjs', [])
  for (const [mode, how] of [
    ['small', 'node --optimize-for-size --max-semi-space-size=1'],
    ['usual', 'node as it is'],
  ]) {
    const of = (key) => median(memory.map((result) => result[mode][key]))
    add(`memory of the state of 10,000 services of 5 endpoints, restored from a log, MB (${how})`, {
      aim: 120,
      measured: of('rss'),
      beside: of('empty'),
      besideWhat: 'the same process before',
    })
    add('... at its peak, MB', { measured: of('peak') })
    add('... live heap, MB', { measured: of('heap') })
  }
  print()
} finally {
  if (values.keep && existsSync(directory)) say(`kept: ${directory}`)
  else rmSync(directory, { recursive: true, force: true })
}

function recordsOf(service) {
  const { stdout } = spawnSync(process.execPath, [pointsman, 'log', service, '--log', log, '-o', 'jsonl'], {
    encoding: 'utf8',
    maxBuffer: 2 ** 30,
  })
  return stdout.split('\n').length - 1
}

function measure(script, args) {
  return JSON.parse(
    execFileSync(process.execPath, ['--expose-gc', join(here, script), ...args], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
    }),
  )
}

function repeat(script, args) {
  return Array.from({ length: rounds }, () => measure(script, args))
}

function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b)
  return sorted[Math.floor((sorted.length - 1) / 2)]
}

function add(what, { aim, measured, beside, besideWhat }) {
  rows.push({
    what,
    aim: aim === undefined ? '' : format(aim),
    measured: format(measured),
    ratio: beside === undefined ? '' : `${(measured / beside).toFixed(2)} of ${format(beside)} (${besideWhat})`,
  })
}

function format(number) {
  return number >= 1000 ? Math.round(number).toLocaleString('en') : number.toFixed(number < 10 ? 2 : 0)
}

function print() {
  console.log(`\nNode ${process.version}, ${rounds} rounds, medians\n`)
  console.log('| what | aim | measured | beside |\n|---|---|---|---|')
  for (const { what, aim, measured, ratio } of rows) console.log(`| ${what} | ${aim} | ${measured} | ${ratio} |`)
}

function say(text) {
  process.stderr.write(`bench: ${text}\n`)
}
