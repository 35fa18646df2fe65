import { ChangeLogError, type ChangeLogErrorCode } from '../../ports/change-log.js'

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
