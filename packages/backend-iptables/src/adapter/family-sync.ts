import { setImmediate as nextTurn } from 'node:timers/promises'
import {
  isEqual,
  createOverlapIndex,
  type ProxyConfig,
  type ServicePort,
  type ServicePortName,
  type State,
  type OverlapIndex,
} from '@pointsman/core'
import type { Iptables, IptablesError } from 'node-iptables'
import { asFound, exceptSynced } from '../plan/as-found.js'
import { type Changes, changesTo, isNothing, type Wanted } from '../plan/changes-to.js'
import {
  adopt,
  chainKey,
  chainsOf,
  type Installed,
  installedAfter,
  type PackedService,
  packService,
  renderBase,
  type RenderedService,
  renderService,
} from '../plan/installed.js'
import { planRestores, type RestoreLimits, type RestoreLines } from '../plan/plan-restores.js'
import { rulesetContext, type RulesetContext, type RulesetOptions } from '../ruleset/context.js'
import { serviceChainNames } from '../ruleset/chain-names.js'
import { planBase } from '../ruleset/base-rules.js'
import { planService } from '../ruleset/service-rules.js'
import { type ForeignReference, readFound } from './read-found.js'
import { createSyncTally, sendRestores, type SyncTally } from './restore-sender.js'
import { minus, plus, type RulesetSum, sumOfBase, sumOfService } from './ruleset-digest.js'
import { isRefusal, type RefusedService, ServicesRefusedError, splitGroup } from './refused-services.js'

export interface FamilySyncOptions {
  readonly iptables: Iptables
  readonly config: ProxyConfig
  /** Asked at each sync. */
  readonly options: () => Omit<RulesetOptions, 'family' | 'randomFully'>
  readonly limits: RestoreLimits
}

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

/** What is known after a sync. */
interface Known {
  readonly installed: Installed
  readonly context: RulesetContext
  readonly overlaps: OverlapIndex
  readonly sum: RulesetSum
  readonly left: readonly ForeignReference[]
}

interface Step {
  readonly before: Installed
  readonly wanted: Wanted
  /** To be gone through once. */
  readonly restores: Iterable<RestoreLines>
  /** Called when the restores have succeeded. */
  readonly after: () => Known
  readonly left: readonly ForeignReference[]
  /** Service ports that no rules could be planned for. They keep what they have. */
  readonly unplanned: readonly RefusedService[]
}

interface Planning {
  readonly state: State
  readonly context: RulesetContext
  readonly unplanned: RefusedService[]
}

type Attempt = { readonly step: Step } & ({ readonly bytes: number } | { readonly refusal: IptablesError })

export interface Told {
  readonly signal: AbortSignal
  readonly tally: SyncTally
}

interface FirstStepOptions {
  readonly signal?: AbortSignal | undefined
  /** Service ports that are left as they are found. */
  readonly held?: ReadonlySet<ServicePortName>
}

export function createFamilySync({ iptables, config, options, limits }: FamilySyncOptions): FamilySync {
  const { family, capabilities } = iptables
  let known: Known | undefined
  /** What is synced while the tables are read, of each reading under way. */
  const readings = new Set<Map<ServicePortName, PackedService[]>>()

  const contextOf = (state: State): RulesetContext =>
    rulesetContext(state, config, { ...options(), family, randomFully: capabilities.randomFully })

  const portsOf = (state: State): readonly ServicePort[] =>
    [...state.services.values()].filter((port) => port.family === family)

  /** The rules of one service port. Undefined: planning them has thrown, a bug that is to cost no other service port its rules. */
  const render = (port: ServicePort, { state, context, unplanned }: Planning): PackedService | undefined => {
    try {
      return packService(renderService(planService(port, state.endpoints.get(port.id) ?? [], context)))
    } catch (error) {
      unplanned.push({
        owner: port.id,
        error: new Error(`planning its rules failed: ${String(error)}`, { cause: error }),
      })
      return undefined
    }
  }

  async function firstStep(state: State, { signal, held }: FirstStepOptions = {}): Promise<Step> {
    const read = readFound(iptables, signal)
    // It is waited for below; until then, a failure must not count as unhandled.
    read.catch(() => undefined)
    const context = contextOf(state)
    const ports = portsOf(state)
    const planning: Planning = { state, context, unplanned: [] }
    const services = new Map<ServicePortName, PackedService>()
    // While the tables are being read: that takes as long. Signals and probes have their turn in between.
    for (const [index, port] of ports.entries()) {
      const rendered = render(port, planning)
      if (rendered !== undefined) services.set(port.id, rendered)
      if (index % PORTS_AT_ONCE !== PORTS_AT_ONCE - 1) continue
      await nextTurn()
      signal?.throwIfAborted()
    }
    const reading = await read
    for (const port of ports) {
      const rendered = services.get(port.id)
      if (rendered !== undefined && held?.has(port.id) !== true) continue
      const chains = rendered === undefined ? namedChains(port) : chainsOf(rendered)
      services.set(port.id, packService(asFound(port, chains, reading)))
    }
    const overlaps = createOverlapIndex()
    for (const port of ports) overlaps.put(port.id, port)
    const wanted: Wanted = {
      base: renderBase(planBase(context)),
      services,
      overlapping: overlaps.groupsOf(services.keys()),
      order: () => overlaps.order(),
    }
    const before = adopt(reading, services, wanted)
    return {
      before,
      wanted,
      restores: planRestores(changesTo(before, wanted), limits),
      left: reading.foreign,
      unplanned: planning.unplanned,
      after: () => {
        const installed = installedAfter(before, wanted)
        const sums = [...services.values()].map((service) => sumOfService(family, service))
        return {
          installed,
          context,
          overlaps,
          sum: sums.reduce(plus, sumOfBase(family, installed)),
          left: reading.foreign,
        }
      },
    }
  }

  function nextStep(
    { state, changed }: { readonly state: State; readonly changed: Iterable<ServicePortName> },
    last: Known,
  ): Step {
    const context = contextOf(state)
    const { installed, overlaps } = last
    // What all service ports are made from has changed, such as the node's address: each may have.
    const isSameContext = isEqual(context, last.context)
    const asked = isSameContext
      ? [...changed].filter((name) => installed.services.has(name) || state.services.get(name)?.family === family)
      : new Set([...portsOf(state).map(({ id }) => id), ...installed.services.keys()])
    const planning: Planning = { state, context, unplanned: [] }
    const services = new Map<ServicePortName, PackedService | undefined>()
    for (const name of asked) {
      const port = state.services.get(name)
      overlaps.put(name, port)
      services.set(name, port === undefined ? undefined : (render(port, planning) ?? installed.services.get(name)))
    }
    for (const reading of readings) noteVersions(reading, [installed.services, services])
    const wanted: Wanted = {
      base: isSameContext ? baseOf(installed) : renderBase(planBase(context)),
      services,
      overlapping: overlaps.groupsOf([...services.keys()].filter((name) => state.services.has(name))),
      order: () => overlaps.order(),
    }
    return {
      before: installed,
      wanted,
      restores: planRestores(changesTo(installed, wanted), limits),
      left: last.left,
      unplanned: planning.unplanned,
      after: () => {
        const after = installedAfter(installed, wanted)
        let sum = isSameContext
          ? last.sum
          : plus(minus(last.sum, sumOfBase(family, installed)), sumOfBase(family, after))
        for (const [name, service] of services) {
          const old = installed.services.get(name)
          if (old !== undefined) sum = minus(sum, sumOfService(family, old))
          if (service !== undefined) sum = plus(sum, sumOfService(family, service))
        }
        return { installed: after, context, overlaps, sum, left: last.left }
      },
    }
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
    const step = await firstStep(state, { signal, held })
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
    const all = portsOf(state).map(({ id }) => id)
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
  function done(step: Step, outcome: FamilyOutcome): FamilyOutcome {
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
      const step = full ? await firstStep(state, { signal }) : nextStep({ state, changed }, last)
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
      const { restores, unplanned } = await firstStep(state, { signal })
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

/** The base as it was wanted last. */
const baseOf = ({ fixed, dispatch, kubelet }: Installed): Wanted['base'] => ({
  fixed,
  dispatch: new Map([...dispatch].map(([key, lines]) => [key, lines ?? ''])),
  kubelet,
  jumps: [],
})

/** By its name, which is all that is known of a service port that no rules could be planned for. */
function namedChains(port: ServicePort): RenderedService['chains'] {
  const { cluster, local, external, firewall } = serviceChainNames(port)
  return [cluster, local, external, firewall].map((chain) => [chainKey('nat', chain), ''])
}

const MAX_REFUSED = 20
/** Some 20 ms of planning. */
const PORTS_AT_ONCE = 500

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
