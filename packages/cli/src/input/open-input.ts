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
  command.option('--log <file>', 'the change log (default: the environment variable POINTSMAN_LOG)')

/** Adds `--log` and `--objects`. */
export const withInputOptions = (command: Command): Command => withObjectsOption(withLogOption(command))

/** Adds `--objects`. */
export const withObjectsOption = (command: Command): Command =>
  command.option(
    '--objects <file>',
    'a YAML or JSON file with objects, or - for standard input, instead of a log (repeatable)',
    (file: string, files: readonly string[] | undefined) => [...(files ?? []), file],
  )

/**
 * Opens the log or reads the objects that a question is about, and says on standard error what was passed over. CliError
 * USAGE when neither or both are given; the caller closes the reader.
 */
export async function openInput(options: InputOptions, context: Context): Promise<Input> {
  const { objects: names } = options
  if (names === undefined || names.length === 0) return { type: 'log', ...openLog(options, context) }
  if (options.log !== undefined) throw new CliError('USAGE', 'give either --log or --objects, not both')
  const { objects, passedOver, problems } = await readObjects(names, byteStream(context.stdin))
  for (const problem of problems) warn(context, problem)
  if (passedOver.size > 0) {
    const kinds = [...passedOver].map(([kind, count]) => `${count} ${kind}`).join(', ')
    warn(context, `ignored objects of kinds that a service proxy does not use: ${kinds}`)
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
      'no log given: use --log FILE or set POINTSMAN_LOG; `pointsman import RECORDING --log FILE` creates one',
    )
  }
  return path
}

/** Says on standard error, before a log is written, who else can change it. A ChangeLogError where it cannot be there. */
export function warnOfOthers(path: string, context: Context): void {
  const why = whoElseCanWrite(path)
  if (why !== undefined)
    warn(context, `${path} can be modified by other users, so its contents may not be trusted (${why})`)
}

export const byteStream = (stdin: NodeJS.ReadableStream): AsyncIterable<Buffer | string> => stdin
