import fc from 'fast-check'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type FuzzBase, readBase, RECORDING } from './fuzz/fuzz-base.js'
import { fuzzCase } from './fuzz/fuzz-cases.js'
import { FuzzWorker, type Judged, kindOf, shrink, writeCase } from './fuzz/fuzz-pool.js'
import { runPointsmanProcess } from './support/run-pointsman.js'

const { seed: globalSeed, numRuns = 100 } = fc.readConfigureGlobal()
const seed = globalSeed ?? Date.now() % 1_000_000_000

/** About 30 s on two processors; a soak's numRuns makes it ten minutes. */
const CASES = Number(process.env['POINTSMAN_FUZZ_CASES'] ?? 3 * numRuns)
const FIRST = Number(process.env['POINTSMAN_FUZZ_FIRST'] ?? 0)
/** Where others keep the machine busy fewer cases are tried. */
const LIMIT_MS = Math.min(CASES * 400, 1_800_000)
const WORKERS = 2
/** Of different kinds. */
const MAX_FAILURES = Number(process.env['POINTSMAN_FUZZ_FAILURES'] ?? 5)

let folder: string
let base: FuzzBase
/** What failed is left for whoever looks into it. */
let keep = false

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'pointsman-fuzz-'))
  const logs = ['shop.db', 'synced.db']
  const [shop = '', synced = ''] = logs.map((name) => join(folder, name))
  for (const argv of [
    ['import', RECORDING, '--log', shop],
    ['replay', shop, '--record', synced, '--cluster-cidr', '10.244.0.0/16'],
  ])
    if ((await runPointsmanProcess(argv)).status !== 0) throw new Error(`pointsman ${argv.join(' ')} failed`)
  base = readBase([readFileSync(shop), readFileSync(synced)])
})

describe('hostile inputs', () => {
  it(
    'end in an answer or a refusal, in time, in bounds and without raw controls',
    { timeout: 2 * LIMIT_MS + 120_000 },
    async () => {
      const failures = new Map<string, string>()
      const statuses = new Map<number | undefined, number>()
      const started = performance.now()
      let next = FIRST
      const work = async (name: string): Promise<void> => {
        const worker = new FuzzWorker(join(folder, name))
        try {
          while (next < FIRST + CASES && failures.size < MAX_FAILURES && performance.now() - started < LIMIT_MS) {
            const number = next++
            const judged = await worker.judge(fuzzCase(base, seed, number))
            for (const status of judged.statuses) statuses.set(status, (statuses.get(status) ?? 0) + 1)
            const kind = judged.problem === undefined ? undefined : `${judged.step?.argv[0]} ${kindOf(judged.problem)}`
            if (kind === undefined || failures.has(kind)) continue
            failures.set(kind, '')
            failures.set(kind, await report(number, judged, worker))
          }
        } finally {
          worker.end()
        }
      }
      await Promise.all(Array.from({ length: WORKERS }, (_, index) => work(`worker-${index}`)))
      console.log(`fuzzed ${next - FIRST} of ${CASES} cases, seed ${seed}`)
      keep = failures.size > 0
      if (keep) expect.fail([...failures.values()].join('\n\n'))
      // A fuzzer whose inputs all are refused, or all are good, tries nothing.
      for (const status of [0, 1, 2]) expect(statuses.get(status)).toBeGreaterThan((next - FIRST) / 20)
    },
  )
})

/** Keeps the case, as small as it could be made, and says how to try it again. */
async function report(number: number, { problem = '' }: Judged, worker: FuzzWorker): Promise<string> {
  const kept = join(folder, `kept-${number}`)
  const smaller = await shrink(fuzzCase(base, seed, number), problem, worker)
  writeCase(smaller, kept)
  const lines = smaller.steps.map(
    ({ argv, stdin }) =>
      `pointsman ${argv.map(shellWord).join(' ')}${argv.includes('-') && stdin !== undefined ? ` < ${stdin}` : ''}`,
  )
  const told = [
    `POINTSMAN_SEED=${seed} POINTSMAN_FUZZ_FIRST=${number} POINTSMAN_FUZZ_CASES=1: ${problem.slice(0, 1500)}`,
    `  cd ${kept}`,
    ...lines.map((line) => `  ${line.slice(0, 500)}`),
  ].join('\n')
  writeFileSync(join(kept, 'report.txt'), `${told}\n`)
  return told
}

const shellWord = (word: string): string =>
  /^[\w./:=-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`

afterAll(() => {
  const left = keep ? readdirSync(folder).filter((name) => !name.startsWith('kept-')) : ['']
  for (const name of left) rmSync(join(folder, name), { recursive: true, force: true })
})
