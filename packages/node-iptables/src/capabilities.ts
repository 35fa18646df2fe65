/** Which kernel interface an iptables speaks: nf_tables, or the older ip_tables. */
export type Variant = 'nft' | 'legacy'

/** What an installed iptables can do. */
export interface Capabilities {
  /** As printed: `1.8.9`. */
  readonly version: string
  readonly variant: Variant
  /** `-C` checks whether a rule is there (1.4.11). */
  readonly check: boolean
  /** `-w` waits for the xtables lock (1.4.20). */
  readonly wait: boolean
  /** `-w SECONDS` waits so long (1.4.22). */
  readonly waitSeconds: boolean
  /** The restore takes the xtables lock and has `--wait=SECONDS` (1.6.2, and before where a distribution added it). */
  readonly restoreWait: boolean
  /** `--random-fully` of MASQUERADE (1.6.2). */
  readonly randomFully: boolean
}

/** Reads what `iptables --version` prints. Undefined: that is no iptables. Versions before 1.8 name no variant: legacy. */
export function capabilitiesOf(printed: string): Capabilities | undefined {
  const found = /^ip6?tables(?:-\w+)* v(\d+)\.(\d+)(?:\.(\d+))?(?:\.\d+)?(?: \((nf_tables|legacy)\))?\s*$/m.exec(
    printed,
  )
  if (found === null) return undefined
  const [, major = '0', minor = '0', patch = '0', variant] = found
  const number = (Number(major) * 1000 + Number(minor)) * 1000 + Number(patch)
  return {
    version: `${major}.${minor}.${patch}`,
    variant: variant === 'nf_tables' ? 'nft' : 'legacy',
    check: number >= 1_004_011,
    wait: number >= 1_004_020,
    waitSeconds: number >= 1_004_022,
    restoreWait: number >= 1_006_002,
    randomFully: number >= 1_006_002,
  }
}
