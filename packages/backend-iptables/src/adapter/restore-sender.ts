import { type Iptables, IptablesError } from 'node-iptables'
import type { RestoreLines } from '../plan/plan-restores.js'
import { TABLES, type Table } from '../ruleset/ruleset.js'

/** What was sent for one family in one sync, counted as it goes; also of a sync that fails. */
export interface SyncTally {
  /** The tables were read, or need not be: everything was compared. */
  full: boolean
  /** Failed ones included, and their bytes. */
  restores: number
  bytes: number
  failures: number
  /** Of these, the ones before the tables were read. */
  partialFailures: number
  /** COMMITs that have taken effect, or may have. */
  committed: number
  /** Rules that restores have brought into each table. */
  readonly written: Record<Table, number>
}

export const createSyncTally = (): SyncTally => ({
  full: false,
  restores: 0,
  bytes: 0,
  failures: 0,
  partialFailures: 0,
  committed: 0,
  written: { mangle: 0, filter: 0, nat: 0 },
})

export interface SendOptions {
  readonly iptables: Pick<Iptables, 'restore'>
  readonly signal: AbortSignal
  readonly tally: SyncTally
}

/** Sends restores one after the other, until one fails, and gives the bytes that were sent. */
export async function sendRestores(
  restores: Iterable<RestoreLines>,
  { iptables, signal, tally }: SendOptions,
): Promise<number> {
  let sent = 0
  for (const lines of restores) {
    const bytes = bytesOf(lines)
    sent += bytes
    tally.restores += 1
    tally.bytes += bytes
    try {
      const timeoutMs = RESTORE_TIMEOUT_MS + lines.length * RESTORE_TIMEOUT_MS_A_LINE
      await iptables.restore({ lines: () => lines, flush: false, counters: true }, { signal, timeoutMs })
    } catch (error) {
      tally.failures += 1
      if (!tally.full) tally.partialFailures += 1
      tally.committed += committedBefore(lines, error)
      throw error
    }
    tally.committed += commitsIn(lines)
    countWritten(lines, tally.written)
  }
  return sent
}

/** One that hangs is ended, and what it was to bring about is tried again. The longest take a second for 6,000 lines. */
const RESTORE_TIMEOUT_MS = 20_000
const RESTORE_TIMEOUT_MS_A_LINE = 2

/** A COMMIT takes effect wholly or not at all, one after the other: those before the line that failed. */
function committedBefore(lines: RestoreLines, error: unknown): number {
  const failed = error instanceof IptablesError ? error.restore?.line.number : undefined
  return commitsIn(failed === undefined ? lines : lines.slice(0, failed - 1))
}

const commitsIn = (lines: RestoreLines): number => lines.filter((line) => line === 'COMMIT').length

function bytesOf(lines: RestoreLines): number {
  let bytes = 0
  for (const line of lines) bytes += Buffer.byteLength(line) + 1
  return bytes
}

function countWritten(lines: RestoreLines, written: SyncTally['written']): void {
  let table: Table | undefined
  for (const line of lines) {
    if (line.startsWith('*')) table = TABLES.find((one) => one === line.slice(1))
    else if (table !== undefined && (line.startsWith('-A ') || line.startsWith('-I '))) written[table] += 1
  }
}
