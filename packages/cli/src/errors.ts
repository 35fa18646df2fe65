import type { Dataplane } from '@pointsman/core'
import {
  ApiServerError,
  ChangeLogError,
  FileError,
  type ApiServerErrorCode,
  type ChangeLogErrorCode,
  type FileErrorCode,
} from '@pointsman/core/io'
import type { Style } from './output/terminal.js'

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
type CliErrorCode = keyof typeof CLI_ERRORS

/**
 * A mistake or an obstacle that the user sees in one line, without a stack trace. The message names the input
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

/**
 * What a failure looks like on standard error, in lines: one for a user's mistake and for an obstacle that has a name, a stack
 * trace for a bug of ours alone. What
 * the data planes know of an input that a tool refused comes next.
 */
export function describeFailure(
  error: unknown,
  { style, dataplanes }: { readonly style: Style; readonly dataplanes: readonly Pick<Dataplane, 'failureLines'>[] },
): readonly string[] {
  const prefix = style.red('error:')
  if (error instanceof CliError || isNamedObstacle(error))
    return [`${prefix} ${oneLine(error.message)}`, ...dataplanes.flatMap((dataplane) => dataplane.failureLines(error))]
  return [`${prefix} this is a bug in pointsman, please report it with these lines:`, ...stackLines(error)]
}

/** The message, which may hold text from outside, as one line; then the places, which are ours. */
function stackLines(error: unknown): readonly string[] {
  if (!(error instanceof Error)) return [String(error)]
  const { name, message, stack = '' } = error
  const places = stack
    .replace(message, '')
    .split('\n')
    .filter((line) => /^ {4}at /.test(line))
  return [`${name}: ${message}`, ...places]
}

const oneLine = (message: string): string => message.replaceAll(/(?<!\s)\s*\n\s*/g, ' ')

// Errors with a code come from the log, the file system and SQLite, and their messages are made for people.
const isNamedObstacle = (error: unknown): error is Error =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' && !error.code.startsWith('ERR_')

/** What the process ends with after a failure: 2 where the input is at fault, 3 where the world is, or we are. */
export function exitStatusOf(error: unknown): ExitStatus {
  if (error instanceof CliError) return error.exitStatus
  if (error instanceof ChangeLogError) return BAD_LOGS.has(error.code) ? 2 : 3
  if (error instanceof FileError) return FAULTS_OF_THE_WORLD.has(error.code) ? 3 : 2
  if (error instanceof ApiServerError) return BAD_KUBECONFIGS.has(error.code) ? 2 : 3
  return 3
}

const BAD_LOGS: ReadonlySet<ChangeLogErrorCode> = new Set<ChangeLogErrorCode>([
  'LOG_NOT_FOUND',
  'LOG_NOT_A_LOG',
  'LOG_TOO_NEW',
  'LOG_TOO_OLD',
  'LOG_OTHER_NODE',
  'LOG_NOT_PRIVATE',
  'LOG_PRUNED',
])

const FAULTS_OF_THE_WORLD: ReadonlySet<FileErrorCode> = new Set<FileErrorCode>(['CANNOT_WRITE'])

const BAD_KUBECONFIGS: ReadonlySet<ApiServerErrorCode> = new Set<ApiServerErrorCode>([
  'NO_CONFIGURATION',
  'KUBECONFIG_INVALID',
  'CONTEXT_NOT_FOUND',
])
