import { basename } from 'node:path'
import { IptablesError } from '../iptables-error.js'
import type { Run, RunRequest, RunResult } from '../run-process.js'
import { commandProgram } from './command-program.js'
import { firstOf } from './kernel-table.js'
import type { KernelTables } from './kernel-tables.js'
import type { KernelReason } from './refusal.js'
import { restoreProgram } from './restore-program.js'
import { saveProgram } from './save-program.js'
import { commandEnding, type Ending, type Program, restoreEnding } from './spell-failure.js'

interface FakeRunOptions {
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

type ProgramName = 'iptables' | 'save' | 'restore'

/** How one call fails, whatever it is asked. */
export interface Fault {
  readonly failure:
    /** Another program has the xtables lock, for longer than the call waits. Nothing is applied. */
    | 'LOCK_HELD'
    /** Not root. Nothing is applied. */
    | 'NO_PERMISSION'
    /** The kernel has no memory for it. */
    | 'REFUSED'
    /** Doubtful: nobody can tell from the error how much was applied. */
    | 'TIMED_OUT'
    | 'ABORTED'
    /** A signal ended the process. */
    | 'KILLED'
  /** Which program's next call it is. Default: whichever comes next. */
  readonly program?: ProgramName | undefined
  /** How much takes effect before: so many COMMITs of a restore, or all of the call. Default: 0. */
  readonly applied?: number | 'all' | undefined
}

/** Faults in the order in which they strike. */
interface FaultPlan {
  readonly add: (fault: Fault) => void
  /** The fault for a call of this program, which is over with it. */
  readonly take: (program: ProgramName) => Fault | undefined
}

export function faultPlan(): FaultPlan {
  const waiting: Fault[] = []
  return {
    add: (fault) => void waiting.push(fault),
    take: (name) => {
      const at = waiting.findIndex(({ program }) => program === undefined || program === name)
      return at < 0 ? undefined : waiting.splice(at, 1)[0]
    },
  }
}

/** Whether the call fails before it does anything. */
const strikesAtStart = ({ failure, applied = 0 }: Fault, program: ProgramName): boolean =>
  failure === 'LOCK_HELD' || failure === 'NO_PERMISSION' || (applied === 0 && program !== 'restore')

interface FaultPlace {
  readonly program: Program
  readonly argv: readonly string[]
  /** The line of a restore that is being read. */
  readonly line?: number | undefined
}

/** How the process ends. Throws the IptablesError of a call that was given up. */
function endingOf({ failure }: Fault, { program, argv, line }: FaultPlace): Ending {
  switch (failure) {
    case 'TIMED_OUT':
    case 'ABORTED':
      throw new IptablesError(failure, { argv })
    case 'KILLED':
      return { exitCode: null, stderr: '' }
    case 'LOCK_HELD':
      return { exitCode: 4, stderr: LOCK_HELD }
    case 'NO_PERMISSION':
      return { exitCode: 4, stderr: NO_PERMISSION }
    case 'REFUSED': {
      const reason: KernelReason = 'Cannot allocate memory'
      const refusal = { type: 'kernel', step: 'RULE_APPEND', reason, object: 'rule' } as const
      return line === undefined ? commandEnding(program, refusal) : restoreEnding(program, { refusal, line })
    }
  }
}

const LOCK_HELD = 'Another app is currently holding the xtables lock. Stopped waiting after 5s.\n'
const NO_PERMISSION = "Fatal: can't open lock file /run/xtables.lock: Permission denied\n"

/** One call of a program, as the fake saw it. */
export interface RecordedCall {
  readonly program: ProgramName
  readonly argv: readonly string[]
  /** What a restore read; as far as it read when it failed. Undefined: no restore, or texts are not kept. */
  readonly text?: string | undefined
  /** How many COMMITs of a restore took effect. */
  readonly commits: number
  /** Null: a signal ended it, or it was given up. */
  readonly exitCode: number | null
}
