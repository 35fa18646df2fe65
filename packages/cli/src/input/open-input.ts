import type { ChangeLogReader, KubernetesObject } from '@pointsman/core'
import type { Context } from '../context.js'
import { CliError } from '../errors.js'

/** As commander parses `--log FILE` and `--objects FILE|-`. */
export interface InputOptions {
  readonly log?: string
  readonly objects?: readonly string[]
}

export type Input =
  | { readonly type: 'log'; readonly path: string; readonly reader: ChangeLogReader }
  | { readonly type: 'objects'; readonly names: readonly string[]; readonly objects: readonly KubernetesObject[] }

/** Opens the log or reads the objects that a question is about. CliError USAGE when neither or both are given. */
export async function openInput(options: InputOptions, context: Context): Promise<Input> {
  return Promise.reject(new CliError('USAGE', `not written yet ${Object.keys(options).length} ${context.env['POINTSMAN_LOG'] ?? ''}`))
}

/** Opens `--log FILE`, else POINTSMAN_LOG, for reading; the caller closes it. A CliError in one line when there is none. */
export function openLog(options: Pick<InputOptions, 'log'>, context: Context): { readonly path: string; readonly reader: ChangeLogReader } {
  throw new CliError('USAGE', `not written yet ${options.log ?? ''} ${context.env['POINTSMAN_LOG'] ?? ''}`)
}
