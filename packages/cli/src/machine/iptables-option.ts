import { type Command, Option } from 'commander'

export interface VariantOptions {
  readonly iptablesVariant: 'auto' | 'nft' | 'legacy'
}

/** Adds `--iptables-variant`. */
export const withVariantOption = (command: Command, description: string): Command =>
  command.addOption(
    new Option('--iptables-variant <variant>', description).choices(['auto', 'nft', 'legacy']).default('auto'),
  )
