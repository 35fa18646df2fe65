import type { Dataplane, IpFamily, ListingFile, LoadedRules } from '@pointsman/core'
import { findTexts, foreignTextOf } from '@pointsman/core/io'
import { type Context, warn } from '../context.js'
import { CliError } from '../errors.js'
import { byteStream } from './open-input.js'

/** Rules of one family that were saved. */
interface SavedRules {
  /** Of the file, for messages. */
  readonly name: string
  readonly rules: LoadedRules
}

interface SaveQuestion {
  readonly path: string
  readonly dataplane: Pick<Dataplane, 'readListing' | 'listings'>
  /** Of the rules to choose where a directory has both. */
  readonly family?: IpFamily | undefined
}

/**
 * Reads a file, or standard input for `-`; of a directory or a tar archive the file that has rules. CliError BAD_INPUT for what is
 * no listing, or more than one, also when the rules are used.
 */
export async function readSave(
  { path, dataplane, family }: SaveQuestion,
  context: Pick<Context, 'stdin' | 'stderr' | 'errorStyle'>,
): Promise<SavedRules> {
  const isWanted = (beginning: string): boolean => dataplane.listings?.isListing(beginning) === true
  const found = findTexts(path, byteStream(context.stdin), { isWanted, maxBytes: MAX_SAVE_BYTES })
  const files: ListingFile[] = []
  for await (const file of found.texts) files.push(file)
  for (const problem of found.problems) warn(context, problem)
  const refuse = (message: string, options?: ErrorOptions): CliError => new CliError('BAD_INPUT', message, options)
  const [only] = files
  const isOfMany = found.lookedAt() > 0
  if (isOfMany && only === undefined)
    throw refuse(`${path}: none of its ${found.lookedAt()} files has rules: give what \`iptables-save\` prints`)
  const ofPath = (message: string): CliError => refuse(`${path}: ${message}`)
  const file = isOfMany ? dataplane.listings?.choose(files, { family, refuse: ofPath }) : only
  if (file === undefined) throw refuse(`${path} has no rules: give what \`iptables-save\` prints`)
  if (isOfMany) warn(context, `the rules are those of ${file.name}`)
  const { name, text } = file
  const refuseText = (message: string, options?: ErrorOptions): CliError => {
    const foreign = foreignTextOf(text)
    if (foreign === undefined || foreign.isRules === true) return refuse(message, options)
    return refuse(`${name} is ${foreign.what}: run \`iptables-save\` on the node, and give what it prints`, options)
  }
  return { name, rules: await dataplane.readListing(text, { name, refuse: refuseText }) }
}

// 10,000 Services of 15 endpoints take half of that.
export const MAX_SAVE_BYTES = 128 * 1024 * 1024
