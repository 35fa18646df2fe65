import { readFileSync } from 'node:fs'
import { CliError } from '../errors.js'

/**
 * CliError CANNOT where this process lacks CAP_NET_ADMIN: without it no table can be read, let alone written. Whether the
 * kernel then heeds it, and CAP_NET_RAW, which legacy asks for as well, the first command of iptables tells.
 */
export function requireNetAdmin(): void {
  const effective = effectiveCapabilities()
  if (effective === undefined || (effective & CAP_NET_ADMIN) !== 0n) return
  throw new CliError(
    'CANNOT',
    'reading or writing the tables of this machine requires CAP_NET_ADMIN (and CAP_NET_RAW for iptables-legacy): run as root, or with these capabilities',
  )
}

/** The twelfth, of linux/capability.h. */
const CAP_NET_ADMIN = 1n << 12n

/** Undefined where /proc does not tell. */
function effectiveCapabilities(): bigint | undefined {
  try {
    const hex = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]
    return hex === undefined ? undefined : BigInt(`0x${hex}`)
  } catch {
    return undefined
  }
}
