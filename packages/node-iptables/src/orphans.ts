import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

/** A process that `runProcess` started for a process that is gone. */
export interface Orphan {
  readonly pid: number
  /** As the kernel names it, 15 characters at most. */
  readonly name: string
  /** False: it had not ended in time, as while the kernel commits for it. */
  readonly ended: boolean
}

/** What `runProcess` adds to the environment of what it starts: whose it is. Empty where /proc is not that of this process. */
export function ownerMark(): Readonly<Record<string, string>> {
  own ??= ownMark()
  return own === undefined ? {} : { [NAME]: own }
}

let own: string | undefined

/**
 * Kills processes that `runProcess` started, or that those started, where the process that called it was killed: an iptables-restore that has its
 * input commits it whenever it gets the xtables lock, after rules that its successor has written. Looks at those of this pid and network namespace
 * alone, and waits until they have ended. Killing does no harm: the kernel takes the changes of a table as a whole. Never fails.
 */
export async function endOrphans({ waitMs = 5000 }: { readonly waitMs?: number } = {}): Promise<readonly Orphan[]> {
  const network = linkOf('self', 'ns/net')
  const [namespace] = ownMark()?.split('/') ?? []
  if (namespace === undefined || network === undefined) return []
  const orphans = pidsThere().filter((pid) => {
    const mark = markIn(pid)
    return mark?.namespace === namespace && !isLiving(mark) && linkOf(pid, 'ns/net') === network
  })
  const found = orphans.map((pid) => ({ pid, name: statOf(pid)?.name ?? '', started: statOf(pid)?.started }))
  for (const { pid } of found) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // It has ended by itself.
    }
  }
  const isThere = ({ pid, started }: (typeof found)[number]): boolean => {
    const stat = statOf(pid)
    return stat !== undefined && stat.started === started && !DEAD.has(stat.state)
  }
  const until = performance.now() + waitMs
  while (found.some(isThere) && performance.now() < until) await sleep(STEP_MS)
  return found.map((orphan) => ({ pid: orphan.pid, name: orphan.name, ended: !isThere(orphan) }))
}

const NAME = 'NODE_IPTABLES_OWNER'
const STEP_MS = 10
/** Zombies, and what is about to vanish. */
const DEAD: ReadonlySet<string> = new Set(['Z', 'X', 'x'])

interface Mark {
  /** Of process ids. */
  readonly namespace: string
  readonly pid: string
  /** In ticks since the machine booted: a number is used again. */
  readonly started: string
}

/** `NAMESPACE/PID/STARTED`. */
function ownMark(): string | undefined {
  const namespace = linkOf('self', 'ns/pid')
  const stat = statOf('self')
  if (namespace === undefined || stat?.pid !== String(process.pid)) return undefined
  return `${namespace}/${stat.pid}/${stat.started}`
}

function markIn(pid: number): Mark | undefined {
  const line = readOf(pid, 'environ')
    ?.split('\0')
    .find((each) => each.startsWith(`${NAME}=`))
  const [namespace, owner, started] = line?.slice(NAME.length + 1).split('/') ?? []
  return namespace === undefined || owner === undefined || started === undefined
    ? undefined
    : { namespace, pid: owner, started }
}

function isLiving({ pid, started }: Mark): boolean {
  const stat = /^\d+$/.test(pid) ? statOf(Number(pid)) : undefined
  return stat !== undefined && stat.started === started && !DEAD.has(stat.state)
}

interface Stat {
  readonly pid: string
  readonly name: string
  readonly state: string
  readonly started: string
}

/** proc_pid_stat(5): the name is in parentheses, and may hold any character, parentheses included. */
function statOf(pid: number | 'self'): Stat | undefined {
  const text = readOf(pid, 'stat')
  const [open, close] = [text?.indexOf('(') ?? -1, text?.lastIndexOf(')') ?? -1]
  if (text === undefined || open < 0 || close < open) return undefined
  const fields = text.slice(close + 2).split(' ')
  return {
    pid: text.slice(0, open - 1),
    name: text.slice(open + 1, close),
    state: fields[0] ?? '',
    started: fields[19] ?? '',
  }
}

function pidsThere(): readonly number[] {
  try {
    return readdirSync('/proc').flatMap((name) =>
      /^\d+$/.test(name) && name !== String(process.pid) ? [Number(name)] : [],
    )
  } catch {
    return []
  }
}

function readOf(pid: number | 'self', file: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8')
  } catch {
    return undefined
  }
}

function linkOf(pid: number | 'self', file: string): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/${file}`).replace(/\D/g, '')
  } catch {
    return undefined
  }
}
