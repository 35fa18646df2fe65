import type { Family } from '../executables.js'

/** What somebody else did to the tables, as far as it shows. It is news, no advice: what to do is the caller's. */
export type TableChange =
  /** Canary chains were deleted, and with them surely other chains. One call for each disappearance. */
  | { readonly type: 'canary-gone'; readonly family: Family; readonly tables: readonly string[] }
  /** Canary chains lost their rule, as every chain does in `iptables -t TABLE -F`. */
  | { readonly type: 'canary-flushed'; readonly family: Family; readonly tables: readonly string[] }
  | Generation
  /** Generations were missed. What they changed, and whether it was another's work, only the tables can tell. */
  | { readonly type: 'changes-unseen' }

/** One commit to nf_tables, of any family and table of the network namespace. */
export interface Generation {
  readonly type: 'generation'
  /** Counts up by one with each commit in the network namespace. */
  readonly generation: number
  /** The process that made it, as the initial pid namespace numbers it. It may have ended. */
  readonly pid: number
  /** Its name as the kernel knows it, at most 15 characters: `iptables-nft-re`. */
  readonly command: string
}

/** Whom to tell. Neither is waited for; what one of them throws ends the watch and is what it fails with. */
export interface Watchers {
  readonly onChange: (change: TableChange) => void
  /** Something could not be looked at. The watch goes on. An IptablesError, if `run` fails with no other. */
  readonly onError: (error: unknown) => void
}
