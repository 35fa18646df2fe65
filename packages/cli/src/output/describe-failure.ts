import type { Dataplane } from '@pointsman/core'
import {
  ApiServerError,
  type ApiServerErrorCode,
  ChangeLogError,
  type ChangeLogErrorCode,
  FileError,
  type FileErrorCode,
} from '@pointsman/core/io'
import { CliError, type ExitStatus } from '../errors.js'
import type { Style } from './terminal.js'

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
