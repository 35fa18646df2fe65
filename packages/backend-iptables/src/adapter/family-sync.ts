import type { ServicePortName, State } from '@pointsman/core'
import type { IptablesError } from 'node-iptables'
import { exceptSynced } from '../plan/as-found.js'
import { type Changes, changesTo, isNothing, type Wanted } from '../plan/changes-to.js'
import { adopt, installedAfter, type PackedService } from '../plan/installed.js'
import { planRestores, type RestoreLines } from '../plan/plan-restores.js'
import { type ForeignReference, readFound } from './read-found.js'
import { createSyncTally, sendRestores, type SyncTally } from './restore-sender.js'
import type { RulesetSum } from './ruleset-digest.js'
import { isRefusal, type RefusedService, ServicesRefusedError, splitGroup } from './refused-services.js'
import { baseOf, createSyncSteps, type Known, type SyncStep, type SyncStepsOptions } from './sync-steps.js'

export interface FamilyOutcome {
  /** The tables were read, and everything was compared. */
  readonly full: boolean
  readonly bytes: number
  readonly left: readonly ForeignReference[]
}

/** The rules of one family: what is known to be in the kernel, and how that becomes what a state wants. */
export interface FamilySync {
  readonly sync: (request: FamilyRequest, told: Told) => Promise<FamilyOutcome>
  /** What a first sync would restore; nothing is done, and nothing remembered. */
  readonly plan: (state: State, signal?: AbortSignal) => Promise<readonly RestoreLines[]>
  /** What is in force. Before the first sync, and after a failed one: nothing known. */
  readonly sum: () => RulesetSum | undefined
  /**
   * Reads the tables, also while syncs run. What it gives compares them with what is known to have been put there, and puts
   * right what differs, chain by chain; it is called while no sync runs. Before the first sync, after a failed one, and when
   * what all services share has changed since the reading there is nothing to compare with: undefined.
   */
  readonly readDrift: (signal: AbortSignal) => Promise<(() => Promise<Drift | undefined>) | undefined>
  /** Trust nothing: the next sync reads the tables. */
  readonly forget: () => void
}

/** What somebody else changed, and is as it was again. */
export interface Drift {
  /** Chains that did not read as they should, as `TABLE CHAIN`; of a missing jump, the chain that it belongs into. Sorted. */
  readonly chains: readonly string[]
  readonly bytes: number
}

export interface FamilyRequest {
  readonly state: State
  readonly changed: ReadonlySet<ServicePortName> | 'all'
}

type Attempt = { readonly step: SyncStep } & ({ readonly bytes: number } | { readonly refusal: IptablesError })

export interface Told {
  readonly signal: AbortSignal
  readonly tally: SyncTally
}

export function createFamilySync(options: SyncStepsOptions): FamilySync {
  const { iptables, limits } = options
  const steps = createSyncSteps(options)
  let known: Known | undefined
  /** What is synced while the tables are read, of each reading under way. */
  const readings = new Set<Map<ServicePortName, PackedService[]>>()

  function nextStep(
    request: { readonly state: State; readonly changed: ReadonlySet<ServicePortName> },
    last: Known,
  ): SyncStep {
    const step = steps.next(request, last)
    for (const reading of readings) noteVersions(reading, [step.before.services, step.wanted.services])
    return step
  }

  const run = (
    restores: Iterable<RestoreLines>,
    signal: AbortSignal,
    tally: SyncTally = createSyncTally(),
  ): Promise<number> => sendRestores(restores, { iptables, signal, tally })

  /** Reads the tables and brings everything into force but what is held. */
  async function attempt(
    state: State,
    { signal, tally, held }: Told & { readonly held: ReadonlySet<ServicePortName> },
  ): Promise<Attempt> {
    const step = await steps.first(state, { signal, held })
    try {
      return { step, bytes: await run(step.restores, signal, tally) }
    } catch (error) {
      if (!isRefusal(error)) throw error
      return { step, refusal: error }
    }
  }

  /**
   * After a restore was refused: reads the tables and tries again. When that is refused as well, and what is there whatever
   * services there are is not, service ports are tried in smaller and smaller groups, until all are in force but those that
   * are refused each by itself, which keep the rules that they had.
   */
  async function mend(state: State, told: Told): Promise<FamilyOutcome> {
    told.tally.full = true
    const all = steps.portsOf(state).map(({ id }) => id)
    const again = await attempt(state, { ...told, held: new Set() })
    if ('bytes' in again) return done(again.step, { full: true, bytes: again.bytes, left: again.step.left })
    const withoutServices = await attempt(state, { ...told, held: new Set(all) })
    if ('refusal' in withoutServices) throw withoutServices.refusal

    const groups = [...splitGroup(all, { refusal: again.refusal, wanted: again.step.wanted })]
    const refused: RefusedService[] = []
    for (let group = groups.pop(); group !== undefined; group = groups.pop()) {
      const held = new Set([...groups.flat(), ...refused.map(({ owner }) => owner)])
      const { step, refusal } = { refusal: undefined, ...(await attempt(state, { ...told, held })) }
      const [owner] = group
      if (refusal === undefined || owner === undefined) continue
      if (group.length > 1) groups.push(...splitGroup(group, { refusal, wanted: step.wanted }))
      else refused.push({ owner, error: refusal })
      // Each try costs a look at all tables, and so many have one cause in common.
      if (refused.length >= MAX_REFUSED) break
    }
    // Somebody else has put right meanwhile what was refused: the next sync reads the tables.
    if (refused.length === 0) throw again.refusal
    throw new ServicesRefusedError([...again.step.unplanned, ...refused], { untried: groups.flat() })
  }

  /** After all restores of a step. */
  function done(step: SyncStep, outcome: FamilyOutcome): FamilyOutcome {
    known = step.after()
    if (step.unplanned.length > 0) throw new ServicesRefusedError(step.unplanned, { untried: [] })
    return outcome
  }

  return {
    async sync({ state, changed }, told) {
      const { signal, tally } = told
      // What is not needed any more is not kept while tables are read.
      const last = changed === 'all' ? undefined : known
      const full = changed === 'all' || last === undefined
      tally.full = full
      // Until it has succeeded, nothing is known of what is in force.
      known = undefined
      const step = full ? await steps.first(state, { signal }) : nextStep({ state, changed }, last)
      try {
        const bytes = await run(step.restores, signal, tally)
        return done(step, { full, bytes, left: full ? step.left : [] })
      } catch (error) {
        if (!isRefusal(error)) throw error
        return mend(state, told)
      }
    },
    async readDrift(signal) {
      if (known === undefined) return undefined
      const { fixed } = known.installed
      const synced = new Map<ServicePortName, PackedService[]>()
      readings.add(synced)
      const reading = await readFound(iptables, signal).finally(() => readings.delete(synced))
      return async () => {
        const last = known
        if (last === undefined || last.installed.fixed !== fixed) return undefined
        const { installed, overlaps } = last
        const overlapping = overlaps.groupsOf(installed.services.keys())
        const wanted: Wanted = {
          base: baseOf(installed),
          services: installed.services,
          overlapping,
          order: () => overlaps.order(),
        }
        const found = exceptSynced(adopt(reading, installed.services, wanted), { synced, now: installed, overlapping })
        const changes = changesTo(found, wanted)
        if (isNothing(changes)) return { chains: [], bytes: 0 }
        // Until all is right again, nothing is known of what is in force.
        known = undefined
        const bytes = await run(planRestores(changes, limits), signal)
        known = { ...last, installed: installedAfter(found, wanted), left: reading.foreign }
        return { chains: changedChains(changes), bytes }
      }
    },
    async plan(state, signal) {
      const { restores, unplanned } = await steps.first(state, { signal })
      if (unplanned.length > 0) throw new ServicesRefusedError(unplanned, { untried: [] })
      return [...restores]
    },
    sum: () => known?.sum,
    forget: () => (known = undefined),
  }
}

/** Of the service ports of the second map, as they are in both. */
function noteVersions(
  seen: Map<ServicePortName, PackedService[]>,
  [before, after]: readonly ReadonlyMap<ServicePortName, PackedService | undefined>[],
): void {
  for (const [name, service] of after ?? []) {
    const versions = [before?.get(name), service].filter((version) => version !== undefined)
    seen.set(name, [...(seen.get(name) ?? []), ...versions])
  }
}

const MAX_REFUSED = 20

function changedChains({ writes, removed, dispatch, fixed, kubelet, extraJumps, jumps }: Changes): readonly string[] {
  const chains = [
    ...writes.flatMap(({ chains }) => chains().map(([key]) => key)),
    ...removed,
    ...[...dispatch, ...kubelet].map(({ key }) => key),
    ...fixed.map(([key]) => key),
    ...[...extraJumps, ...jumps].map(({ table, chain }) => `${table} ${chain}`),
  ]
  return [...new Set(chains)].toSorted()
}
