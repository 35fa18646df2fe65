import { setImmediate as nextTurn } from 'node:timers/promises'
import {
  isEqual,
  createOverlapIndex,
  displayName,
  type ProxyConfig,
  type RefusedService,
  type RulesAt,
  type ServicePort,
  type ServicePortName,
  type State,
  type OverlapIndex,
} from '@pointsman/core'
import type { Iptables } from 'node-iptables'
import { asFound, type Entry } from '../plan/as-found.js'
import { changesTo, type Wanted } from '../plan/changes-to.js'
import {
  adopt,
  chainKey,
  type ChainKey,
  chainsOf,
  entriesOf,
  type Found,
  type Installed,
  installedAfter,
  linesOf,
  type PackedService,
  packService,
  PlannedLater,
  PlannedServices,
  renderBase,
  type RenderedService,
  renderService,
} from '../plan/installed.js'
import { planRestores, type RestoreLimits, type RestoreLines } from '../plan/plan-restores.js'
import { rulesetContext, type RulesetContext, type RulesetOptions } from '../ruleset/context.js'
import { chainsOfRole, type Layout, layoutOf, serviceChainNames } from '../ruleset/layout.js'
import { planBase } from '../ruleset/base-rules.js'
import { planService } from '../ruleset/service-rules.js'
import { type ForeignReference, readFound } from './read-found.js'
import { minus, plus, type RulesetSum, sumOfBase, sumOfKept, sumOfService } from './ruleset-digest.js'

export interface SyncStepsOptions {
  readonly iptables: Iptables
  readonly config: ProxyConfig
  /** Asked at each sync. */
  readonly options: () => Omit<RulesetOptions, 'family' | 'randomFully'>
  readonly limits: RestoreLimits
}

/** What is known after a sync. */
export interface Known {
  readonly installed: Installed
  readonly context: RulesetContext
  readonly overlaps: OverlapIndex
  readonly sum: RulesetSum
  readonly left: readonly ForeignReference[]
}

/** What one sync writes, and what is known when it has been written. */
export interface SyncStep {
  readonly before: Installed
  readonly wanted: Wanted
  /** Iterable once. */
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

interface FirstStepOptions {
  readonly signal?: AbortSignal | undefined
  /** Service ports that are left as they are found. */
  readonly held?: ReadonlySet<ServicePortName>
}

/** What a sync of one family writes. */
export interface SyncSteps {
  /** The service ports of the family. */
  readonly portsOf: (state: State) => readonly ServicePort[]
  /** Reads the tables and compares everything. */
  readonly first: (state: State, options?: FirstStepOptions) => Promise<SyncStep>
  /** What is known where the tables are as this state wants them, as far as it could be planned: nothing is read. */
  readonly assumed: (state: State, signal?: AbortSignal) => Promise<Known | undefined>
  /** The same where that is certain, and the sum of the rules is known: nothing is planned before it is needed. */
  readonly trusted: (state: State, sum: RulesetSum) => Known
  /** Plans what has not been planned yet, in turn with other work. */
  readonly planAll: (services: Installed['services'], signal?: AbortSignal) => Promise<void>
  readonly contextOf: (state: RulesAt['state']) => RulesetContext
  /** The service ports of the family that may differ from what is known: of those that changed, or all. */
  readonly affected: (request: ChangedState, last: Known) => readonly ServicePortName[]
  /** Renders these service ports, and compares them with what is known to be in force. */
  readonly next: (request: NextRequest, last: Known) => SyncStep
}

interface ChangedState {
  readonly state: State
  readonly changed: Iterable<ServicePortName>
}

interface NextRequest {
  readonly state: State
  readonly names: readonly ServicePortName[]
}

export function createSyncSteps({ iptables, config, options, limits }: SyncStepsOptions): SyncSteps {
  const { family, capabilities } = iptables
  const layout = layoutOf(config)

  const contextOf = (state: RulesAt['state']): RulesetContext =>
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

  /** Signals and probes have their turn in between. */
  async function renderAll(
    ports: readonly ServicePort[],
    planning: Planning,
    signal?: AbortSignal,
  ): Promise<Map<ServicePortName, PackedService>> {
    const services = new Map<ServicePortName, PackedService>()
    for (const [index, port] of ports.entries()) {
      const rendered = render(port, planning)
      if (rendered !== undefined) services.set(port.id, rendered)
      if (index % PORTS_AT_ONCE !== PORTS_AT_ONCE - 1) continue
      await nextTurn()
      signal?.throwIfAborted()
    }
    return services
  }

  async function assumed(state: State, signal?: AbortSignal): Promise<Known | undefined> {
    const context = contextOf(state)
    const ports = portsOf(state)
    const planning: Planning = { state, context, unplanned: [] }
    const services = await renderAll(ports, planning, signal)
    if (planning.unplanned.length > 0) return undefined
    const { installed, overlaps } = installedOf(ports, services, context)
    return { installed, context, overlaps, sum: sumOfAll(installed), left: [] }
  }

  function trusted(state: State, sum: RulesetSum): Known {
    const context = contextOf(state)
    const ports = portsOf(state)
    const services = ports.map((port): readonly [ServicePortName, PlannedLater] => {
      // As they are now: the state's maps are those of a later state soon.
      const endpoints = state.endpoints.get(port.id) ?? []
      return [port.id, new PlannedLater(() => packService(renderService(planService(port, endpoints, context))))]
    })
    const { installed, overlaps } = installedOf(ports, new PlannedServices(services), context)
    return { installed, context, overlaps, sum, left: [] }
  }

  /** What is in force where all of this is, and nothing else. */
  function installedOf(
    ports: readonly ServicePort[],
    services: Installed['services'],
    context: RulesetContext,
  ): Pick<Known, 'installed' | 'overlaps'> {
    const overlaps = createOverlapIndex()
    for (const port of ports) overlaps.put(port.id, port)
    const wanted: Wanted = {
      base: renderBase(planBase(context)),
      services: new Map(),
      overlapping: overlaps.groupsOf(services.keys()),
      order: () => overlaps.order(),
    }
    return { installed: installedAfter({ ...NOTHING_INSTALLED, services }, wanted), overlaps }
  }

  async function planAll(services: Installed['services'], signal?: AbortSignal): Promise<void> {
    for (const [index, name] of [...services.keys()].entries()) {
      services.get(name)
      if (index % PORTS_AT_ONCE !== PORTS_AT_ONCE - 1) continue
      await nextTurn()
      signal?.throwIfAborted()
    }
  }

  function sumOfAll(installed: Installed): RulesetSum {
    const sums = [...installed.services.values()].map((service) => sumOfService(family, service, installed.shared))
    return sums.reduce(plus, plus(sumOfBase({ family, layout }, installed), sumOfKept(family, installed)))
  }

  async function first(state: State, { signal, held }: FirstStepOptions = {}): Promise<SyncStep> {
    const read = readFound(iptables, { layout, signal })
    // Awaited below: until then, a rejection must not be reported as unhandled.
    read.catch(() => undefined)
    const context = contextOf(state)
    const ports = portsOf(state)
    const planning: Planning = { state, context, unplanned: [] }
    // While the tables are being read: that takes as long.
    const services = await renderAll(ports, planning, signal)
    const reading = await read
    const kept = ports.filter(({ id }) => !services.has(id) || held?.has(id) === true)
    const shared = keepAsFound(kept, services, { ports, reading, layout })
    const overlaps = createOverlapIndex()
    for (const port of ports) overlaps.put(port.id, port)
    const wanted: Wanted = {
      base: renderBase(planBase(context)),
      services,
      overlapping: overlaps.groupsOf(services.keys()),
      order: () => overlaps.order(),
    }
    const before: Installed = { ...adopt(reading, services, wanted), shared }
    return {
      before,
      wanted,
      restores: planRestores(changesTo(before, wanted), limits),
      left: reading.foreign,
      unplanned: planning.unplanned,
      after: () => {
        const installed = installedAfter(before, wanted)
        return { installed, context, overlaps, sum: sumOfAll(installed), left: reading.foreign }
      },
    }
  }

  function affected({ state, changed }: ChangedState, { installed, context }: Known): readonly ServicePortName[] {
    // What all service ports are made from has changed, such as the node's address: each may have.
    if (!isEqual(contextOf(state), context))
      return [...new Set([...portsOf(state).map(({ id }) => id), ...installed.services.keys()])]
    return [...changed].filter((name) => installed.services.has(name) || state.services.get(name)?.family === family)
  }

  function next({ state, names }: NextRequest, last: Known): SyncStep {
    const context = contextOf(state)
    const { installed, overlaps } = last
    const isSameContext = isEqual(context, last.context)
    const planning: Planning = { state, context, unplanned: [] }
    const services = new Map<ServicePortName, PackedService | undefined>()
    for (const name of names) {
      const port = state.services.get(name)
      overlaps.put(name, port)
      services.set(name, port === undefined ? undefined : (render(port, planning) ?? installed.services.get(name)))
    }
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
          : plus(minus(last.sum, sumOfBase({ family, layout }, installed)), sumOfBase({ family, layout }, after))
        for (const [name, service] of services) {
          const old = installed.services.get(name)
          if (old !== undefined) sum = minus(sum, sumOfService(family, old, installed.shared))
          if (service !== undefined) sum = plus(sum, sumOfService(family, service, installed.shared))
        }
        sum = plus(minus(sum, sumOfKept(family, installed)), sumOfKept(family, after))
        return { installed: after, context, overlaps, sum, left: last.left }
      },
    }
  }

  return { portsOf, contextOf, first, assumed, trusted, planAll, affected, next }
}

const NOTHING_INSTALLED: Installed = {
  fixed: new Map(),
  dispatch: new Map(),
  kubelet: new Map(),
  missingJumps: [],
  extraJumps: [],
  referred: new Set(),
  services: new Map(),
  shared: new Set(),
  leftovers: { chains: [], entries: [] },
  groups: new Map(),
}

/** The base as it was wanted last. */
export const baseOf = ({ fixed, dispatch, kubelet }: Installed): Wanted['base'] => ({
  fixed,
  dispatch: new Map([...dispatch].map(([key, lines]) => [key, lines ?? ''])),
  kubelet,
  retired: new Map(),
  jumps: [],
})

/**
 * Puts service ports that are to be left as they are among the others, with the rules that they are found with: no chain that
 * is another's. Gives the chains that several of them lead to.
 */
function keepAsFound(
  kept: readonly ServicePort[],
  services: Map<ServicePortName, PackedService>,
  {
    ports,
    reading,
    layout,
  }: { readonly ports: readonly ServicePort[]; readonly reading: Found; readonly layout: Layout },
): ReadonlySet<ChainKey> {
  const shared = new Set<ChainKey>()
  if (kept.length === 0) return shared
  const owners = new Map<ChainKey, ServicePortName>()
  const entryOwners = new Map<string, Set<ServicePortName>>()
  for (const [id, rendered] of services) {
    for (const [key] of chainsOf(rendered)) owners.set(key, id)
    for (const [key, lines] of entriesOf(rendered)) {
      for (const line of linesOf(lines)) {
        const text = entryText({ key, line })
        entryOwners.set(text, (entryOwners.get(text) ?? new Set()).add(id))
      }
    }
  }
  const dispatch = chainsOfRole(layout, 'dispatch').map(({ table, chain }) => chainKey(table, chain))
  const kubelets = new Set(chainsOfRole(layout, 'kubelet').map(({ table, chain }) => chainKey(table, chain)))
  const protocols = protocolsByName(ports)
  const [seen, claimed] = [new Set<ChainKey>(), new Set<Entry>()]
  for (const port of kept) {
    const rendered = services.get(port.id)
    const named = rendered === undefined ? namedChains(port, layout) : chainsOf(rendered)
    const isOthers = (key: ChainKey): boolean => kubelets.has(key) || (owners.get(key) ?? port.id) !== port.id
    const isOthersEntry = (entry: Entry): boolean => {
      const planned = entryOwners.get(entryText(entry))
      if (claimed.has(entry) || (planned !== undefined && !planned.has(port.id))) return true
      // Comments name no protocol, and a Service may have a port of one name for each.
      const protocol = / -p (\S+)/.exec(` ${entry.line}`)?.[1]?.toUpperCase() ?? ''
      return protocol !== port.protocol && protocols.get(displayName(port))?.has(protocol) === true
    }
    const own = { named, isOthers, isOthersEntry, shared: dispatch }
    const there = asFound(port, own, reading)
    for (const entry of there.from) claimed.add(entry)
    for (const [key] of there.chains) (seen.has(key) ? shared : seen).add(key)
    services.set(port.id, packService(there))
  }
  return shared
}

const entryText = ({ key, line }: Pick<Entry, 'key' | 'line'>): string => `${key} ${line}`

function protocolsByName(ports: readonly ServicePort[]): ReadonlyMap<string, ReadonlySet<string>> {
  const protocols = new Map<string, Set<string>>()
  for (const port of ports) {
    const name = displayName(port)
    protocols.set(name, (protocols.get(name) ?? new Set()).add(port.protocol))
  }
  return protocols
}

/** By its name, which is all that is known of a service port that no rules could be planned for. */
function namedChains(port: ServicePort, layout: Layout): RenderedService['chains'] {
  const names = new Set(Object.values(serviceChainNames(port, layout)) as readonly string[])
  return [...names].map((chain) => [chainKey('nat', chain), ''])
}

/** Some 20 ms of planning. */
const PORTS_AT_ONCE = 500
