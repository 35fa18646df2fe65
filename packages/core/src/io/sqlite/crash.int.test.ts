import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import Database from 'better-sqlite3'
import { afterAll, expect, test } from 'vitest'
import type { LogEntry, LogRecord } from '../../model/record.js'
import { churn } from '../../testing/churn.js'
import { openChangeLog, openChangeLogWriter } from './change-log.js'

/** What set-up built: the process that is killed runs without a compiler. */
const BUILT = fileURLToPath(new URL('../../../dist/', import.meta.url))
const ROUNDS = process.env['POINTSMAN_SOAK'] === '1' ? 40 : 2

const CHURN = { services: 40, events: 700, seed: 7 }
const SNAPSHOT_EVERY = 150
const BATCH = 60

/** Appends all events in batches and prints the head after each; ends itself by SIGKILL at the nth time of a step. */
const WRITER = `
  import { openChangeLogWriter } from ${JSON.stringify(join(BUILT, 'io/sqlite/change-log.js'))}
  import { churn } from ${JSON.stringify(join(BUILT, 'testing/churn.js'))}
  import { writeSync } from 'node:fs'
  const [file, durability, step, nth] = process.argv.slice(1)
  let seen = 0
  const onStep = (name) => { if (name === step && ++seen === Number(nth)) process.kill(process.pid, 'SIGKILL') }
  const log = openChangeLogWriter(file, { durability, snapshotEvery: ${SNAPSHOT_EVERY}, onStep })
  const events = [...churn(${JSON.stringify(CHURN)})]
  const start = events[0].observedAt
  for (let from = 0; from < events.length; from += ${BATCH}) {
    onStep('before')
    log.appendSync(events.slice(from, from + ${BATCH}).map((event) => ({ type: 'event', event })))
    writeSync(1, log.head + '\\n')
    if (from % (${BATCH} * 5) === ${BATCH} * 4 && process.argv[5] === 'prune') log.prune({ maxAgeMs: (log.lastObservedAt - start) / 2, now: log.lastObservedAt })
  }
  log.close()
`

interface Run {
  readonly killed: boolean
  /** The last head that was printed: everything up to it was acknowledged. */
  readonly acknowledged: number
}

function run(
  file: string,
  {
    step,
    nth,
    durability,
    prune,
  }: { readonly step: string; readonly nth: number; readonly durability: string; readonly prune: boolean },
): Run {
  const args = ['--input-type=module', '-e', WRITER, file, durability, step, String(nth), prune ? 'prune' : 'keep']
  const { signal, status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' })
  if (signal === null && status !== 0) throw new Error(stderr)
  return { killed: signal === 'SIGKILL', acknowledged: Number(stdout.trim().split('\n').at(-1) ?? 0) }
}

/** What the log holds when nobody is killed. */
const whole = ((): readonly LogRecord[] => {
  const directory = mkdtempSync(join(tmpdir(), 'pointsman-whole-'))
  const log = openChangeLogWriter(join(directory, 'log.db'), { durability: 'normal' })
  log.appendSync([...churn(CHURN)].map((event): LogEntry => ({ type: 'event', event })))
  const records = [...log.records()]
  log.close()
  rmSync(directory, { recursive: true })
  return records
})()

const kills = new Map<string, number>()
afterAll(() => {
  console.log(`killed at: ${[...kills].map(([step, count]) => `${step} ${count}`).join(', ')}`)
})

test.each(['before', 'begin', 'append', 'snapshot', 'commit', 'committed', 'floor', 'prune'])(
  'killed at the step %s, a log opens, holds all that was acknowledged, and is finished by going on',
  (step) => {
    if (!existsSync(BUILT)) throw new Error('run `npm run check` or `npm test` first: this test runs what they build')
    const prune = step === 'floor' || step === 'prune'
    for (let round = 0; round < ROUNDS; round++) {
      const directory = mkdtempSync(join(tmpdir(), 'pointsman-crash-'))
      const file = join(directory, 'log.db')
      const durability = round % 2 === 0 ? 'full' : 'normal'
      const { killed, acknowledged } = run(file, { step, nth: 1 + round, durability, prune })
      if (killed) kills.set(step, (kills.get(step) ?? 0) + 1)

      if (existsSync(file) && acknowledged > 0) expectIntact(file, acknowledged)
      expect(run(file, { step: 'never', nth: 1, durability, prune })).toMatchObject({ killed: false })
      expectIntact(file, whole.length)
      rmSync(directory, { recursive: true })
    }
    expect(kills.get(step) ?? 0).toBeGreaterThan(0)
  },
)

function expectIntact(file: string, acknowledged: number): void {
  const log = openChangeLog(file)
  const records = [...log.records()]
  const { firstSeq, counts } = log.info()
  expect(records.at(-1)?.seq).toBeGreaterThanOrEqual(acknowledged)
  expect(records).toEqual(whole.slice(firstSeq - 1, records.at(-1)?.seq))
  expect(counts.object + counts.bookmark).toBe(records.length)
  log.close()
  const db = new Database(file, { readonly: true })
  expect(db.pragma('integrity_check', { simple: true })).toBe('ok')
  db.close()
}
