import type { IpFamily, State } from '@pointsman/core'
import { type Context, warn } from '../context.js'
import { CliError } from '../errors.js'
import { familiesOf, type RulesetCommandOptions } from '../input/ruleset-options.js'

/**
 * The one family that a question is about: that of `--family`, else the Node's first, else IPv4, which standard error then
 * says. CliError USAGE for `dual`.
 */
export function familyAsked(
  options: RulesetCommandOptions,
  { state }: { readonly state: Pick<State, 'node'> },
  context: Context,
): IpFamily {
  if (options.family === 'dual')
    throw new CliError('USAGE', '--family dual makes two answers: ask for ipv4 and for ipv6 in turn')
  const [first] = familiesOf(options, state)
  if (first === undefined)
    warn(
      context,
      'the node has no address to derive a family from: printing the IPv4 rules (--family ipv6 for the others)',
    )
  return first ?? 'IPv4'
}
