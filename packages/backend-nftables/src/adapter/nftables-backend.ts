import {
  createTurns,
  digestSumText,
  type BackendContents,
  type DataplaneBackend,
  type FamilyDrift,
  type FamilySyncReport,
  type IpFamily,
  type PlanOptions,
  type ProxyConfig,
  type SyncHook,
} from '@pointsman/core'
import { deleteTable } from '../table/text.js'
import type { Nft } from './nft.js'
import { EMPTY_SUM, plus, type TableSum } from './table-digest.js'
import { createTableSync, type SyncTally, type TableSync } from './table-sync.js'

export interface NftablesBackendOptions {
  readonly config: ProxyConfig
  readonly nft: Nft
  /** Synced in this order. */
  readonly families: readonly IpFamily[]
  /** What rules may ask for, and which addresses the machine has: asked at each sync. */
  readonly planOptions?: (() => Omit<PlanOptions, 'family'>) | undefined
  /** Called before and after each sync, and closed with the backend. */
  readonly conntrack?: SyncHook | undefined
  /** Called after each family's part of each sync, failed ones included. What it throws fails the sync. */
  readonly onFamilySync?: ((report: FamilySyncReport) => void) | undefined
  /** Milliseconds that never go back. Default: since this process began. */
  readonly now?: (() => number) | undefined
}

/**
 * Brings a state into nftables. Each family's change is one transaction of nft(8): all of it is in force, or nothing. The first sync,
 * one for `all`, and one after a failure read the table and change what differs; every other one sends what the named service ports
 * have otherwise than before. Service ports that cannot be planned, or are refused, are in the result.
 */
export function createNftablesBackend(options: NftablesBackendOptions): DataplaneBackend {
  const { config, nft, conntrack, onFamilySync } = options
  const now = options.now ?? (() => performance.now())
  const planOptions = options.planOptions ?? (() => ({}))
  const tables = options.families.map((family) => ({
    family,
    ...createTableSync({ family, nft, config, planOptions }),
  }))
  const inTurn = createTurns()

  const contents = (sums: readonly TableSum[]): BackendContents => {
    const { count, digest } = sums.reduce(plus, EMPTY_SUM)
    return { rules: count, digest: digestSumText(digest) }
  }

  return {
    name: 'nftables',
    usesServiceCidrs: true,
    sync: (request, signal) =>
      inTurn(async () => {
        signal.throwIfAborted()
        await conntrack?.beforeSync()
        const tallies: SyncTally[] = []
        const errors: unknown[] = []
        for (const each of tables) {
          const tally = newTally()
          tallies.push(tally)
          try {
            await reported(each, { tally, now, onFamilySync }, () => each.sync(request, { signal, tally }))
          } catch (error) {
            // What is wrong with one family's table is no reason to leave the other's as it is.
            errors.push(error)
            signal.throwIfAborted()
          }
        }
        if (errors.length > 0) throw errors[0]
        conntrack?.afterSync(request.state)
        return {
          full: tallies.some(({ full }) => full),
          bytes: tallies.reduce((sum, { bytes }) => sum + bytes, 0),
          ...contents(tables.map(({ sum }) => sum() ?? EMPTY_SUM)),
          refused: tables.flatMap(({ refused }) => refused()),
        }
      }),
    async read() {
      const sums: TableSum[] = []
      for (const { read } of tables) sums.push(await read())
      return contents(sums)
    },
    async dryRun(state) {
      const inputs = []
      for (const { family, dryRun } of tables) inputs.push({ family, command: 'nft -f -', lines: await dryRun(state) })
      return inputs
    },
    repairDrift: (signal) =>
      inTurn(async () => {
        const drifts: FamilyDrift[] = []
        let isWhole = true
        for (const { family, repair } of tables) {
          const repaired = await repair(signal)
          if (repaired === undefined) isWhole = false
          else if (repaired.places.length > 0) drifts.push({ family, chains: repaired.places, bytes: repaired.bytes })
        }
        return isWhole || drifts.length > 0 ? drifts : undefined
      }),
    cleanup: () =>
      inTurn(async () => {
        for (const { table, forget } of tables) {
          forget()
          if ((await nft.list(table)) !== undefined) await nft.load([deleteTable(table)])
        }
      }),
    close: async () => conntrack?.close(),
  }
}

const newTally = (): SyncTally => ({
  full: false,
  transactions: 0,
  bytes: 0,
  failures: 0,
  partialFailures: 0,
  cleanupFailures: 0,
  written: 0,
})

/** A family's sync, reported when it is over, also when it has failed. */
async function reported(
  { family, table, sum, refused }: TableSync & { readonly family: IpFamily },
  {
    tally,
    now,
    onFamilySync,
  }: Pick<NftablesBackendOptions, 'onFamilySync'> & {
    readonly tally: SyncTally
    readonly now: () => number
  },
  sync: () => Promise<void>,
): Promise<void> {
  const startedAt = now()
  const before = sum()
  let failure: Pick<FamilySyncReport, 'error'> = {}
  try {
    await sync()
  } catch (error) {
    failure = { error }
    throw error
  } finally {
    const { full, transactions, bytes, failures, partialFailures, cleanupFailures, written } = tally
    const count = refused().length
    onFamilySync?.({
      family,
      full,
      durationMs: now() - startedAt,
      restores: transactions,
      bytes,
      failures,
      partialFailures,
      cleanupFailures,
      ...(count > 0 && { refused: count }),
      tables: { [table.name]: { rules: (sum() ?? before ?? EMPTY_SUM).count, written } },
      ...failure,
    })
  }
}
