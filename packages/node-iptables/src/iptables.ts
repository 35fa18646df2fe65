import type { Family, VariantChoice } from './detect-variant.js'
import type { RestoreInput } from './restore-input.js'

/** How long one call may take, and what ends it early: TIMED_OUT and ABORTED. Neither undoes what is done. */
export interface Limits {
  /** Default: as given to createIptables. */
  readonly timeoutMs?: number | undefined
  readonly signal?: AbortSignal | undefined
}

/** A chain, built-in or of one's own, in its table. */
export interface ChainPlace {
  /** `filter`, `nat`, `mangle`, `raw`, `security`. */
  readonly table: string
  readonly chain: string
}

/** A rule by what it says. Its place among the others does not count. */
export interface RulePlace extends ChainPlace {
  /** The rule's words after `-A CHAIN`, unquoted: `['-p', 'tcp', '--dport', '80', '-j', 'ACCEPT']`. */
  readonly rule: readonly string[]
}

export interface RestoreOptions {
  /** Restore these tables of the input alone. Default: all that it has. */
  readonly tables?: readonly string[] | undefined
  /** Empty each table of the input first; false (`--noflush`) keeps what the input does not name. */
  readonly flush: boolean
  /** Take the counters from the input. */
  readonly counters: boolean
  /** How long to wait for the xtables lock, in whole seconds from 1. Default: as given to createIptables. */
  readonly waitSeconds?: number | undefined
}

/** iptables of one family. Every method fails with an IptablesError; a wrong `waitSeconds` is a RangeError. */
export interface Iptables {
  readonly family: Family
  /** What the iptables that was found can do. */
  readonly capabilities: Capabilities
  /** Why this variant: there when it was chosen by looking at the rules of this node. */
  readonly choice: VariantChoice | undefined

  /** Whether the chain is there; false also where it has rules that only nft can read. Makes no table by looking. */
  readonly hasChain: (place: ChainPlace, limits?: Limits) => Promise<boolean>
  /** Makes the chain when it is not there, and leaves it as it is otherwise. */
  readonly ensureChain: (place: ChainPlace, limits?: Limits) => Promise<{ readonly existed: boolean }>
  /** Deletes the chain's rules. NO_SUCH_CHAIN. */
  readonly flushChain: (place: ChainPlace, limits?: Limits) => Promise<void>
  /** Deletes an empty chain that nothing jumps to. NO_SUCH_CHAIN, CHAIN_IN_USE. */
  readonly deleteChain: (place: ChainPlace, limits?: Limits) => Promise<void>

  /** Adds the rule as the chain's first or last, when the chain has no such rule. NO_SUCH_CHAIN. */
  readonly ensureRule: (
    rule: RulePlace & { readonly position: 'prepend' | 'append' },
    limits?: Limits,
  ) => Promise<{ readonly existed: boolean }>
  /** Whether the chain has the rule; false also where there is no such chain, or nothing that it jumps to. */
  readonly checkRule: (rule: RulePlace, limits?: Limits) => Promise<boolean>
  /** Deletes the first such rule, when there is one. */
  readonly deleteRule: (rule: RulePlace, limits?: Limits) => Promise<{ readonly existed: boolean }>

  /** What `iptables-save` prints, of one table or of all. Empty for a table that legacy does not have: asking would make it. */
  readonly save: (options?: SaveOptions, limits?: Limits) => Promise<string>
  /** The same, line by line as it comes, never held whole. */
  readonly saveLines: (options?: SaveOptions, limits?: Limits) => AsyncIterable<string>

  /**
   * Restores tables: each is applied at its COMMIT, whole or not at all; a table before the failing one stays applied.
   * The input is read as the restore takes it, so that its size does not block the event loop. Nothing is copied of a
   * text or of lines that a function gives; of other lines, what was read is kept until the end, for the error's. The
   * error has `restore` where iptables named a line, and the most exact code.
   */
  readonly restore: (request: RestoreInput & RestoreOptions, limits?: Limits) => Promise<void>
}

export interface SaveOptions {
  /** Default: all tables that there are. */
  readonly table?: string | undefined
  /** With counters of packets and bytes before each rule. */
  readonly counters?: boolean | undefined
}

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
