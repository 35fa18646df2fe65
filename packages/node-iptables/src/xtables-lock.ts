import { readFile, stat } from 'node:fs/promises'
import type { LockHolder } from './iptables-error.js'

/**
 * Wraps a command so that it runs under the xtables lock, for versions that do not take it themselves: flock(1) of
 * util-linux takes the file that iptables 1.6 and later lock, and runs the command as its child (with `--no-fork` it
 * would become the command, but where iptables is that old, flock has no such option yet). The abstract socket `@xtables`
 * of 1.4.20 and 1.4.21 is not taken: Node pads the names of abstract sockets, so it would be another socket.
 */
export function underXtablesLock(argv: readonly string[], { file, waitSeconds }: LockRequest): readonly string[] {
  return ['flock', '--exclusive', `--timeout=${waitSeconds}`, `--conflict-exit-code=${LOCK_CONFLICT}`, file, ...argv]
}

interface LockRequest {
  /** The lock file: `/run/xtables.lock`. */
  readonly file: string
  readonly waitSeconds: number
}

/**
 * Refuses what iptables would take for something else: `-w 0` waits for ever, a fraction is cut off.
 *
 * Throws a RangeError.
 */
export function checkWaitSeconds(waitSeconds: number): void {
  if (Number.isInteger(waitSeconds) && waitSeconds >= 1 && waitSeconds <= LONGEST_WAIT) return
  throw new RangeError(`waitSeconds: ${waitSeconds}: give whole seconds from 1 to ${LONGEST_WAIT}`)
}

// What a C int holds: iptables reads no more.
const LONGEST_WAIT = 2_147_483_647

/** The exit status of a wrapped command that did not get the lock; none that iptables has. */
export const LOCK_CONFLICT = 75

/** Who holds a lock on the file, as /proc tells. Undefined where it cannot be seen, or is over by now. Never fails. */
export async function lockHolderOf(file: string): Promise<LockHolder | undefined> {
  try {
    const { dev, ino } = await stat(file)
    const pid = holderIn(await readFile('/proc/locks', 'utf8'), { dev, ino })
    if (pid === undefined) return undefined
    return { pid, command: (await readFile(`/proc/${pid}/comm`, 'utf8')).trim() }
  } catch {
    return undefined
  }
}

/** The process that has a flock(2) on a file, in the text of /proc/locks; those that wait for it are marked `->`. */
export function holderIn(
  locks: string,
  { dev, ino }: { readonly dev: number; readonly ino: number },
): number | undefined {
  const file = `${hex(majorOf(dev))}:${hex(minorOf(dev))}:${ino}`
  const held = locks
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .find((fields) => fields[1] === 'FLOCK' && fields[5] === file)
  const pid = Number(held?.[4])
  // Zero or less: the process is of another pid namespace.
  return pid > 0 ? pid : undefined
}

const hex = (number: number): string => number.toString(16).padStart(2, '0')

// Linux keeps 12 bits of the major and 20 of the minor number, in this order: minor's low 8, major, minor's rest.
const majorOf = (dev: number): number => Math.floor(dev / 0x100) & 0xfff
const minorOf = (dev: number): number => (dev & 0xff) | ((Math.floor(dev / 0x1000) & 0xfff00) >>> 0)
