import type { IpFamily } from '@pointsman/core'
import type { Table } from '../ruleset/ruleset.js'

/** One family's part of one sync, for those who count. */
export interface FamilySyncReport {
  readonly family: IpFamily
  /** The tables were read, and everything was compared; else only what changed was rendered. */
  readonly full: boolean
  readonly durationMs: number
  /** Restores that were sent, and their bytes; also those of a sync that failed, the failed one included. */
  readonly restores: number
  readonly bytes: number
  /** Restores that failed. A sync can succeed in spite of some. */
  readonly failures: number
  /** Of these, the ones that held only what had changed: what is tried next holds everything. Absent: none is told apart. */
  readonly partialFailures?: number
  readonly tables: Readonly<Record<Table, TableCounts>>
  /** Absent: the sync succeeded. */
  readonly error?: unknown
}

export interface TableCounts {
  /** Rules of ours in force after the sync; as before it when it failed. */
  readonly rules: number
  /** Rules that this sync wrote. */
  readonly written: number
}
