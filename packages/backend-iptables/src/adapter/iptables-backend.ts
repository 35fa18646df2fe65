import type { Backend, ProxyConfig, State, SyncRequest, SyncResult } from '@pointsman/core'
import { type Iptables, parseSaveLines, type SavedTable } from 'node-iptables'
import { renderRestore } from '../render/render-restore.js'
import { savedTablesOf } from '../render/saved-tables-of.js'
import type { RulesetOptions } from '../ruleset/context.js'
import { planRuleset } from '../ruleset/plan-ruleset.js'
import { TABLES } from '../ruleset/ruleset.js'
import { contentsOf, type FamilyTables } from './contents.js'
import type { ConntrackHook } from '../conntrack/conntrack-hook.js'
import { type ForeignReference, lookAtTables } from './look-at-tables.js'
import { type CleanupPlan, planCleanup } from './plan-cleanup.js'

export interface IptablesBackendOptions extends Omit<RulesetOptions, 'family' | 'randomFully'> {
  readonly config: ProxyConfig
  /** iptables of each family that is to be synced, at most one a family; synced in this order. */
  readonly iptables: readonly Iptables[]
  /** `iptables` unless said otherwise. */
  readonly name?: string | undefined
  /** Called after a sync with what it had to leave: chains that are empty now, but that others lead to. */
  readonly onLeft?: ((left: readonly ForeignReference[]) => void) | undefined
  /** Told before and after each sync that changes rules, and closed with the backend: UDP flows outlive the rules. */
  readonly conntrack?: ConntrackHook | undefined
}

/** The backend that writes kube-proxy's rules, and what only this one can do. */
export interface IptablesBackend extends Backend {
  /** What a sync would restore, a family at a time, line by line; reads the tables and changes nothing. */
  dryRun(state: State): Promise<readonly FamilyRestore[]>
  /** What `cleanup` would do. */
  planCleanup(): Promise<readonly FamilyCleanup[]>
}

export interface FamilyRestore {
  readonly family: Iptables['family']
  readonly lines: Iterable<string>
}

export interface FamilyCleanup extends CleanupPlan {
  readonly family: Iptables['family']
}

/**
 * Writes the rules of a state into the kernel through iptables-restore, whole at each sync that has changes. A failure is
 * the IptablesError of whatever was run; each table is then as it was or as it was to be, and the next sync mends it.
 */
export function createIptablesBackend(options: IptablesBackendOptions): IptablesBackend {
  const { config, iptables, name = 'iptables', onLeft, conntrack } = options
  let last: SyncResult | undefined

  const rulesetFor = (state: State, one: Iptables): ReturnType<typeof planRuleset> =>
    planRuleset(state, config, { ...options, family: one.family, randomFully: one.capabilities.randomFully })

  async function syncFamily(one: Iptables, state: State, signal: AbortSignal): Promise<WrittenFamily> {
    const look = await lookAtTables(one, signal)
    const ruleset = rulesetFor(state, one)
    let bytes = 0
    // A function, so that nothing is kept: it is asked again when the restore names a line that failed.
    const counted = function* (): Generator<string> {
      bytes = 0
      for (const line of renderRestore(ruleset, look)) {
        bytes += Buffer.byteLength(line) + 1
        yield line
      }
    }
    await one.restore({ lines: counted, flush: false, counters: true }, { signal })
    return { family: one.family, tables: savedTablesOf(ruleset), bytes, left: look.foreign }
  }

  async function sync({ state, changed }: SyncRequest, signal: AbortSignal): Promise<SyncResult> {
    signal.throwIfAborted()
    if (last !== undefined && changed !== 'all' && changed.size === 0) return { ...last, full: false, bytes: 0 }
    // Until it has succeeded, nothing is known of what is in force.
    last = undefined
    await conntrack?.beforeSync()
    const written: WrittenFamily[] = []
    for (const one of iptables) written.push(await syncFamily(one, state, signal))
    const left = written.flatMap((family) => family.left)
    if (left.length > 0) onLeft?.(left)
    const bytes = written.reduce((sum, family) => sum + family.bytes, 0)
    last = { full: true, bytes, ...contentsOf(written) }
    conntrack?.afterSync(state)
    return last
  }

  const readTables = async (one: Iptables): Promise<FamilyTables> => {
    const tables: SavedTable[] = []
    for (const table of TABLES) tables.push(...(await parseSaveLines(one.saveLines({ table }))))
    return { family: one.family, tables }
  }

  const readFamilies = async (): Promise<readonly FamilyTables[]> => {
    const families: FamilyTables[] = []
    for (const one of iptables) families.push(await readTables(one))
    return families
  }

  return {
    name,
    sync,
    read: async () => contentsOf(await readFamilies()),
    dryRun: (state) =>
      Promise.all(
        iptables.map(async (one) => ({
          family: one.family,
          lines: renderRestore(rulesetFor(state, one), await lookAtTables(one)),
        })),
      ),
    planCleanup: async () => (await readFamilies()).map(({ family, tables }) => ({ family, ...planCleanup(tables) })),
    cleanup: async () => {
      last = undefined
      for (const one of iptables) {
        const { tables } = await readTables(one)
        const { lines } = planCleanup(tables)
        if (lines.length > 0) await one.restore({ lines, flush: false, counters: false })
      }
    },
    close: async () => conntrack?.close(),
  }
}

interface WrittenFamily extends FamilyTables {
  readonly bytes: number
  readonly left: readonly ForeignReference[]
}
