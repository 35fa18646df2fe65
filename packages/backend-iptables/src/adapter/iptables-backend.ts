import {
  confirmLastSync,
  createSyncOrigins,
  createTurns,
  parseSyncMark,
  syncMarkText,
  type Backend,
  type Confirmation,
  type FamilyDrift,
  type FamilySyncReport,
  type HeldPort,
  type IpFamily,
  type LastSync,
  type NodeInfo,
  type ProxyConfig,
  type State,
  type SyncHook,
  type SyncRequest,
  type SyncResult,
  type TableCounts,
} from '@pointsman/core'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Iptables, parseSaveLines, type SavedTable, type TableWitness, type Variant } from 'node-iptables'
import type { RestoreLimits } from '../plan/plan-restores.js'
import type { RulesetOptions } from '../ruleset/context.js'
import { layoutOf } from '../ruleset/layout.js'
import { type Table, TABLES } from '../ruleset/ruleset.js'
import { createFamilySync, type FamilyOutcome, type FamilyRequest, type FamilySync } from './family-sync.js'
import { type CleanupPlan, planCleanup } from './plan-cleanup.js'
import { type ForeignReference, readFound } from './read-found.js'
import { createSyncTally, type SyncTally } from './restore-sender.js'
import {
  digestText,
  EMPTY_SUM,
  plus,
  type RulesByTable,
  type RulesetSum,
  rulesIn,
  sumOfFound,
  sumOfText,
  sumText,
} from './ruleset-digest.js'

export interface IptablesBackendOptions extends Omit<
  RulesetOptions,
  'family' | 'randomFully' | 'interfaceAddresses' | 'unheldExternalIPs'
> {
  /** Addresses that the node's interfaces have: asked at each sync. Default: those of the Node object, and loopback. */
  readonly interfaceAddresses?: readonly string[] | (() => readonly string[]) | undefined
  /** External IPs of the machine that no rules may lead to (layout `classic`): asked at each sync. Default: none. */
  readonly unheldExternalIPs?: readonly HeldPort[] | (() => readonly HeldPort[]) | undefined
  readonly config: ProxyConfig
  /** iptables of each family that is to be synced, at most one a family; synced in this order. */
  readonly iptables: readonly Iptables[]
  /** `iptables` unless said otherwise. */
  readonly name?: string | undefined
  /** Called after a sync that read the tables: chains of ours that rules of others lead to, so that they are kept. */
  readonly onLeft?: ((left: readonly ForeignReference[]) => void) | undefined
  /** Told before and after each sync that changes rules, and closed with the backend: UDP flows outlive the rules. */
  readonly conntrack?: SyncHook | undefined
  /** Told of each family's part of each sync when it is over, also when it failed. What it throws fails the sync. */
  readonly onFamilySync?: ((report: TablesSyncReport) => void) | undefined
  /** Milliseconds that never go back, for `onFamilySync`. Default: since this process began. */
  readonly now?: (() => number) | undefined
  /** Knows whether others have changed the tables. Default: nobody does, so that syncs have no mark. */
  readonly witness?: TableWitness | undefined
  /** A sync of an earlier process: where the tables have its mark, and the first state its digest, the first sync reads nothing. */
  readonly lastSync?: LastSync | undefined
  /** Of the program's code: where the last sync was another's, all is planned to be compared. Default: not known, which is another's. */
  readonly build?: string | undefined
  /** How long syncs go on while the tables are read for `repairDrift`, in milliseconds; then they wait for it. Default: 1,000. */
  readonly holdAfterMs?: number | undefined
  /** How large a restore may be. Default: as measured for the variant. */
  readonly limits?: RestoreLimits | undefined
}

/** The backend that writes kube-proxy's rules, and what only this one can do. */
export interface IptablesBackend extends Backend {
  /** What a sync would restore, a family at a time. Reads the tables and changes nothing. */
  dryRun(state: State): Promise<readonly FamilyRestore[]>
  /**
   * Compares the tables with what the last sync left, and restores what other programs have changed since. Syncs may run while
   * the tables are read; what they write meanwhile is not looked at. Undefined: nothing was found, but of some family nothing
   * is known that it could be compared with, as before the first sync. A failure is as one of a sync: the next sync reads
   * the tables.
   */
  repairDrift(signal: AbortSignal): Promise<readonly FamilyDrift[] | undefined>
  /** As `DataplaneBackend.confirmLast`. */
  confirmLast(node: NodeInfo | undefined, signal: AbortSignal): Promise<Confirmation | undefined>
  /** What `cleanup` would do. */
  planCleanup(): Promise<readonly FamilyCleanup[]>
}

export interface FamilyRestore {
  readonly family: Iptables['family']
  /** One restore after the other, without line ends. None: all is as it should be. */
  readonly lines: readonly string[]
}

export interface FamilyCleanup extends CleanupPlan {
  readonly family: Iptables['family']
}

/**
 * Brings a state's rules into the kernel through iptables-restore. The first sync, one for `all`, and one after a failure
 * read the tables and change what differs; every other one renders what changed, and sends the difference. Service ports that cannot
 * be planned, or are refused, are in the result and are tried after all others when they are named again. A failure is the
 * IptablesError of whatever was run; each table is then as it was or as it was to be.
 */
export function createIptablesBackend(options: IptablesBackendOptions): IptablesBackend {
  const { config, iptables, name = 'iptables', onLeft, conntrack, onFamilySync, witness } = options
  const layout = layoutOf(config)
  const now = options.now ?? (() => performance.now())
  const limitsOf = (one: Iptables): RestoreLimits => options.limits ?? DEFAULT_LIMITS[one.capabilities.variant]
  const rulesetOptions = (): Omit<RulesetOptions, 'family' | 'randomFully'> => {
    const { interfaceAddresses: given, unheldExternalIPs: unheld, ...rest } = options
    return {
      ...rest,
      interfaceAddresses: typeof given === 'function' ? given() : given,
      unheldExternalIPs: typeof unheld === 'function' ? unheld() : unheld,
    }
  }
  const families = iptables.map((one) => {
    const family = createFamilySync({ iptables: one, config, options: rulesetOptions, limits: limitsOf(one) })
    return { one, ...family, sync: reportedSync(family, { family: one.family, now, onFamilySync }) }
  })

  const inTurn = createTurns()
  /**
   * iptables-nft-save begins again when something is committed meanwhile, so that syncs in quick succession would never let it
   * end: they wait for one that takes long, up to a limit.
   */
  const holdSyncs = async (reading: Promise<unknown>): Promise<void> => {
    const ended = new AbortController()
    const isRead = reading.then(
      () => ended.abort(),
      () => ended.abort(),
    )
    const pause = (ms: number): Promise<unknown> =>
      sleep(ms, undefined, { signal: ended.signal }).catch(() => undefined)
    await pause(options.holdAfterMs ?? HOLD_AFTER_MS)
    if (!ended.signal.aborted) await inTurn(() => Promise.race([isRead, pause(HOLD_AT_MOST_MS)]))
  }

  const contents = (sums: readonly RulesetSum[]): Pick<SyncResult, 'rules' | 'digest'> => {
    const sum = sums.reduce(plus, EMPTY_SUM)
    return { rules: rulesIn(sum), digest: digestText(sum) }
  }

  const origins = createSyncOrigins(options.build, (state) => families.map(({ contextOf }) => contextOf(state)))

  let lastSync = options.lastSync
  async function confirmLast(node: NodeInfo | undefined, signal: AbortSignal): Promise<Confirmation | undefined> {
    const haveSums = async (sums: readonly string[]): Promise<boolean> => {
      const readings = await Promise.all(families.map(({ one }) => readFound(one, { layout, signal })))
      return readings.every((found, index) => {
        const family = families[index]?.one.family ?? 'IPv4'
        return sumText(sumOfFound({ family, layout }, found)) === sums[index]
      })
    }
    const settings = origins.settingsOf(node)
    const confirmed = await confirmLastSync(lastSync, { settings, families: families.length, witness, haveSums })
    if (confirmed !== undefined) lastSync = confirmed.last
    return confirmed?.by
  }

  /** Whether the tables are as an earlier process left them, which wanted the same rules. The first sync asks. */
  const isInForce = async (request: SyncRequest, signal: AbortSignal): Promise<boolean> => {
    const { state } = request
    const last = lastSync
    lastSync = undefined
    const mark = last && parseSyncMark(last.mark)
    if (last === undefined || mark === undefined || (await witness?.has(mark.tables)) !== true) return false
    const isSameOrigin = mark.made !== undefined && mark.made.origin === origins.of(state, request.objects)?.origin
    const sums = isSameOrigin ? mark.sums.flatMap(sumOfText) : undefined
    let sum = EMPTY_SUM
    const accepts: (() => void)[] = []
    for (const [index, family] of families.entries()) {
      const assumed = await family.assume({ state, sum: sums?.[index] }, signal)
      if (assumed === undefined) return false
      sum = plus(sum, assumed.sum)
      accepts.push(assumed.accept)
    }
    if (digestText(sum) !== last.digest) return false
    for (const accept of accepts) accept()
    return true
  }

  async function sync(given: SyncRequest, signal: AbortSignal): Promise<SyncResult> {
    signal.throwIfAborted()
    await conntrack?.beforeSync()
    const request = { ...given, isInForce: await isInForce(given, signal) }
    const isRead = !request.isInForce && (request.changed === 'all' || families.some(({ sum }) => sum() === undefined))
    const isCompared = isRead ? await witness?.comparing() : undefined
    const outcomes: FamilyOutcome[] = []
    const errors: unknown[] = []
    for (const family of families) {
      try {
        outcomes.push(await family.sync(request, signal))
      } catch (error) {
        // What is wrong in one family's tables is no reason to leave the other's as they are.
        errors.push(error)
        signal.throwIfAborted()
      }
    }
    if (errors.length > 0) throw errors[0]
    isCompared?.()
    const left = outcomes.flatMap((outcome) => outcome.left)
    if (left.length > 0) onLeft?.(left)
    conntrack?.afterSync(request.state)
    const refused = outcomes.flatMap((outcome) => outcome.refused)
    // Where service ports are refused, the rules are not those of the state, and the next process is to try them again.
    const tables = refused.length > 0 ? undefined : await witness?.mark()
    const sums = families.map((family) => family.sum() ?? EMPTY_SUM)
    const made = origins.of(request.state, request.objects)
    const mark = tables && syncMarkText({ tables, made, sums: sums.map(sumText) })
    return {
      ...(mark !== undefined && { mark }),
      full: outcomes.some(({ full }) => full),
      bytes: outcomes.reduce((total, { bytes }) => total + bytes, 0),
      ...contents(sums),
      refused,
    }
  }

  const savedTables = async (one: Iptables): Promise<readonly SavedTable[]> => {
    const tables: SavedTable[] = []
    for (const table of TABLES) tables.push(...(await parseSaveLines(one.saveLines({ table }))))
    return tables
  }

  return {
    name,
    sync: (request, signal) => inTurn(() => sync(request, signal)),
    confirmLast: (node, signal) => inTurn(() => confirmLast(node, signal)),
    async read() {
      const sums: RulesetSum[] = []
      for (const one of iptables)
        sums.push(sumOfFound({ family: one.family, layout }, await readFound(one, { layout })))
      return contents(sums)
    },
    dryRun: (state) =>
      Promise.all(families.map(async ({ one, plan }) => ({ family: one.family, lines: (await plan(state)).flat() }))),
    async repairDrift(signal) {
      const drifts: FamilyDrift[] = []
      let isWhole = true
      const isCompared = await witness?.comparing()
      for (const { one, readDrift } of families) {
        // Begun between syncs, when it is known what was put there; not waited for in turn, so that syncs go on.
        const { reading } = await inTurn(async () => ({ reading: readDrift(signal) }))
        void holdSyncs(reading)
        const mend = await reading
        const drift = mend === undefined ? undefined : await inTurn(mend)
        if (drift === undefined) isWhole = false
        else if (drift.chains.length > 0) drifts.push({ family: one.family, ...drift })
      }
      if (isWhole) isCompared?.()
      return isWhole || drifts.length > 0 ? drifts : undefined
    },
    planCleanup: () =>
      Promise.all(
        iptables.map(async (one) => ({ family: one.family, ...planCleanup(await savedTables(one), limitsOf(one)) })),
      ),
    async cleanup() {
      for (const { one, forget } of families) {
        forget()
        const { restores } = planCleanup(await savedTables(one), limitsOf(one))
        for (const lines of restores) await one.restore({ lines: () => lines, flush: false, counters: false })
      }
    },
    close: async () => conntrack?.close(),
  }
}

const HOLD_AFTER_MS = 1000
/** A save of 170,000 rules takes a second or two. */
const HOLD_AT_MOST_MS = 10_000

const DEFAULT_LIMITS: Readonly<Record<Variant, RestoreLimits>> = {
  // A restore costs the square of its size, and once the chains are in use the kernel looks at all rules at each COMMIT. Taking
  // a rule out costs the length of the chain, about as putting four in. The curves are in docs/performance.md.
  nft: { maxLines: 6000, rewriteAt: 600, deletionWeight: 4 },
  // Each COMMIT writes the whole table, however much changes.
  legacy: { maxLines: Number.MAX_SAFE_INTEGER, rewriteAt: 2000, deletionWeight: 1 },
}

/** A report with each of the tables that this rule system has. */
export interface TablesSyncReport extends FamilySyncReport {
  readonly tables: Readonly<Record<Table, TableCounts>>
}

interface ReportedSyncOptions {
  readonly family: IpFamily
  /** Milliseconds that never go back. */
  readonly now: () => number
  readonly onFamilySync: ((report: TablesSyncReport) => void) | undefined
}

/** A family's sync, which tells of each run when it is over, also when it has failed. */
function reportedSync(
  { sync, sum, refused }: Pick<FamilySync, 'sync' | 'sum' | 'refused'>,
  { family, now, onFamilySync }: ReportedSyncOptions,
): (request: FamilyRequest, signal: AbortSignal) => Promise<FamilyOutcome> {
  let rules = EMPTY_SUM.rules
  return async (request, signal) => {
    const tally = createSyncTally()
    const startedAt = now()
    let failure: Pick<TablesSyncReport, 'error'> = {}
    try {
      return await sync(request, { signal, tally })
    } catch (error) {
      failure = { error }
      throw error
    } finally {
      const durationMs = now() - startedAt
      rules = sum()?.rules ?? rules
      const count = refused().length
      const part = { family, durationMs, ...countsOf(tally, rules), ...(count > 0 && { refused: count }) }
      onFamilySync?.({ ...part, ...failure })
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
