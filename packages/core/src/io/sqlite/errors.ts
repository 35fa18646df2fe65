/** What can go wrong with a change log as a whole, and what to do about it. `docs/change-log.md` lists the same codes. */
export const CHANGE_LOG_ERRORS = {
  LOG_NOT_FOUND: 'no such file: give the path of a change log, or create one with `pointsman import`',
  LOG_NOT_A_LOG: 'not a change log: give the path of one, or import the recording into a new log',
  LOG_TOO_NEW: 'the log was written by a newer version of Pointsman: use that version or a newer one',
  LOG_TOO_OLD: 'the log has an older format, which readers cannot migrate: append to it once with this version',
  LOG_DAMAGED: 'the log is damaged: move it away and start a new one, or restore it from a backup',
  LOG_FULL: 'the disk is full: free space, or lower the retention limits',
  LOG_READ_ONLY: 'the log is not writable: make the file and its directory writable, or use another file',
  LOG_LOCKED: 'another process is writing the log: stop it, or use another file',
  LOG_OTHER_NODE: 'the log belongs to another node: use another file',
  LOG_NOT_PRIVATE:
    'other users can modify the log that rules are programmed from: make it and its directory writable only by their owner, or use another file',
  LOG_PRUNED: 'retention has pruned that part of the log: use a later point in time',
  LOG_IO: 'the file cannot be accessed: check its permissions and the disk',
  LOG_THREAD_ENDED: 'the log-writer thread stopped: the next write restarts it',
} as const

export type ChangeLogErrorCode = keyof typeof CHANGE_LOG_ERRORS

/** The change log as a whole cannot be used. The message is one line: the file, what is wrong, what to do. */
export class ChangeLogError extends Error {
  override readonly name = 'ChangeLogError'
  readonly code: ChangeLogErrorCode
  readonly file: string
  readonly detail: string | undefined

  constructor(
    code: ChangeLogErrorCode,
    { file, detail }: { readonly file: string; readonly detail?: string },
    options?: ErrorOptions,
  ) {
    super(`${file}: ${CHANGE_LOG_ERRORS[code]}${detail === undefined ? '' : ` (${detail})`}`, options)
    this.code = code
    this.file = file
    this.detail = detail
  }
}

/** A value that no writer of ours stores, and where it is. `guard` makes LOG_DAMAGED of it. */
export class Damage extends Error {
  constructor(place: string, what: string, options?: ErrorOptions) {
    super(`${place}: ${what}`, options)
  }
}

/** What SQLite or the file system reported, as a ChangeLogError; anything else is a bug and is given back as it is. */
export function toChangeLogError(cause: unknown, file: string): unknown {
  if (cause instanceof Damage) return new ChangeLogError('LOG_DAMAGED', { file, detail: cause.message }, { cause })
  const code = codeOf(cause)
  if (cause instanceof ChangeLogError || code === undefined) return cause
  const matched =
    BY_PREFIX.find(([prefix]) => code.startsWith(prefix)) ?? (isSystemError(cause) ? FILE_SYSTEM : undefined)
  return matched === undefined ? cause : new ChangeLogError(matched[1], { file, detail: code }, { cause })
}

// Result codes: https://www.sqlite.org/rescode.html. Extended codes begin with their primary code, so the longer come first.
const BY_PREFIX: readonly (readonly [string, ChangeLogErrorCode])[] = [
  ['SQLITE_FULL', 'LOG_FULL'],
  ['SQLITE_READONLY', 'LOG_READ_ONLY'],
  ['SQLITE_PERM', 'LOG_READ_ONLY'],
  ['SQLITE_BUSY', 'LOG_LOCKED'],
  ['SQLITE_LOCKED', 'LOG_LOCKED'],
  ['SQLITE_CORRUPT', 'LOG_DAMAGED'],
  ['SQLITE_IOERR_CORRUPTFS', 'LOG_DAMAGED'],
  ['SQLITE_NOTADB', 'LOG_NOT_A_LOG'],
  // Statements of ours fail so on values that no writer of ours stores.
  ['SQLITE_CONSTRAINT', 'LOG_DAMAGED'],
  ['SQLITE_MISMATCH', 'LOG_DAMAGED'],
  ['SQLITE_TOOBIG', 'LOG_DAMAGED'],
  ['SQLITE_NOMEM', 'LOG_DAMAGED'],
  ['SQLITE_CANTOPEN', 'LOG_IO'],
  ['SQLITE_IOERR', 'LOG_IO'],
  ['ENOSPC', 'LOG_FULL'],
  ['EDQUOT', 'LOG_FULL'],
  ['EROFS', 'LOG_READ_ONLY'],
  ['ENOENT', 'LOG_NOT_FOUND'],
  ['ENOTDIR', 'LOG_NOT_FOUND'],
  ['EACCES', 'LOG_IO'],
  ['EPERM', 'LOG_IO'],
  ['EISDIR', 'LOG_NOT_A_LOG'],
  ['EIO', 'LOG_IO'],
  ['EMFILE', 'LOG_IO'],
]

/** What the file system reports and no line above has: a loop of links, a name that is too long. */
const FILE_SYSTEM = ['E', 'LOG_IO'] as const
const isSystemError = (cause: unknown): boolean => cause instanceof Error && 'syscall' in cause

export const isCode = (error: unknown, code: string): boolean => codeOf(error) === code

const codeOf = (cause: unknown): string | undefined =>
  cause instanceof Error && 'code' in cause && typeof cause.code === 'string' ? cause.code : undefined
