import {
  createRefusedServices,
  newRefusalBudget,
  parseServicePortName,
  type IpFamily,
  type PlanOptions,
  type ProxyConfig,
  type RefusalBudget,
  type RefusedAttempt,
  type RefusedService,
  type ServicePort,
  type ServicePortName,
  type State,
} from '@pointsman/core'
import { programmedFrom, type OwnedParts, type PlannedChange, type Programmed } from '../plan/programmed.js'
import { adopted, isNamedBy } from '../plan/found-parts.js'
import { layoutOf, planNftables, type NftPlan } from '../plan/rule-plan.js'
import {
  changedNames,
  isNothing,
  linesOf,
  transactionsOf,
  trimLines,
  wholeTransaction,
  writtenBy,
  type Target,
  type Transaction,
} from '../plan/transaction.js'
import { EMPTY_TABLE, type Table, type TableName } from '../table/table.js'
import { commitByNetlink, type Netlink } from './netlink.js'
import { isBusyChain, isRefusal, type Nft, type NftError } from './nft.js'
import { afterPackets, createTableReader } from './read-table.js'
import { minus, plus, sumOfTable, type TableSum } from './table-digest.js'

export interface TableSyncOptions {
  readonly family: IpFamily
  readonly nft: Nft
  /** Elements are committed and read by it, where that is possible. Default: all goes through nft(8). */
  readonly netlink?: Netlink | undefined
  readonly config: ProxyConfig
  /** Asked at each sync. */
  readonly planOptions: () => Omit<PlanOptions, 'family'>
}

/** What one sync has done so far. */
export interface SyncTally {
  full: boolean
  transactions: number
  bytes: number
  failures: number
  /** Of these, those of a change of some service ports. */
  partialFailures: number
  /** Of the failures, those of removing what nothing leads to any more. */
  cleanupFailures: number
  written: number
}

export interface SyncControl {
  readonly signal: AbortSignal
  readonly tally: SyncTally
}

export interface TableRequest {
  readonly state: State
  readonly changed: ReadonlySet<ServicePortName> | 'all'
  /** The state was accepted as what is in force: nothing is done. Default: it was not. */
  readonly isInForce?: boolean | undefined
}

/** The table of one family: what is known to be in the kernel, and how that becomes what a state wants. */
export interface TableSync {
  readonly table: TableName
  /** Fails with an NftError, or as `signal` says; the next sync then reads the table. */
  readonly sync: (request: TableRequest, control: SyncControl) => Promise<void>
  /**
   * Takes a state for what is in force, once `accept` is called. With `sum`, which an earlier process knew, nothing is planned before a change
   * needs it. Undefined: a service port cannot be planned.
   */
  readonly assume: (request: {
    readonly state: State
    readonly sum?: TableSum | undefined
  }) => { readonly sum: TableSum; readonly accept: () => void } | undefined
  /** All that the table is made from, besides service ports and their endpoints; as text. */
  readonly contextOf: (state: State) => string
  /** What a first sync would send; nothing is done. */
  readonly dryRun: (state: State) => Promise<readonly string[]>
  /** Compares the table with what the last sync left, and repairs it. Undefined: there is nothing to compare with. */
  readonly repair: (
    signal: AbortSignal,
  ) => Promise<{ readonly places: readonly string[]; readonly bytes: number } | undefined>
  /** What is in force; before the first sync, and after a failed one: undefined. */
  readonly sum: () => TableSum | undefined
  /** What the kernel has, of the proxy's. */
  readonly read: () => Promise<TableSum>
  readonly refused: () => readonly RefusedService[]
  /** Trust nothing: the next sync reads the table. */
  readonly forget: () => void
}

export function createTableSync({ family, nft, netlink, config, planOptions }: TableSyncOptions): TableSync {
  const layout = layoutOf(config)
  const table = layout.table(family)
  const targetOf = (...tables: readonly Table[]): Target => ({
    table,
    comment: layout.tableComment,
    removalStage: layout.removalStage,
    declarationOf: (set) => tables.flatMap(({ sets }) => sets.get(set)?.declaration ?? [])[0],
  })
  let known: { readonly programmed: Programmed; readonly sum: TableSum; readonly context: string } | undefined
  /** What each service port was given last, also while nothing is known of the kernel. */
  let given: ReadonlyMap<ServicePortName, OwnedParts> = new Map()
  const refused = createRefusedServices()

  const { readOwn, driftFrom } = createTableReader({ table, layout, nft, netlink })

  const planOf = (state: State): NftPlan => planNftables({ state, config }, { ...planOptions(), family })

  async function textOf(transaction: Transaction): Promise<readonly string[]> {
    const trims: string[] = []
    for (const chain of transaction.trimmed)
      trims.push(...trimLines(table, chain, await nft.ruleHandles(table, chain.name)))
    return [...trims, ...linesOf(transaction)]
  }

  /** Gives the bytes that were sent. */
  const commit = async (transaction: Transaction, signal: AbortSignal): Promise<number> =>
    (netlink && (await commitByNetlink(transaction, netlink))) ?? nft.load(await textOf(transaction), { signal })

  async function send(transaction: Transaction, { signal, tally }: SyncControl): Promise<void> {
    signal.throwIfAborted()
    tally.transactions += 1
    try {
      tally.bytes += await commit(transaction, signal)
    } catch (error) {
      if (!isBusyChain(error)) throw error
      await sendInTwo(await textOf(transaction), { signal, tally })
    }
  }

  /** Chains that cannot be deleted with what led to them are emptied, and deleted afterwards; the next reading finds what is left. */
  async function sendInTwo(lines: readonly string[], { signal, tally }: SyncControl): Promise<void> {
    const isDeletion = (line: string): boolean => line.startsWith('delete chain ')
    const last = lines.findLastIndex((line) => !isDeletion(line)) + 1
    tally.transactions += 2
    tally.bytes += await nft.load(lines.slice(0, last), { signal })
    await nft.load(lines.slice(last), { signal }).catch((error: unknown) => {
      if (!isRefusal(error)) throw error
    })
  }

  /** Makes a change, unless it is refused: then the table is as it was, and as it is known to be. */
  async function make(change: PlannedChange, context: string, control: SyncControl): Promise<NftError | undefined> {
    const last = known
    if (last === undefined) throw new Error('nothing is known of the table')
    const transactions = transactionsOf(change.changes, targetOf(change.to, change.from))
    if (transactions.length > 0) {
      let made = 0
      // Until it has succeeded, nothing is known of what is in force.
      known = undefined
      try {
        for (const transaction of transactions) {
          if (made > 0) await afterPackets(control.signal)
          await send(transaction, control)
          made += 1
        }
      } catch (error) {
        control.tally.failures += 1
        if (made > 0) control.tally.cleanupFailures += 1
        // After the first, the table is as the state wants it but for what has yet to be removed: it is read again.
        if (!isRefusal(error) || made > 0) throw error
        known = last
        return error
      }
      control.tally.written += writtenBy(change.changes)
    }
    change.accept()
    known = {
      programmed: last.programmed,
      sum: plus(minus(last.sum, sumOfTable(family, change.from)), sumOfTable(family, change.to)),
      context,
    }
    given = last.programmed.owners
    return undefined
  }

  interface Work extends SyncControl {
    readonly state: State
    readonly plan: NftPlan
    readonly context: string
    readonly budget: RefusalBudget
  }

  /** The service ports as the state wants them; one that cannot be planned is refused, and not among them. */
  function wantedOf(
    names: Iterable<ServicePortName>,
    { state, plan }: Work,
  ): Map<ServicePortName, OwnedParts | undefined> {
    const wanted = new Map<ServicePortName, OwnedParts | undefined>()
    for (const name of names) {
      const port = state.services.get(name)
      try {
        wanted.set(name, port && { port, parts: plan.ofService(port, state.endpoints.get(name) ?? []).parts })
      } catch (error) {
        refused.refuse(name, error instanceof Error ? error : new Error(String(error)))
      }
    }
    return wanted
  }

  /** Programs these service ports in one transaction. Answers why it was refused. */
  async function attempt(names: readonly ServicePortName[], work: Work): Promise<RefusedAttempt | undefined> {
    const last = known
    if (last === undefined) throw new Error('nothing is known of the table')
    const wanted = wantedOf(names, work)
    const error = await make(last.programmed.plan(wanted), work.context, work)
    if (error !== undefined) return refusalOf(error, work)
    refused.accept(wanted.keys())
    return undefined
  }

  /** The line that was refused may name its service port. */
  const refusalOf = (error: NftError, { state }: Work): RefusedAttempt => ({
    error,
    suspectIn: (names) => {
      const { line } = error
      return line && names.find((name) => isNamedBy(line.text, state.services.get(name), layout))
    },
  })

  const putInGroups = (names: readonly ServicePortName[], cause: RefusedAttempt, work: Work): Promise<void> =>
    refused.putInGroups(names, cause, { attempt: (group) => attempt(group, work), budget: work.budget })

  const tryAgain = (names: readonly ServicePortName[], work: Work): Promise<void> =>
    refused.tryAgain(names, {
      attempt: (group) => attempt(group, work),
      put: async (rest) => {
        const refusal = rest.length === 0 ? undefined : await attempt(rest, work)
        if (refusal !== undefined) await putInGroups(rest, refusal, work)
      },
      budget: work.budget,
    })

  /** Compares all of the table, as it is known or read, with what the state wants, and programs the difference. */
  async function putAll(work: Work): Promise<void> {
    const { state, plan, context, tally } = work
    const last = known
    if (last === undefined) throw new Error('nothing is known of the table')
    const { programmed } = last
    const ports = portsOf(state)
    const before = refused.names().filter((name) => state.services.has(name))
    const wanted = wantedOf(
      ports.map(({ id }) => id),
      work,
    )
    const held = new Set([...before, ...refused.names()])
    const asBefore = (port: ServicePort): OwnedParts =>
      given.get(port.id) ?? { port, parts: adopted(port, programmed.table, layout) }
    const owners = ports.flatMap((port) => (held.has(port.id) ? asBefore(port) : (wanted.get(port.id) ?? [])))
    const base = plan.base.parts
    if (netlink !== undefined && programmed.table.sets.size === 0) {
      // All that netlink cannot make comes first, so that the many elements of the others are left for it. What is refused here is
      // refused again below.
      const withChains = owners.filter(({ parts }) => parts.chains.length > 0 || parts.sets.length > 0)
      await make(programmed.planAll({ base, owners: withChains }), context, work)
    }
    const refusal = await make(programmed.planAll({ base, owners }), context, work)
    if (refusal !== undefined) {
      if (!tally.full) return readAnew(work)
      const kept = await make(programmed.planAll({ base, owners: ports.map(asBefore) }), context, work)
      if (kept !== undefined) throw kept
      await putInGroups(
        owners.map(({ port }) => port.id).filter((name) => !held.has(name)),
        refusalOf(refusal, work),
        work,
      )
    }
    await tryAgain(before, work)
  }

  async function readAnew(work: Work): Promise<void> {
    known = undefined
    work.tally.full = true
    const found = await readOwn(work.signal)
    known = { programmed: programmedFrom(found), sum: sumOfTable(family, found), context: '' }
    await putAll(work)
  }

  const portsOf = (state: State): readonly ServicePort[] =>
    [...state.services.values()].filter((port) => port.family === family)

  /** A table with all of a state in it. */
  function programmedAs(state: State, plan: NftPlan): Programmed {
    const programmed = programmedFrom(EMPTY_TABLE)
    programmed.planAll({ base: plan.base.parts, owners: ownersOf(state, plan) }).accept()
    return programmed
  }

  const ownersOf = (state: State, plan: NftPlan): readonly OwnedParts[] =>
    portsOf(state).map((port) => ({ port, parts: plan.ofService(port, state.endpoints.get(port.id) ?? []).parts }))

  return {
    table,
    contextOf: (state) => JSON.stringify(planOf(state).context),
    assume({ state, sum }) {
      const plan = planOf(state)
      let programmed: Programmed | undefined
      try {
        if (sum === undefined) programmed = programmedAs(state, plan)
      } catch {
        return undefined
      }
      const assumed = {
        get programmed() {
          programmed ??= programmedAs(state, plan)
          return programmed
        },
        sum: sum ?? sumOfTable(family, programmed?.table ?? EMPTY_TABLE),
        context: JSON.stringify(plan.context),
      }
      return { sum: assumed.sum, accept: () => void (known = assumed) }
    },
    async sync({ state, changed, isInForce }, control) {
      control.tally.full = isInForce === true && changed === 'all'
      if (isInForce === true) return
      const plan = planOf(state)
      const work: Work = { ...control, state, plan, context: JSON.stringify(plan.context), budget: newRefusalBudget() }
      if (changed === 'all') refused.accept(refused.names().filter((name) => !state.services.has(name)))
      if (changed === 'all' || known === undefined) return readAnew(work)
      if (known.context !== work.context) return putAll(work)
      const asked = [...changed].filter((name) => parseServicePortName(name).family === family)
      if (asked.length === 0) return
      const again = refused.names().filter((name) => changed.has(name) && state.services.has(name))
      const names = asked.filter((name) => !again.includes(name))
      const refusal = names.length === 0 ? undefined : await attempt(names, work)
      if (refusal !== undefined) {
        control.tally.partialFailures += 1
        // It may not be as it is known to be.
        return readAnew(work)
      }
      await tryAgain(again, work)
    },
    async dryRun(state) {
      const plan = planOf(state)
      const owners = ownersOf(state, plan)
      const { changes, from, to } = programmedFrom(await readOwn()).planAll({ base: plan.base.parts, owners })
      return wholeTransaction(changes, targetOf(to, from))
    },
    async repair(signal) {
      const last = known
      if (last === undefined) return undefined
      const wanted = last.programmed.table
      const changes = await driftFrom(wanted, signal)
      if (isNothing(changes)) return { places: [], bytes: 0 }
      known = undefined
      let bytes = 0
      for (const [index, transaction] of transactionsOf(changes, targetOf(wanted)).entries()) {
        if (index > 0) await afterPackets(signal)
        bytes += await commit(transaction, signal)
      }
      known = last
      return { places: changedNames(changes).map((name) => `${table.name} ${name}`), bytes }
    },
    sum: () => known?.sum,
    read: async () => sumOfTable(family, await readOwn()),
    refused: refused.list,
    forget() {
      known = undefined
      given = new Map()
      refused.forget()
    },
  }
}
