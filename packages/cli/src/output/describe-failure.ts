import { IptablesError } from 'node-iptables'
import { CliError } from '../errors.js'
import type { Style } from './colour.js'

/**
 * What a failure looks like on standard error, in lines: one for a user's mistake and for an obstacle that has a name, a stack
 * trace for a bug of ours alone. Of a restore that was refused, the lines
 * around the one that iptables named come next, and what it said beyond its first line.
 */
export function describeFailure(error: unknown, style: Style): readonly string[] {
  const prefix = style.red('error:')
  if (error instanceof CliError || isNamedObstacle(error))
    return [`${prefix} ${oneLine(error.message)}`, ...restoreLines(error)]
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

/** The line that iptables named between its neighbours, and its own words. */
function restoreLines(error: Error): readonly string[] {
  const failure = error instanceof IptablesError ? error : error.cause
  if (!(failure instanceof IptablesError) || failure.restore === undefined) return []
  const { line, neighbours } = failure.restore
  const around = [...neighbours, line]
    .toSorted((one, other) => one.number - other.number)
    .map(({ number, text }) => `  ${number === line.number ? '>' : ' '} ${number}  ${text}`)
  // The first is in the message.
  const [, ...words] = failure.stderr.split('\n').filter((text) => text.trim() !== '')
  return [...around, ...words.slice(0, MAX_WORDS).map((text) => `  ${text.trim()}`)]
}

const MAX_WORDS = 5

const oneLine = (message: string): string => message.replaceAll(/(?<!\s)\s*\n\s*/g, ' ')

// Errors with a code come from the log, the file system and SQLite, and their messages are made for people.
const isNamedObstacle = (error: unknown): error is Error =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' && !error.code.startsWith('ERR_')
