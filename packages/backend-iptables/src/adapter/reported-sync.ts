import type { FamilySyncReport, IpFamily, TableCounts } from '@pointsman/core'
import type { FamilyOutcome, FamilyRequest, FamilySync } from './family-sync.js'
import { ServicesRefusedError } from './services-refused-error.js'
import { createSyncTally, type SyncTally } from './restore-sender.js'
import type { Table } from '../ruleset/ruleset.js'
import { EMPTY_SUM, type RulesByTable } from './ruleset-digest.js'

/** A report with each of the tables that this rule system has. */
export interface TablesSyncReport extends FamilySyncReport {
  readonly tables: Readonly<Record<Table, TableCounts>>
}

export interface ReportedSyncOptions {
  readonly family: IpFamily
  /** Milliseconds that never go back. */
  readonly now: () => number
  readonly onFamilySync: ((report: TablesSyncReport) => void) | undefined
}

/** A family's sync, which tells of each run when it is over, also when it has failed. */
export function reportedSync(
  { sync, sum }: Pick<FamilySync, 'sync' | 'sum'>,
  { family, now, onFamilySync }: ReportedSyncOptions,
): (request: FamilyRequest, signal: AbortSignal) => Promise<FamilyOutcome> {
  let rules = EMPTY_SUM.rules
  return async (request, signal) => {
    const tally = createSyncTally()
    const startedAt = now()
    let failure: Pick<TablesSyncReport, 'error' | 'refused'> = {}
    try {
      return await sync(request, { signal, tally })
    } catch (error) {
      failure = { error }
      if (error instanceof ServicesRefusedError)
        failure = { error, refused: error.services.length + error.untried.length }
      throw error
    } finally {
      const durationMs = now() - startedAt
      rules = sum()?.rules ?? rules
      onFamilySync?.({ family, durationMs, ...countsOf(tally, rules), ...failure })
    }
  }
}

function countsOf(
  { full, restores, bytes, failures, partialFailures, written }: SyncTally,
  rules: RulesByTable,
): Pick<TablesSyncReport, 'full' | 'restores' | 'bytes' | 'failures' | 'partialFailures' | 'tables'> {
  const of = (table: keyof RulesByTable) => ({ rules: rules[table], written: written[table] })
  const tables = { mangle: of('mangle'), filter: of('filter'), nat: of('nat') }
  return { full, restores, bytes, failures, partialFailures, tables }
}
