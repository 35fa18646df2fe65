/** What a script may match on, with the exit status that each ends the command with. `docs/errors.md` explains each. */
export const CLI_ERRORS = {
  /** The command line contradicts itself, or lacks something. */
  USAGE: 2,
  /** A file, a log or a configuration is not there or cannot be read as what it should be. */
  BAD_INPUT: 2,
  /** The named service, or whatever was asked for, is not in the input. */
  NOT_FOUND: 1,
  /** The machine or another program stood in the way: disk full, log damaged. */
  CANNOT: 3,
} as const
export type CliErrorCode = keyof typeof CLI_ERRORS

/**
 * A mistake or an obstacle that the user is told about in one line, without a stack trace. The message names the input
 * and says what to do.
 */
export class CliError extends Error {
  readonly code: CliErrorCode
  readonly exitStatus: ExitStatus

  constructor(code: CliErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'CliError'
    this.code = code
    this.exitStatus = CLI_ERRORS[code]
  }
}

/** 0 yes or done; 1 no; 2 usage or bad input; 3 could not be done; 4 it depends on what is not known; 130 ended by Ctrl-C, 143 by SIGTERM. */
export type ExitStatus = 0 | 1 | 2 | 3 | 4 | 130 | 143
