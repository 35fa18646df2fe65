import type { Dataplane, LoadedRules } from '@pointsman/core'
import { readText } from '@pointsman/core/io'
import type { Context } from '../context.js'
import { CliError } from '../errors.js'
import { byteStream } from './open-input.js'

/** Rules of one family that were saved. */
export interface SavedRules {
  /** Of the file, for messages. */
  readonly name: string
  readonly rules: LoadedRules
}

/** Reads a file, or standard input for `-`. CliError BAD_INPUT for what is no listing, or more than one, also when the rules are used. */
export async function readSave(
  path: string,
  dataplane: Pick<Dataplane, 'readListing'>,
  { stdin }: Pick<Context, 'stdin'>,
): Promise<SavedRules> {
  const { name, text } = await readText(path, byteStream(stdin), MAX_SAVE_BYTES)
  const refuse = (message: string, options?: ErrorOptions): CliError => new CliError('BAD_INPUT', message, options)
  return { name, rules: await dataplane.readListing(text, { name, refuse }) }
}

// 10,000 Services of 15 endpoints take half of that.
const MAX_SAVE_BYTES = 128 * 1024 * 1024
