import { type Command, Option } from 'commander'
import type { Variant } from 'node-iptables'

export interface VariantOptions {
  readonly iptablesVariant: 'auto' | Variant
}

/** Adds `--iptables-variant`. */
export const withVariantOption = (command: Command, description: string): Command =>
  command.addOption(
    new Option('--iptables-variant <variant>', description).choices(['auto', 'nft', 'legacy']).default('auto'),
  )
