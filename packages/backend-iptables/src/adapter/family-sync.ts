import {
  createRefusedServices,
  newRefusalBudget,
  type RefusalBudget,
  type RefusedAttempt,
  type RefusedService,
  type RulesAt,
  type ServicePortName,
  ServicesRefusedError,
  type State,
} from '@pointsman/core'
import { exceptSynced } from '../plan/as-found.js'
import { type Changes, changesTo, isNothing, type Wanted } from '../plan/changes-to.js'
import { adopt, installedAfter, type PackedService, type ServiceTexts } from '../plan/installed.js'
import { planRestores, type RestoreLines } from '../plan/plan-restores.js'
import { layoutOf } from '../ruleset/layout.js'
import { type ForeignReference, readFound } from './read-found.js'
import { createSyncTally, sendRestores, type SyncTally } from './restore-sender.js'
import type { RulesetSum } from './ruleset-digest.js'
import { isRefusal, suspectOf } from './refused-services.js'
import { baseOf, createSyncSteps, type Known, type SyncStep, type SyncStepsOptions } from './sync-steps.js'

export interface FamilyOutcome {
  /** The tables were read, and everything was compared. */
  readonly full: boolean
  readonly bytes: number
  readonly left: readonly ForeignReference[]
  /** All service ports that keep the rules that they had, and why. */
  readonly refused: readonly RefusedService[]
}

/** The rules of one family: what is known to be in the kernel, and how that becomes what a state wants. */
export interface FamilySync {
  readonly sync: (request: FamilyRequest, control: SyncControl) => Promise<FamilyOutcome>
  /**
   * What the tables would hold if they were as this state wants them, and a call that takes them to be so: nothing is read.
   * With a sum, which is then that of this state's rules, nothing is planned either. Undefined: not everything could be planned.
   */
  readonly assume: (
    request: { readonly state: State; readonly sum?: RulesetSum | undefined },
    signal: AbortSignal,
  ) => Promise<{ readonly sum: RulesetSum; readonly accept: () => void } | undefined>
  /** All that the rules of a state are made from, besides its service ports and their endpoints; as text. */
  readonly contextOf: (state: RulesAt['state']) => string
  /** What a first sync would restore; nothing is done, and nothing remembered. */
  readonly plan: (state: State, signal?: AbortSignal) => Promise<readonly RestoreLines[]>
  /** What is in force. Before the first sync, and after a failed one: nothing known. */
  readonly sum: () => RulesetSum | undefined
  /** Service ports that kept the rules that they had, the last time that they were tried. */
  readonly refused: () => readonly RefusedService[]
  /**
   * Reads the tables, also while syncs run. What it gives compares them with what is known to have been put there, and puts
   * right what differs, chain by chain; it is called while no sync runs. Before the first sync, after a failed one, and when
   * what all services share has changed since the reading there is nothing to compare with: undefined.
   */
  readonly readDrift: (signal: AbortSignal) => Promise<(() => Promise<Drift | undefined>) | undefined>
  /** Trust nothing: the next sync reads the tables. */
  readonly forget: () => void
}

/** What another program changed, and has been restored. */
export interface Drift {
  /** Chains that did not read as they should, as `TABLE CHAIN`; of a missing jump, the chain that it belongs into. Sorted. */
  readonly chains: readonly string[]
  readonly bytes: number
}

export interface FamilyRequest {
  readonly state: State
  readonly changed: ReadonlySet<ServicePortName> | 'all'
  /** The state was accepted as what is in force. Default: `all` reads the tables. */
  readonly isInForce?: boolean
}

export interface SyncControl {
  readonly signal: AbortSignal
  readonly tally: SyncTally
}

/** One sync under way. */
interface Work extends SyncControl {
  readonly state: State
  /** What has not been programmed yet. */
  readonly pending: Set<ServicePortName>
  readonly budget: RefusalBudget
  /** Of restores that succeeded. */
  bytes: number
}

export function createFamilySync(options: SyncStepsOptions): FamilySync {
  const { iptables, limits } = options
  const layout = layoutOf(options.config)
  const steps = createSyncSteps(options)
  let known: Known | undefined
  const refused = createRefusedServices()
  /** What is synced from the beginning of a reading until it is compared, of each reading under way. */
  const readings = new Set<Map<ServicePortName, PackedService[]>>()

  const isLost = (): boolean => known === undefined

  const idsOf = (state: State): readonly ServicePortName[] => steps.portsOf(state).map(({ id }) => id)

  function nextStep(
    request: { readonly state: State; readonly names: readonly ServicePortName[] },
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

  /**
   * Programs these service ports in one go. Where nothing is known, the tables are read and everything is compared, but for
   * what is pending besides. Answers what was refused; what has been committed by then is not known any more.
   */
  async function attempt(names: readonly ServicePortName[], work: Work): Promise<RefusedAttempt | undefined> {
    const { state, pending, signal, tally } = work
    const last = known
    // What is not needed any more is not kept while tables are read; and until it has succeeded, nothing is known of what is in force.
    known = undefined
    if (last === undefined) tally.full = true
    const step =
      last === undefined
        ? await steps.first(state, { signal, held: without(pending, names) })
        : nextStep({ state, names }, last)
    const committed = tally.committed
    try {
      work.bytes += await run(step.restores, signal, tally)
    } catch (error) {
      if (!isRefusal(error)) throw error
      // A service port that is gone is in no order of the shared chains any more.
      const isUntouched = tally.committed === committed && names.every((name) => state.services.has(name))
      if (isUntouched) known = last
      return { error, suspectIn: (group) => suspectOf(error, step.wanted, group) }
    }
    known = step.after()
    for (const name of names) pending.delete(name)
    refused.accept(names)
    for (const { owner, error } of step.unplanned) refused.refuse(owner, error)
    return undefined
  }

  /** Reads the tables, and programs the rules that do not depend on Services. */
  async function readAnew(work: Work): Promise<void> {
    known = undefined
    const again = await attempt([], work)
    if (again !== undefined) throw again.error
  }

  /**
   * Programs these service ports, but for those that are refused. When a restore is refused, the tables are read first, as
   * they may not be what they are known to be; when that is refused as well, service ports are tried in smaller and smaller
   * groups, until all are programmed but those that are refused each by itself, which keep the rules that they had.
   */
  async function put(names: readonly ServicePortName[], work: Work): Promise<void> {
    if ((await attempt(names, work)) === undefined) return
    known = undefined
    const again = await attempt(names, work)
    if (again === undefined) return
    await readAnew(work)

    await refused.putInGroups(names, again, { attempt: (group) => attemptFrom(group, work), budget: work.budget })
  }

  /** The same, with the tables read again where a refusal leaves them unknown. */
  async function attemptFrom(names: readonly ServicePortName[], work: Work): Promise<RefusedAttempt | undefined> {
    const refusal = await attempt(names, work)
    if (refusal !== undefined && isLost()) await readAnew(work)
    return refusal
  }

  return {
    async sync({ state, isInForce = false, ...request }, { signal, tally }) {
      const changed = isInForce ? new Set<ServicePortName>() : request.changed
      // Everything was planned, and compared with what is taken to be there.
      if (isInForce) tally.full = true
      if (changed === 'all') known = undefined
      const asked = new Set(
        changed === 'all' || known === undefined ? idsOf(state) : steps.affected({ state, changed }, known),
      )
      refused.accept(refused.names().filter((name) => !state.services.has(name) && !asked.has(name)))
      // What was refused before comes after all others, so that it holds up none of them.
      const again = refused.names().filter((name) => asked.has(name) && state.services.has(name))
      const pending = new Set([...asked, ...refused.names()])
      const work: Work = { state, signal, tally, pending, budget: newRefusalBudget(), bytes: 0 }
      await put([...without(asked, again)], work)
      // Each costs a small restore, and nothing is read: what others change is the drift check's business.
      await refused.tryAgain(again, {
        attempt: (group) => attemptFrom(group, work),
        put: (rest) => put(rest, work),
        budget: work.budget,
      })
      const { full } = tally
      return { full, bytes: work.bytes, left: full ? (known?.left ?? []) : [], refused: refused.list() }
    },
    async readDrift(signal) {
      if (known === undefined) return undefined
      const { fixed, services } = known.installed
      const synced = new Map<ServicePortName, PackedService[]>()
      readings.add(synced)
      // Those that were not planned yet are, while the tables are read.
      const planning = steps.planAll(services, signal)
      const [reading] = await Promise.all([readFound(iptables, { layout, signal }), planning]).catch(
        (error: unknown) => {
          readings.delete(synced)
          throw error
        },
      )
      return async () => {
        // Not before: syncs may have been waiting for their turn while the tables were read.
        readings.delete(synced)
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
    contextOf: (state) => JSON.stringify(steps.contextOf(state)),
    async assume({ state, sum }, signal) {
      const assumed = sum === undefined ? await steps.assumed(state, signal) : steps.trusted(state, sum)
      return assumed && { sum: assumed.sum, accept: () => void (known = assumed) }
    },
    async plan(state, signal) {
      const { restores, unplanned } = await steps.first(state, { signal })
      if (unplanned.length > 0) throw new ServicesRefusedError(unplanned)
      return [...restores]
    },
    sum: () => known?.sum,
    refused: refused.list,
    forget() {
      known = undefined
      refused.forget()
    },
  }
}

/** Of the service ports of the second map, as they are in both. */
function noteVersions(
  seen: Map<ServicePortName, PackedService[]>,
  [before, after]: readonly ServiceTexts<PackedService | undefined>[],
): void {
  for (const [name, service] of after ?? []) {
    const versions = [before?.get(name), service].filter((version) => version !== undefined)
    seen.set(name, [...(seen.get(name) ?? []), ...versions])
  }
}

function without(
  names: ReadonlySet<ServicePortName>,
  others: readonly ServicePortName[],
): ReadonlySet<ServicePortName> {
  const rest = new Set(names)
  for (const name of others) rest.delete(name)
  return rest
}

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
