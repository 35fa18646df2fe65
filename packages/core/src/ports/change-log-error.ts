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
