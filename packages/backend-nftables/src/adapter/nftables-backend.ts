import {
  confirmLastSync,
  createSyncOrigins,
  createTurns,
  digestSumText,
  parseSyncMark,
  syncMarkText,
  type BackendContents,
  type DataplaneBackend,
  type FamilyDrift,
  type FamilySyncReport,
  type IpFamily,
  type LastSync,
  type PlanOptions,
  type ProxyConfig,
  type SyncHook,
  type SyncRequest,
} from '@pointsman/core'
import type { TableWitness } from 'node-iptables'
import { deleteTable } from '../table/text.js'
import type { Netlink } from './netlink.js'
import type { Nft } from './nft.js'
import { EMPTY_SUM, plus, sumOfText, sumText, type TableSum } from './table-digest.js'
import { createTableSync, type SyncTally, type TableSync } from './table-sync.js'

export interface NftablesBackendOptions {
  readonly config: ProxyConfig
  readonly nft: Nft
  /** For what is committed and read without a process: see `openNetlink`. It has to be in the network namespace of `nft`. Default: nothing is. */
  readonly netlink?: Netlink | undefined
  /** Knows whether others have changed the tables. Default: nobody does, so that syncs have no mark. */
  readonly witness?: TableWitness | undefined
  /** A sync of an earlier process: where the tables have its mark, and the first state its digest, the first sync reads nothing. */
  readonly lastSync?: LastSync | undefined
  /** Of the program's code: where the last sync was another's, all is planned to be compared. Default: not known, which is another's. */
  readonly build?: string | undefined
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
  const { config, nft, netlink, conntrack, onFamilySync, witness } = options
  const now = options.now ?? (() => performance.now())
  const planOptions = options.planOptions ?? (() => ({}))
  const tables = options.families.map((family) => ({
    family,
    ...createTableSync({ family, nft, netlink, config, planOptions }),
  }))
  const inTurn = createTurns()

  const contents = (sums: readonly TableSum[]): BackendContents => {
    const { count, digest } = sums.reduce(plus, EMPTY_SUM)
    return { rules: count, digest: digestSumText(digest) }
  }

  const origins = createSyncOrigins(options.build, (state) => tables.map(({ contextOf }) => contextOf(state)))

  let lastSync = options.lastSync
  /** Whether the tables are as an earlier process left them, which wanted the same. The first sync asks. */
  const isInForce = async (request: SyncRequest): Promise<boolean> => {
    const last = lastSync
    lastSync = undefined
    const mark = last && parseSyncMark(last.mark)
    if (last === undefined || mark === undefined || (await witness?.has(mark.tables)) !== true) return false
    const isSameOrigin =
      mark.made !== undefined && mark.made.origin === origins.of(request.state, request.objects)?.origin
    const sums = isSameOrigin ? mark.sums.flatMap(sumOfText) : undefined
    const assumed = tables.flatMap(({ assume }, index) => assume({ state: request.state, sum: sums?.[index] }) ?? [])
    if (assumed.length < tables.length || contents(assumed.map(({ sum }) => sum)).digest !== last.digest) return false
    for (const { accept } of assumed) accept()
    return true
  }

  const markOf = async (request: SyncRequest): Promise<string | undefined> => {
    // What is refused has rules that no plan of the state knows.
    if (tables.some(({ refused }) => refused().length > 0)) return undefined
    const found = await witness?.mark()
    const sums = tables.map(({ sum }) => sumText(sum() ?? EMPTY_SUM))
    return found && syncMarkText({ tables: found, made: origins.of(request.state, request.objects), sums })
  }

  return {
    name: 'nftables',
    usesServiceCidrs: true,
    sync: (given, signal) =>
      inTurn(async () => {
        signal.throwIfAborted()
        await conntrack?.beforeSync()
        const request = { ...given, isInForce: await isInForce(given) }
        const isRead = !request.isInForce && (given.changed === 'all' || tables.some(({ sum }) => sum() === undefined))
        const isCompared = isRead ? await witness?.comparing() : undefined
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
        isCompared?.()
        conntrack?.afterSync(request.state)
        const mark = await markOf(request)
        return {
          ...(mark !== undefined && { mark }),
          full: tallies.some(({ full }) => full),
          bytes: tallies.reduce((sum, { bytes }) => sum + bytes, 0),
          ...contents(tables.map(({ sum }) => sum() ?? EMPTY_SUM)),
          refused: tables.flatMap(({ refused }) => refused()),
        }
      }),
    confirmLast: (node) =>
      inTurn(async () => {
        const haveSums = async (sums: readonly string[]): Promise<boolean> => {
          for (const [index, { read }] of tables.entries()) if (sumText(await read()) !== sums[index]) return false
          return true
        }
        const settings = origins.settingsOf(node)
        const confirmed = await confirmLastSync(lastSync, { settings, families: tables.length, witness, haveSums })
        if (confirmed !== undefined) lastSync = confirmed.last
        return confirmed?.by
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
        const isCompared = await witness?.comparing()
        for (const { family, repair } of tables) {
          const repaired = await repair(signal)
          if (repaired === undefined) isWhole = false
          else if (repaired.places.length > 0) drifts.push({ family, chains: repaired.places, bytes: repaired.bytes })
        }
        if (isWhole) isCompared?.()
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
