/** What can go wrong with a change log as a whole, and what to do about it. `docs/change-log.md` lists the same codes. */
export const CHANGE_LOG_ERRORS = {
  LOG_NOT_FOUND: 'no such file: give the path of a change log, or make one with `pointsman import`',
  LOG_NOT_A_LOG: 'the file is not a change log: give the path of one, or import the recording into a new one',
  LOG_TOO_NEW: 'the log was written by a later version of Pointsman: use that version or a later one',
  LOG_TOO_OLD: 'the log is of an earlier version, and reading cannot migrate it: append to it once with this version',
  LOG_DAMAGED: 'the log is damaged: move it aside and begin a new one, or restore it from a copy',
  LOG_FULL: 'the disk is full: make space, or let retention keep less',
  LOG_READ_ONLY: 'the log cannot be written: make the file and its directory writable, or name another file',
  LOG_LOCKED: 'another writer has the log: end it, or write to another file',
  LOG_OTHER_NODE: 'the log belongs to another node: name another file',
  LOG_NOT_PRIVATE:
    'others can change the log, and so what is done by it: let its owner alone write it and its folder, or name another file',
  LOG_PRUNED: 'retention has removed that part of the log: ask for a later point',
  LOG_IO: 'the file cannot be accessed: look at its permissions and at the disk',
  LOG_THREAD_ENDED: 'the thread that writes the log has ended: it is begun again with what is written next',
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
