import { readlinkSync } from 'node:fs'
import { basename } from 'node:path'
import { IptablesError } from '../iptables-error.js'
import type { Run, RunResult } from '../run-process.js'
import type { Generation, Sleep, Watchers } from './watch-changes.js'

interface GenerationWatch extends Watchers {
  /** The monitor and its arguments. */
  readonly argv: readonly string[]
  readonly run: Run
  readonly isOwn: (generation: Generation) => boolean
  /** How long to wait before a monitor that ended is started again: doubled until it prints something. */
  readonly restart: { readonly minMs: number; readonly maxMs: number }
  readonly sleep: Sleep
  readonly signal: AbortSignal
}

/**
 * Keeps a monitor running until the signal aborts, then settles when it has ended. A monitor that ends, or cannot start,
 * is one MONITOR_ENDED until it has printed something again; one that was overrun is changes-unseen instead.
 */
export async function watchGenerations(watch: GenerationWatch): Promise<void> {
  const { restart, sleep, signal, onChange, onError } = watch
  const take = newsTaker(watch)
  let delayMs = restart.minMs
  let isReported = false
  while (!signal.aborted) {
    const end = await runMonitor(watch, take)
    if (end === undefined) return
    if (end.hasPrinted) {
      delayMs = restart.minMs
      isReported = false
    }
    if (end.isOverrun) onChange({ type: 'changes-unseen' })
    else if (!isReported) {
      onError(end.error)
      isReported = true
    }
    await sleep(delayMs, signal)
    delayMs = Math.min(delayMs * 2, restart.maxMs)
  }
}

/** A gap in the numbers is a commit that nobody saw: the monitor was overrun, or not running. */
function newsTaker({ isOwn, onChange }: GenerationWatch): (news: MonitorNews) => void {
  let expected: number | undefined
  return (news) => {
    if (news.type === 'overrun') {
      // The gap that follows is the same loss.
      expected = undefined
      onChange({ type: 'changes-unseen' })
      return
    }
    if (expected !== undefined && news.generation !== expected) onChange({ type: 'changes-unseen' })
    expected = news.generation + 1
    if (!isOwn(news)) onChange(news)
  }
}

interface MonitorEnd {
  readonly error: IptablesError
  readonly hasPrinted: boolean
  readonly isOverrun: boolean
}

/** Undefined: it was aborted. */
async function runMonitor(watch: GenerationWatch, take: (news: MonitorNews) => void): Promise<MonitorEnd | undefined> {
  const { argv, run, signal } = watch
  const read = monitorLines(take)
  const seen: { hasPrinted: boolean; thrown?: { readonly error: unknown } } = { hasPrinted: false }
  const onOutput = (piece: string): void => {
    seen.hasPrinted = true
    try {
      read(piece)
    } catch (error) {
      seen.thrown = { error }
      throw error
    }
  }
  const end = await run({ argv, signal, onOutput }).then(
    (result) => ({ error: monitorEnded(argv, result), isOverrun: XTABLES_OVERRUN.test(result.stderr) }),
    (cause: unknown) => ({ error: new IptablesError('MONITOR_ENDED', { argv }, { cause }), isOverrun: false }),
  )
  if (seen.thrown !== undefined) throw seen.thrown.error
  return signal.aborted ? undefined : { ...end, hasPrinted: seen.hasPrinted }
}

const XTABLES_OVERRUN = /No buffer space available/

const monitorEnded = (argv: readonly string[], { exitCode, stderr }: RunResult): IptablesError =>
  new IptablesError('MONITOR_ENDED', { argv, exitCode: exitCode ?? undefined, stderr })

/** What counts of what a monitor prints; the rest is the content of each commit. */
export type MonitorNews = Generation | { readonly type: 'overrun' }

/**
 * Takes a monitor's output in pieces cut anywhere, and tells the news in it. Reads both `nft monitor` and
 * `xtables-monitor --event`. Holds no more than the beginning of one line, however much is printed.
 */
export function monitorLines(onNews: (news: MonitorNews) => void): (piece: string) => void {
  let held = ''
  return (piece) => {
    let from = 0
    for (let end = piece.indexOf('\n'); end !== -1; end = piece.indexOf('\n', from)) {
      if (held !== '' || BEGINNINGS.has(piece.charAt(from))) {
        const news = newsIn(held + piece.slice(from, Math.min(end, from + LONGEST)))
        if (news !== undefined) onNews(news)
        held = ''
      }
      from = end + 1
    }
    if (held.length < LONGEST) held += piece.slice(from, from + LONGEST)
  }
}

const newsIn = (line: string): MonitorNews | undefined => {
  if (line.startsWith(NFT_OVERRUN)) return { type: 'overrun' }
  const [, generation, pid, command] = NFT_GENERATION.exec(line) ?? XTABLES_GENERATION.exec(line) ?? []
  if (command === undefined) return undefined
  return { type: 'generation', generation: Number(generation), pid: Number(pid), command }
}

// Far longer than any line that counts: the longest holds two numbers and a name of 15 characters.
const LONGEST = 256
// Content is not looked at: `nft monitor` prints millions of characters for one large restore.
const BEGINNINGS = new Set(['#', 'N'])

const NFT_OVERRUN = '# ERROR: We lost some netlink events'
const NFT_GENERATION = /^# new generation (\d+) by process (\d+) \((.*)\)$/
const XTABLES_GENERATION = /^NEWGEN: GENID=(\d+) PID=(\d+) NAME=(.*)$/

export interface OwnProcessesOptions {
  readonly run: Run
  /** Default: by `pid` in the initial pid namespace, by `command` in any other. */
  readonly match?: 'pid' | 'command' | undefined
  /** How long a process counts after its end: the monitor may lag. Default: 60,000 by pid, 2,000 by command. */
  readonly keepMs?: number | undefined
  /** Milliseconds that never go back. */
  readonly now?: (() => number) | undefined
}

export interface OwnProcesses {
  /** Starts what it is given, and remembers it. For createIptables, and all else that changes the tables. */
  readonly run: Run
  readonly isOwn: (generation: Pick<Generation, 'pid' | 'command'>) => boolean
}

/**
 * Tells commits of processes that were started here from those of others.
 *
 * By pid: exact as long as what makes the commit is the process itself, or what it becomes (`ip netns exec`, `flock
 * --no-fork`), not a child of it. A pid that the kernel gives out again within `keepMs` is taken for ours.
 *
 * By command: the kernel names a process as the initial pid namespace does, and in a container that number says nothing.
 * So whatever has the name of a program that runs for us at the time, or did `keepMs` ago, is taken for ours, and a change
 * that another's iptables-restore makes just then is not told. hostPID avoids it.
 */
export function ownProcesses(options: OwnProcessesOptions): OwnProcesses {
  const { match = processMatchHere(), now = () => performance.now() } = options
  const keepMs = options.keepMs ?? (match === 'pid' ? 60_000 : 2000)
  const remembered = new Set<OwnProcess>()

  const forgetOld = (): void => {
    const oldest = now() - keepMs
    for (const process of remembered) if (process.endedAt < oldest) remembered.delete(process)
  }

  return {
    run: async (request) => {
      forgetOld()
      const process: OwnProcess = { pid: 0, commands: commandsIn(request.argv), endedAt: Number.POSITIVE_INFINITY }
      remembered.add(process)
      const onStart = (pid: number): void => {
        process.pid = pid
        request.onStart?.(pid)
      }
      try {
        return await options.run({ ...request, onStart })
      } finally {
        process.endedAt = now()
      }
    },
    isOwn: ({ pid, command }) => {
      forgetOld()
      const isIt = ({ pid: own, commands }: OwnProcess): boolean =>
        match === 'pid' ? own === pid : commands.has(command)
      return [...remembered].some(isIt)
    },
  }
}

interface OwnProcess {
  /** 0, which is no process, until it has started. */
  pid: number
  readonly commands: ReadonlySet<string>
  endedAt: number
}

// What a prefix such as `ip netns exec blue` leads to is any of the words.
const commandsIn = (argv: readonly string[]): ReadonlySet<string> =>
  new Set(argv.map((word) => basename(word).slice(0, LONGEST_COMMAND)))

// TASK_COMM_LEN is 16 with the ending NUL.
const LONGEST_COMMAND = 15

/** The kernel gives the first pid namespace this number for good, PROC_PID_INIT_INO. */
const INITIAL_PID_NAMESPACE = 'pid:[4026531836]'

/** By what processes that are started here can be told in the kernel's words. */
export function processMatchHere(): 'pid' | 'command' {
  try {
    return readlinkSync('/proc/self/ns/pid') === INITIAL_PID_NAMESPACE ? 'pid' : 'command'
  } catch {
    return 'command'
  }
}
