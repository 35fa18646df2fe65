import { readlinkSync } from 'node:fs'
import { basename } from 'node:path'
import type { Run } from '../run-process.js'
import type { Generation } from './watch-changes.js'

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
