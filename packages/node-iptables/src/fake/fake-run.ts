import { basename } from 'node:path'
import { IptablesError } from '../iptables-error.js'
import type { Run, RunRequest, RunResult } from '../run-process.js'
import { commandProgram } from './command-program.js'
import { endingOf, strikesAtStart } from './faults.js'
import type { Fault, FaultPlan, ProgramName } from './faults.js'
import type { KernelTables } from './kernel-tables.js'
import type { RecordedCall } from './recorded-calls.js'
import { firstOf } from './first-of.js'
import { restoreProgram } from './restore-program.js'
import { saveProgram } from './save-program.js'
import type { Ending } from './spell-failure.js'

export interface FakeRunOptions {
  readonly tables: KernelTables
  readonly faults: FaultPlan
  readonly onCall: (call: RecordedCall) => void
  /** Whether calls have the texts that restores read. */
  readonly keepTexts: boolean
}

/** In the place of runProcess: iptables, its save and its restore, on tables in memory. */
export function fakeRun({ tables, faults, onCall, keepTexts }: FakeRunOptions): Run {
  const run = async (request: RunRequest, called: CallInProgress): Promise<Ending & { readonly stdout?: string }> => {
    const { argv } = request
    const { program } = called
    const fault = faults.take(program)
    if (fault !== undefined && strikesAtStart(fault, program)) return endingOf(fault, { program: tables.program, argv })
    if (program === 'restore') return restore(request, { called, fault })
    const result =
      program === 'save'
        ? await saveProgram(tables, { args: argv.slice(1), onOutput: request.onOutput })
        : commandProgram(tables, argv.slice(1))
    return fault === undefined ? result : endingOf(fault, { program: tables.program, argv })
  }

  const restore = async (
    { argv, input = [], signal }: RunRequest,
    { called, fault }: { readonly called: CallInProgress; readonly fault: Fault | undefined },
  ): Promise<Ending> => {
    const strike = (line?: number): Ending | undefined =>
      fault === undefined ? undefined : endingOf(fault, { program: tables.program, argv, line })
    const program = restoreProgram(tables, {
      noflush: argv.includes('--noflush'),
      counters: argv.includes('--counters'),
      beforeCommit: (line) =>
        fault?.applied === undefined || called.commits === fault.applied ? strike(line) : undefined,
      onCommit: () => (called.commits += 1),
    })
    try {
      for await (const lines of untilCommit(linesOf(input))) {
        if (keepTexts) for (const line of lines) called.lines.push(line)
        checkAborted({ argv, signal })
        const ending = firstOf(lines, program.read)
        if (ending !== undefined) return ending
      }
      checkAborted({ argv, signal })
      return strike() ?? program.end()
    } finally {
      program.giveUp()
    }
  }

  return async (request): Promise<RunResult> => {
    const { argv } = request
    checkAborted(request)
    if (argv[0] === 'cat') return { argv, exitCode: 0, signal: null, stdout: tableNames(tables), stderr: '' }
    const called: CallInProgress = { program: programOf(argv), lines: [], commits: 0 }
    let exitCode: number | null = null
    try {
      const result = await run(request, called)
      exitCode = result.exitCode
      return { argv, signal: exitCode === null ? 'SIGKILL' : null, stdout: '', ...result }
    } finally {
      const { program, lines, commits } = called
      const text = program === 'restore' && keepTexts ? { text: lines.map((line) => `${line}\n`).join('') } : {}
      onCall({ program, argv, ...text, commits, exitCode })
    }
  }
}

function checkAborted({ argv, signal }: Pick<RunRequest, 'argv' | 'signal'>): void {
  if (signal?.aborted === true) throw new IptablesError('ABORTED', { argv }, { cause: signal.reason })
}

interface CallInProgress {
  readonly program: ProgramName
  readonly lines: string[]
  commits: number
}

function programOf(argv: readonly string[]): ProgramName {
  const name = basename(argv[0] ?? '')
  if (name.endsWith('-restore')) return 'restore'
  return name.endsWith('-save') ? 'save' : 'iptables'
}

/** What the kernel has in /proc/net/ip_tables_names. */
const tableNames = (tables: KernelTables): string =>
  tables
    .existing()
    .map(({ name }) => `${name}\n`)
    .join('')

/** Table by table, so that nobody else's call comes in between: that is what the xtables lock, and COMMIT on nft, are for. */
async function* untilCommit(lines: AsyncIterable<string>): AsyncGenerator<readonly string[], void, undefined> {
  let waiting: string[] = []
  for await (const line of lines) {
    waiting.push(line)
    if (line !== 'COMMIT') continue
    yield waiting
    waiting = []
  }
  yield waiting
}

async function* linesOf(pieces: Iterable<string> | AsyncIterable<string>): AsyncGenerator<string, void, undefined> {
  let rest = ''
  for await (const piece of pieces) {
    const lines = (rest + piece).split('\n')
    rest = lines.pop() ?? ''
    yield* lines
  }
  if (rest !== '') yield rest
}
