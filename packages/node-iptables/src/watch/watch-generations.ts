import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { closeSync, existsSync, mkdirSync, openSync, readlinkSync, readSync, rmSync, symlinkSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { IptablesError } from '../iptables-error.js'
import { type Run, type RunResult, searchPath } from '../run-process.js'
import type { Generation, Sleep, Watchers } from './watch-changes.js'

interface GenerationWatch extends Watchers {
  /** Reads the kernel's messages in this process, where that is possible: tried before each start of the monitor. */
  readonly netlink: OpenNetlink | undefined
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
 * Listens to the kernel until the signal aborts: in this process, or by a monitor where that is not possible; settles when the
 * monitor has ended. A monitor that ends, or cannot start, is one MONITOR_ENDED until it has printed something again; one that
 * was overrun is changes-unseen instead.
 */
export async function watchGenerations(watch: GenerationWatch): Promise<void> {
  const { restart, sleep, signal, onChange, onError, onListening } = watch
  const reader = newsReader(watch)
  let delayMs = restart.minMs
  let isReported = false
  while (!signal.aborted) {
    const heard = watch.netlink && (await runNetlink(watch.netlink, { reader, signal }))
    const end = heard ?? (await runMonitor(watch, reader))
    if (end === 'aborted') return
    onListening?.({ type: 'deaf', error: end.error })
    if (end.hasWorked) {
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

interface NewsReader {
  /** It is heard from now on: each generation after this one is reported. Undefined: from the next generation on. */
  readonly begin: (since: number | undefined) => void
  readonly take: (news: MonitorNews) => void
}

/** A gap in the numbers is a commit that nobody saw: the listener was overrun, or not listening. */
function newsReader({ isOwn, onChange, onListening }: GenerationWatch): NewsReader {
  /** Undefined: the next one is the first that is heard. Any: a loss was reported, and the gap that follows is the same loss. */
  let expected: number | 'any' | undefined
  let isHeard = false
  return {
    begin(since) {
      isHeard = since !== undefined
      if (since === undefined) {
        onListening?.({ type: 'deaf' })
        return
      }
      if (expected !== undefined && expected !== since + 1) onChange({ type: 'changes-unseen' })
      expected = since + 1
      onListening?.({ type: 'listening', by: 'netlink', since })
    },
    take(news) {
      if (news.type === 'overrun') {
        expected = 'any'
        onChange({ type: 'changes-unseen' })
        return
      }
      if (!isHeard) onListening?.({ type: 'listening', by: 'monitor', since: news.generation - 1 })
      isHeard = true
      if (expected !== 'any' && news.generation !== expected) onChange({ type: 'changes-unseen' })
      expected = news.generation + 1
      if (!isOwn(news)) onChange(news)
    },
  }
}

/** The part of `watchGenerations` of node-netfilter that is used. */
export type OpenNetlink = (options: {
  readonly onGeneration: (found: { readonly id: number; readonly pid: number; readonly processName: string }) => void
  readonly onMissed: () => void
  readonly signal: AbortSignal
}) => Promise<{ readonly since: number; readonly ended: Promise<void>; close(): void }>

/** Through the package node-netfilter, which is loaded by the first that needs it. Fails where it is not installed. */
export const openNetlink: OpenNetlink = async (options) => (await import('node-netfilter')).watchGenerations(options)

/** Where nf_tables of this network namespace stands, and the kernel's number for the namespace; undefined: netlink cannot be used. */
export async function nftGeneration(): Promise<{ readonly id: number; readonly namespace: string } | undefined> {
  try {
    const { id, namespaceCookie } = await (await import('node-netfilter')).generation()
    return namespaceCookie === undefined ? undefined : { id, namespace: String(namespaceCookie) }
  } catch {
    return undefined
  }
}

/** Whether nf_tables of this network namespace has a table; undefined: netlink cannot be used. */
export async function hasNftTable(place: {
  readonly family: 'ip' | 'ip6'
  readonly table: string
}): Promise<boolean | undefined> {
  try {
    return await (await import('node-netfilter')).hasTable(place)
  } catch {
    return undefined
  }
}

interface ListeningEnd {
  readonly error: unknown
  readonly hasWorked: boolean
  readonly isOverrun: boolean
}

/** Undefined: the kernel cannot be listened to from this process. */
async function runNetlink(
  open: OpenNetlink,
  { reader, signal }: { readonly reader: NewsReader; readonly signal: AbortSignal },
): Promise<ListeningEnd | 'aborted' | undefined> {
  const { begin, take } = reader
  const thrown: { error?: { readonly is: unknown } } = {}
  const guarded = (call: () => void): void => {
    try {
      call()
    } catch (error) {
      thrown.error ??= { is: error }
      throw error
    }
  }
  const opened = await open({
    onGeneration: ({ id, pid, processName }) =>
      guarded(() => take({ type: 'generation', generation: id, pid, command: processName })),
    onMissed: () => guarded(() => take({ type: 'overrun' })),
    signal,
  }).catch(() => undefined)
  if (opened === undefined) return signal.aborted ? 'aborted' : undefined
  try {
    guarded(() => begin(opened.since))
    await opened.ended
    return 'aborted'
  } catch (error) {
    opened.close()
    if (thrown.error !== undefined) throw thrown.error.is
    return { error, hasWorked: true, isOverrun: false }
  }
}

async function runMonitor(watch: GenerationWatch, { begin, take }: NewsReader): Promise<ListeningEnd | 'aborted'> {
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
  begin(undefined)
  const end = await run({ argv: tied(argv), input: untilAborted(signal), signal, onOutput }).then(
    (result) => ({ error: monitorEnded(argv, result), isOverrun: XTABLES_OVERRUN.test(result.stderr) }),
    (cause: unknown) => ({ error: new IptablesError('MONITOR_ENDED', { argv }, { cause }), isOverrun: false }),
  )
  if (seen.thrown !== undefined) throw seen.thrown.error
  return signal.aborted ? 'aborted' : { ...end, hasWorked: seen.hasPrinted }
}

/**
 * A command that is killed when its standard input ends, as it does when this process is killed: a monitor may have nothing to
 * write for days, and would not notice. It and what watches its input are a process group of their own.
 */
const tied = (argv: readonly string[]): readonly string[] => {
  const at = argv.findIndex((word) => COMMANDS.has(word))
  return [...argv.slice(0, at), 'sh', '-c', TIED, 'sh', ...argv.slice(at)]
}

// What runs in the background has no standard input of its own.
const TIED = 'exec 3<&0; { read -r _ <&3; kill -KILL 0; } >/dev/null 2>&1 & exec "$@" </dev/null 3<&-'
/** The first words of monitors, behind those of a prefix. */
const COMMANDS: ReadonlySet<string> = new Set(['nft', 'stdbuf'])

async function* untilAborted(signal: AbortSignal): AsyncGenerator<string> {
  if (!signal.aborted) await once(signal, 'abort')
  // There is nothing to write.
  yield* []
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
  /**
   * By command: a folder for links that only this user may change. Programs are started through them, under a name that no other
   * process has, so that their commits are known exactly. What is in it is removed. Default: none.
   */
  readonly folder?: string | undefined
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
 * With a `folder`, iptables and nft are started through a link with a name of their own, which the kernel reports: exact.
 * Where that cannot be (no folder, one that cannot be written, a script in place of the program), whatever has the name of a
 * program that runs for us at the time, or did `keepMs` ago, is taken for ours, and a change that another's
 * iptables-restore makes just then is not told.
 */
export function ownProcesses(options: OwnProcessesOptions): OwnProcesses {
  const { match = processMatchHere(), now = () => performance.now() } = options
  const keepMs = options.keepMs ?? (match === 'pid' ? 60_000 : 2000)
  const remembered = new Set<OwnProcess>()
  const links = match === 'command' && options.folder !== undefined ? createLinks(options.folder) : undefined

  const forgetOld = (): void => {
    const oldest = now() - keepMs
    for (const process of remembered) if (process.endedAt < oldest) remembered.delete(process)
  }

  return {
    run: async (request) => {
      forgetOld()
      const file = links?.linkTo(request.argv[0] ?? '')
      // The kernel names a process by the file that was executed.
      const commands = file === undefined ? commandsIn(request.argv) : new Set([basename(file)])
      const process: OwnProcess = { pid: 0, commands, endedAt: Number.POSITIVE_INFINITY }
      remembered.add(process)
      const onStart = (pid: number): void => {
        process.pid = pid
        request.onStart?.(pid)
      }
      try {
        return await options.run({ ...request, ...(file !== undefined && { file }), onStart })
      } finally {
        process.endedAt = now()
      }
    },
    isOwn: ({ pid, command }) => {
      if (command === links?.name) return true
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

/** Links to programs, all of one name that no other process has. */
function createLinks(folder: string): {
  readonly name: string
  readonly linkTo: (program: string) => string | undefined
} {
  const name = `own-${randomBytes(5).toString('hex')}`
  const links = new Map<string, string | undefined>()
  const make = (program: string): string | undefined => {
    const target = isCommitting(program) ? binaryOf(program) : undefined
    if (target === undefined) return undefined
    try {
      if (links.size === 0) {
        rmSync(folder, { recursive: true, force: true })
        mkdirSync(folder, { mode: 0o700 })
      }
      const place = join(folder, String(links.size))
      mkdirSync(place)
      symlinkSync(target, join(place, name))
      return join(place, name)
    } catch {
      return undefined
    }
  }
  return {
    name,
    linkTo: (program) => {
      if (!links.has(program)) links.set(program, make(program))
      return links.get(program)
    },
  }
}

/** Whether a program makes commits itself, and does not lead to one that does. */
const isCommitting = (program: string): boolean => /^(?:ip6?tables|xtables|nft)/.test(basename(program))

/** The path of a program, of a file that the kernel executes as it is: a script leads to programs of other names. */
function binaryOf(program: string): string | undefined {
  const folders = searchPath().split(':')
  const paths = program.includes('/') ? [program] : folders.map((one) => join(one, program))
  const path = paths.find((one) => existsSync(one))
  if (path === undefined) return undefined
  const fd = openSync(path, 'r')
  try {
    const magic = Buffer.alloc(ELF.length)
    readSync(fd, magic)
    return magic.equals(ELF) ? resolve(path) : undefined
  } finally {
    closeSync(fd)
  }
}

const ELF = Buffer.from('\x7fELF', 'latin1')

/** The kernel gives the first pid namespace this number for good, PROC_PID_INIT_INO. */
const INITIAL_PID_NAMESPACE = 'pid:[4026531836]'

/** What identifies processes that are started here in the kernel's reports. */
export function processMatchHere(): 'pid' | 'command' {
  try {
    return readlinkSync('/proc/self/ns/pid') === INITIAL_PID_NAMESPACE ? 'pid' : 'command'
  } catch {
    return 'command'
  }
}
