import type { Dataplane } from '@pointsman/core'
import { CliError } from '../errors.js'
import type { Style } from './colour.js'

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
