import { basename } from 'node:path'
import { IptablesError } from '../iptables-error.js'
import { IptablesParseError } from '../rules/parse-rule.js'
import { parseRestoreLine, type RestoreLine } from '../rules/restore-line.js'
import { quoteWord } from '../rules/values.js'
import type { Run, RunRequest, RunResult } from '../run-process.js'
import type { KernelTables, Operation } from './apply-operation.js'
import { firstOf, hookOf } from './kernel-table.js'
import { operationOf, restoreProgram, tableSession } from './restore-program.js'
import { saveProgram } from './save-program.js'
import {
  commandEnding,
  nameOf,
  refusalOf,
  restoreEnding,
  state,
  unknownTable,
  usage,
  versionOf,
  type Ending,
  type KernelReason,
  type Program,
  type Refusal,
} from './spell-failure.js'

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

/** `iptables -t TABLE COMMAND CHAIN ...`: one change, or one look. */
function commandProgram(tables: KernelTables, args: readonly string[]): Ending {
  const { program } = tables
  const { table: name, words } = withoutWait(args)
  const table = tables.open(name)
  if (table === undefined) {
    const says = `${unknownTable(program, name)}\nPerhaps iptables or your kernel needs to be upgraded.`
    return { exitCode: 3, stderr: `${nameOf(program)} ${versionOf(program)}: ${says}\n` }
  }
  const [command = '', chain = '', ...rest] = words
  if (command === '-S') return listing(tables, { table: name, chain })
  const operation = operationIn(tables, { table: name, command, rest: [chain, ...rest] })
  if ('refusal' in operation) return commandEnding(program, operation.refusal)
  const session = tableSession(table, { variant: program.variant, noflush: true })
  const refused = session.add(operation, 1) ?? session.commit(1)
  return refused === undefined ? DONE : commandEnding(program, refused.refusal)
}

const DONE: Ending = { exitCode: 0, stderr: '' }

function withoutWait(args: readonly string[]): { readonly table: string; readonly words: readonly string[] } {
  const at = args.indexOf('-t')
  return { table: args[at + 1] ?? 'filter', words: args.slice(at + 2) }
}

function listing(tables: KernelTables, { table, chain }: { readonly table: string; readonly chain: string }): Ending {
  const { program } = tables
  if (hookOf(table, chain) !== undefined || tables.open(table)?.chains.has(chain) === true) return DONE
  if (program.variant === 'legacy') return commandEnding(program, state('No chain/target/match by that name.'))
  const says = `chain \`${chain}' in table \`${table}' is incompatible, use 'nft' tool.`
  return { exitCode: 1, stderr: `${nameOf(program)} ${versionOf(program)}: ${says}\n` }
}

interface CommandWords {
  readonly table: string
  readonly command: string
  readonly rest: readonly string[]
}

/** The command as a line of a restore, which has the same words. `-C` reads its rule as `-D` does. */
function operationIn(
  tables: KernelTables,
  { table, command, rest }: CommandWords,
): Operation | { readonly refusal: Refusal } {
  const words = [command === '-C' ? '-D' : command, ...rest.map((word) => lineWord(word))]
  try {
    const line: RestoreLine = parseRestoreLine(words.join(' '), 1)
    if (line.type === 'blank' || line.type === 'comment' || line.type === 'table' || line.type === 'commit') {
      return { refusal: usage(`Bad argument \`${command}'`) }
    }
    const operation = operationOf(line, { tables, table, counters: false })
    return command === '-C' && 'type' in operation && operation.type === 'delete'
      ? { ...operation, type: 'check' }
      : operation
  } catch (error) {
    if (error instanceof IptablesParseError) return { refusal: refusalOf(error) }
    throw error
  }
}

/** Bare where it can be: the spelling of words that nobody knows is kept. */
const lineWord = (word: string): string =>
  /^[^\s"\\\p{Cc}]+$/u.test(word) ? word : (quoteWord(word) ?? JSON.stringify(word))
