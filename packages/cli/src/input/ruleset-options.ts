import { parseAddress } from '@pointsman/core'
import type { IpFamily, ProxyConfig, State } from '@pointsman/core'
import { type Command, Option } from 'commander'
import { CliError } from '../errors.js'

/** As commander parses what decides about rules besides kube-proxy's configuration. */
export interface RulesetCommandOptions {
  readonly family?: FamilyChoice
  readonly layout?: 'current' | 'classic'
  readonly nodeAddress?: readonly string[]
}

const FAMILIES = {
  ipv4: ['IPv4'],
  ipv6: ['IPv6'],
  dual: ['IPv4', 'IPv6'],
} as const satisfies { readonly [choice: string]: readonly IpFamily[] }
export type FamilyChoice = keyof typeof FAMILIES

export interface RulesetOptionTexts {
  readonly family: string
  /** Where they come from by default. */
  readonly addresses: string
}

/** For commands that write into the tables of this machine. */
export const ON_THIS_MACHINE: RulesetOptionTexts = {
  family: "ipv4, ipv6 or dual (default: the families of the Node's addresses, else dual)",
  addresses: "this machine's",
}

/** Adds `--family`, `--layout` and `--node-address`. */
export const withRulesetOptions = (command: Command, { family, addresses }: RulesetOptionTexts): Command =>
  command
    .addOption(new Option('--family <family>', family).choices(Object.keys(FAMILIES)))
    .addOption(
      new Option(
        '--layout <layout>',
        "the chain layout: kube-proxy 1.36's (current), or that of 1.20 and earlier (classic, not built yet)",
      ).choices(['current', 'classic']),
    )
    .option(
      '--node-address <address>',
      `an address of the node's interfaces (repeatable; default: ${addresses} and loopback)`,
      (address: string, addresses: readonly string[] | undefined) => [...(addresses ?? []), address],
    )

/** CliError USAGE for a layout that is not built. */
export function checkLayout({ layout }: RulesetCommandOptions, config: Pick<ProxyConfig, 'layout'>): void {
  if ((layout ?? config.layout) === 'current') return
  throw new CliError('USAGE', "--layout classic is not built yet: omit --layout to use kube-proxy 1.36's rules")
}

/** What `--family` asks for, else the families of the node's addresses in its order; none where these are not known. */
export function familiesOf({ family }: RulesetCommandOptions, { node }: Pick<State, 'node'>): readonly IpFamily[] {
  if (family !== undefined) return FAMILIES[family]
  return [...new Set((node?.addresses ?? []).flatMap((address) => parseAddress(address)?.family ?? []))]
}

/**
 * The addresses that the node's interfaces bear, as far as they are given: `--node-address` and loopback. Undefined:
 * nothing was given. CliError USAGE for what is no address.
 */
export function interfaceAddressesOf({ nodeAddress }: RulesetCommandOptions): readonly string[] | undefined {
  if (nodeAddress === undefined) return undefined
  const given = nodeAddress.map((text) => {
    const address = parseAddress(text)
    if (address !== undefined) return address.text
    throw new CliError(
      'USAGE',
      `--node-address ${JSON.stringify(text)} is not an IP address: give one without a prefix length`,
    )
  })
  return [...given, '127.0.0.1', '::1']
}
