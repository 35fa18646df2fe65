import type { IpFamily } from '@pointsman/core'
import { CliError } from '../errors.js'
import { familiesOf, type RulesetCommandOptions } from '../input/ruleset-options.js'

/** That of `--family`; undefined where it is not given. CliError USAGE for `dual`. */
export function packetFamilyAsked(options: RulesetCommandOptions): IpFamily | undefined {
  if (options.family === undefined) return undefined
  if (options.family === 'dual') throw new CliError('USAGE', 'a packet is of one family: give --family ipv4 or ipv6')
  return familiesOf(options, {})[0]
}
