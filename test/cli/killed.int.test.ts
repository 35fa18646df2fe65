import { copyFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { LogRecord } from '@pointsman/core'
import { openChangeLog } from '@pointsman/core/io'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { runPointsman, runPointsmanProcess, runScript } from '../support/run-pointsman.js'
import { SHOP_RECORDING, temporaryFolder } from '../support/shop.js'

const folder = temporaryFolder()
afterAll(folder.remove)
const script = (name: string): string => fileURLToPath(new URL(`../support/${name}`, import.meta.url))

const SOAK = process.env['POINTSMAN_SOAK'] === '1'
/** How often it ends at each step, spread over the occurrences, and once it is killed on the way from there; a soak does both at each. */
const ENDS_PER_STEP = SOAK ? Number.POSITIVE_INFINITY : 3

interface Killing {
  readonly script: string
  readonly args: (log: string) => readonly string[]
  /** Runs the command itself, which finishes what was begun. */
  readonly finish: (log: string) => readonly string[]
  readonly steps: readonly string[]
}

/**
 * What each step leaves when the process ends there is checked; then it goes on from there, is killed at that step, and is finished.
 * Answers how often each step was killed at. The first end is a copy of the log's files: one run has all of them.
 */
async function killAtEachStep(
  name: string,
  { script: path, args, finish, steps }: Killing,
): Promise<Readonly<Record<string, number>>> {
  const whole = folder.path(`${name}.db`)
  const { stdout, status } = await runScript(path, ['none', '0', ...args(whole)])
  expect(status).toBe(0)
  const wanted = contents(whole)
  const ends = steps.flatMap((step) => {
    const occurrences = stdout.split('\n').filter((line) => line === `step ${step}`).length
    const chosen = spread(occurrences)
    return chosen.map((occurrence, at) => ({
      step,
      occurrence,
      killsAgain: SOAK || at === Math.floor((chosen.length - 1) / 2),
      log: folder.path(`${name}-${step.replaceAll(' ', '-')}-${occurrence}.db`),
    }))
  })
  const wantedCopies = ends.map(({ step, occurrence, log }) => `${step} ${occurrence} ${log}`).join('\n')
  const copied = await runScript(path, ['copy', wantedCopies, ...args(folder.path(`${name}-copied.db`))])
  expect(copied.status).toBe(0)
  const kills = Object.fromEntries(steps.map((step) => [step, 0]))
  for (const { step, log, killsAgain } of ends) {
    const [before, after] = copied.stdout.split(`copied ${log}\n`)
    expect(after).toBeDefined()
    expectNothingAcknowledgedIsLost(log, acknowledgedBy(before ?? ''), wanted)
    if (killsAgain) {
      const killed = await runScript(path, [step, '1', ...args(log)])
      if (killed.signal === 'SIGKILL') kills[step] = (kills[step] ?? 0) + 1
      // Little is left to do from some ends: the step does not come any more.
      else expect(killed).toMatchObject({ status: 0 })
    }
    const finished = await runPointsman(finish(log))
    expect(finished).toMatchObject({ status: 0 })
    expect(contents(log)).toEqual(wanted)
  }
  return kills
}

function expectNothingAcknowledgedIsLost(log: string, acknowledged: number, wanted: readonly string[]): void {
  const left = contents(log)
  expect(left.length).toBeGreaterThanOrEqual(acknowledged)
  expect(left).toEqual(wanted.slice(0, left.length))
}

const acknowledgedBy = (stdout: string): number =>
  Number([...stdout.matchAll(/^acknowledged (\d+)$/gm)].at(-1)?.[1] ?? 0)

/** Every record as text, which the log must have counted right; empty for a log that was not made yet. */
function contents(path: string): readonly string[] {
  let reader: ReturnType<typeof openChangeLog>
  try {
    reader = openChangeLog(path)
  } catch (error) {
    // Killed before the tables were there: nothing can have been acknowledged.
    expect(error).toMatchObject({ code: expect.stringMatching(/^LOG_NOT/) as string })
    return []
  }
  try {
    const records = [...reader.records()]
    const { counts, kinds } = reader.info()
    expect({ path, counts }).toEqual({ path, counts: tallied(records, counts, ({ type }) => type) })
    const kindOf = (record: LogRecord): string => (record.type === 'object' ? record.kind : '')
    expect({ path, kinds }).toEqual({ path, kinds: tallied(records, kinds, kindOf) })
    return records.map((record) => JSON.stringify(record))
  } finally {
    reader.close()
  }
}

/** What the log should have counted: the names of `names`, each with the number of its records. */
function tallied(
  records: readonly LogRecord[],
  names: object,
  nameOf: (record: LogRecord) => string,
): Readonly<Record<string, number>> {
  const tally = Object.fromEntries(Object.keys(names).map((name) => [name, 0]))
  for (const record of records) {
    const name = nameOf(record)
    if (name in tally) tally[name] = (tally[name] ?? 0) + 1
  }
  return tally
}

function spread(occurrences: number): readonly number[] {
  const count = Math.min(occurrences, ENDS_PER_STEP)
  return Array.from({ length: count }, (_, index) =>
    count === 1 ? 1 : 1 + Math.round((index * (occurrences - 1)) / (count - 1)),
  )
}

const WRITE_STEPS = [
  'before append',
  'begin',
  'append',
  'snapshot',
  'commit',
  'committed',
  'after commit',
  'before close',
  'after close',
]

// Some ten processes a test.
describe('ended at every named step, and by SIGKILL on the way from there,', { timeout: 240_000 }, () => {
  test('an import keeps what it acknowledged, and is finished by running it again', async () => {
    const counts = await killAtEachStep('import', {
      script: script('import-and-die.mjs'),
      args: (log) => [log, SHOP_RECORDING],
      finish: (log) => ['import', SHOP_RECORDING, '--log', log],
      steps: WRITE_STEPS,
    })
    console.log(`kills of import: ${JSON.stringify(counts)}`)
    expect(Object.values(counts)).not.toContain(0)
  })

  const shop = folder.path('shop.db')
  beforeAll(async () => {
    await runPointsmanProcess(['import', SHOP_RECORDING, '--log', shop])
    copyFileSync(shop, folder.path('shop-before.db'))
  })

  test('a replay that records keeps what it acknowledged, and is finished by running it again', async () => {
    const counts = await killAtEachStep('replay', {
      script: script('replay-and-die.mjs'),
      args: (log) => [shop, log],
      finish: (log) => ['replay', shop, '--record', log],
      // A replay's transactions hold one entry each, so that there is no step between two.
      steps: ['before sync', 'after sync', ...WRITE_STEPS.filter((step) => step !== 'append')],
    })
    console.log(`kills of replay: ${JSON.stringify(counts)}`)
    expect(Object.values(counts)).not.toContain(0)
    expect(contents(shop)).toEqual(contents(folder.path('shop-before.db')))
  })
})
