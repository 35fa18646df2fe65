import { createIptables, type Family, type Iptables, IptablesError, type Variant } from 'node-iptables'
import type { Context } from '../context.js'
import { requireNetAdmin } from './require-net-admin.js'

/**
 * iptables of both families, and of each variant that is installed where none is named. CliError CANNOT without the
 * capability; the IptablesError of the last that was looked for when there is none at all.
 */
export async function openInstalled(variant: 'auto' | Variant, context: Context): Promise<readonly Iptables[]> {
  requireNetAdmin()
  const variants: readonly Variant[] = variant === 'auto' ? ['nft', 'legacy'] : [variant]
  const opened: Iptables[] = []
  let missing: unknown
  for (const wanted of variants) {
    for (const family of FAMILIES) {
      try {
        opened.push(await createIptables({ family, variant: wanted }, { signal: context.interrupted }))
      } catch (error) {
        if (!(error instanceof IptablesError) || error.code !== 'NOT_FOUND') throw error
        missing = error
      }
    }
  }
  if (opened.length === 0) throw missing
  return opened
}

const FAMILIES: readonly Family[] = ['IPv4', 'IPv6']
