/**
 * Wraps a command so that it runs under the xtables lock, for versions that do not take it themselves: flock(1) of
 * util-linux takes the file that iptables 1.6 and later lock, and runs the command as its child (with `--no-fork` it
 * would become the command, but where iptables is that old, flock has no such option yet). The abstract socket `@xtables`
 * of 1.4.20 and 1.4.21 is not taken: Node pads the names of abstract sockets, so it would be another socket.
 */
export function underXtablesLock(argv: readonly string[], { file, waitSeconds }: LockRequest): readonly string[] {
  return ['flock', '--exclusive', `--timeout=${waitSeconds}`, `--conflict-exit-code=${LOCK_CONFLICT}`, file, ...argv]
}

export interface LockRequest {
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
