import type { ChangeLogReader, KubernetesObject } from '@pointsman/core'
import { openChangeLog, readObjects, whoElseCanWrite } from '@pointsman/core/io'
import type { Command } from 'commander'
import { type Context, warn } from '../context.js'
import { CliError } from '../errors.js'

/** As commander parses `--log FILE` and `--objects FILE|-`. */
export interface InputOptions {
  readonly log?: string
  readonly objects?: readonly string[]
}

export type Input =
  | { readonly type: 'log'; readonly path: string; readonly reader: ChangeLogReader }
  | { readonly type: 'objects'; readonly names: readonly string[]; readonly objects: readonly KubernetesObject[] }

/** Adds `--log`. */
export const withLogOption = (command: Command): Command =>
  command.option('--log <file>', 'the change log to ask (else the environment variable POINTSMAN_LOG)')

/** Adds `--log` and `--objects`. */
export const withInputOptions = (command: Command): Command => withObjectsOption(withLogOption(command))

/** Adds `--objects`. */
export const withObjectsOption = (command: Command): Command =>
  command.option(
    '--objects <file>',
    'objects in a YAML or JSON file, or - for standard input, in place of a log (several times)',
    (file: string, files: readonly string[] | undefined) => [...(files ?? []), file],
  )

/**
 * Opens the log or reads the objects that a question is about, and says on standard error what was passed over. CliError
 * USAGE when neither or both are given; the caller closes the reader.
 */
export async function openInput(options: InputOptions, context: Context): Promise<Input> {
  const { objects: names } = options
  if (names === undefined || names.length === 0) return { type: 'log', ...openLog(options, context) }
  if (options.log !== undefined) throw new CliError('USAGE', '--log and --objects are two inputs: give one of them')
  const { objects, passedOver, problems } = await readObjects(names, byteStream(context.stdin))
  for (const problem of problems) warn(context, problem)
  if (passedOver.size > 0) {
    const kinds = [...passedOver].map(([kind, count]) => `${count} ${kind}`).join(', ')
    warn(context, `passed over, because no service proxy reads them: ${kinds}`)
  }
  return { type: 'objects', names, objects }
}

/** Opens `--log FILE`, else POINTSMAN_LOG, for reading; the caller closes it. A CliError in one line when there is none. */
export function openLog(
  options: Pick<InputOptions, 'log'>,
  context: Context,
): { readonly path: string; readonly reader: ChangeLogReader } {
  const path = logPath(options, context)
  return { path, reader: openChangeLog(path) }
}

/** `--log`, else POINTSMAN_LOG; CliError USAGE where both are empty. */
export function logPath({ log }: Pick<InputOptions, 'log'>, { env }: Context): string {
  const path = log ?? env['POINTSMAN_LOG'] ?? ''
  if (path === '') {
    throw new CliError(
      'USAGE',
      'which log? give --log FILE or set POINTSMAN_LOG; `pointsman import RECORDING --log FILE` makes one',
    )
  }
  return path
}

/** Says on standard error, before a log is written, who else can change it. A ChangeLogError where it cannot be there. */
export function warnOfOthers(path: string, context: Context): void {
  const why = whoElseCanWrite(path)
  if (why !== undefined) warn(context, `others can change ${path}, and what is told from it (${why})`)
}

export const byteStream = (stdin: NodeJS.ReadableStream): AsyncIterable<Buffer | string> => stdin
