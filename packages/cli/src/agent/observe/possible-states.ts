import {
  parseServicePortName,
  seq as toSeq,
  type Applied,
  type AuditFinding,
  type Dataplane,
  type Endpoint,
  type RulePlan,
  type Seq,
  type ServicePortName,
  type State,
} from '@pointsman/core'
import { type Search, searchVersions } from './search-versions.js'
import {
  bounded,
  type Candidate,
  candidatesOf,
  type Dated,
  distinct,
  MAX_VERSIONS,
  split,
  type Versions,
  withVersion,
} from './versions.js'

/*
 * The states that a service proxy may have brought into force by now. A proxy hears of Services, EndpointSlices and its Node
 * on a watch each, and writes what it has heard at some moment: of each service port its rules are those of one version of its
 * Service and of one version of its endpoints, not older than those that were seen in force before.
 */

/** What rules of all service ports are made from. */
type Common = Pick<State, 'node' | 'serviceCidrs'>

export type AuditedMaps = Common & Pick<State, 'services' | 'endpoints'>

/** What rules that were read come to. */
export interface Explanation {
  /** What no possible state explains. */
  readonly unexplained: readonly AuditFinding[]
  /** Service ports that have too many versions to be compared with each of them: nothing is said of these. */
  readonly undecided: ReadonlySet<ServicePortName>
  /** Everything up to here is in the rules; service ports of `unexplained` and `undecided` do not count. */
  readonly inForce: Seq
  /** The first change that is not in the rules. */
  readonly missing?: Change
}

/** A change of rules that is on its way, or was. `at` in milliseconds of the observer's clock, which is not set. */
export interface Change {
  readonly seq: Seq
  readonly at: number
  /** The service ports that it changes; none: the Node, or a ServiceCIDR. */
  readonly owners: ReadonlySet<ServicePortName>
}

export interface PossibleStates {
  /** Takes what one more event made of the state. */
  note(state: State, applied: Omit<Applied, 'diagnostics'>, at: number): void
  /** The state after the last event. */
  readonly newest: State
  /** Changes that were not seen in the rules yet, the oldest first. */
  readonly waiting: readonly Change[]
  /** Forgets versions whose rules are the same as those of the version before. */
  settleEqual(planOf: (state: AuditedMaps) => readonly Pick<RulePlan, 'family' | 'ofService'>[]): void
  /**
   * Finds the versions that the rules have. `audit` compares them with a state. What is found in force makes all versions before it
   * impossible, and is what the next explanation begins with.
   */
  explain(audit: (state: AuditedMaps) => readonly AuditFinding[], at: number): Explanation
  /** Takes out the changes that are in force up to a position. */
  takeInForce(inForce: Seq): readonly Change[]
}

interface PossibleStatesOptions {
  readonly dataplane: Pick<Dataplane, 'ownerOfChain' | 'targetOf'>
  /** For how long versions before the newest stay possible after the newest was seen in force, in milliseconds. */
  readonly settleMs: number
}

export function createPossibleStates(
  { dataplane, settleMs }: PossibleStatesOptions,
  begin: { readonly state: State; readonly at: number },
): PossibleStates {
  let newest = begin.state
  let headSeq = begin.state.seq
  const known = {
    services: new Map(begin.state.services),
    endpoints: new Map(begin.state.endpoints),
  }
  const versions = new Map<ServicePortName, Versions>()
  let commons: readonly Dated<Common>[] = [{ value: commonOf(begin.state), seq: begin.state.seq, at: begin.at }]
  let waiting: Change[] = []

  /** The newest state with the chosen versions in place of some. */
  const stateWith = (common: Common, chosen: ReadonlyMap<ServicePortName, Candidate | undefined>): AuditedMaps => {
    const services = new Map(newest.services)
    const endpoints = new Map(newest.endpoints)
    for (const [id, candidate] of chosen) {
      if (candidate === undefined) continue
      if (candidate.port === undefined) services.delete(id)
      else services.set(id, candidate.port)
      endpoints.set(id, candidate.endpoints)
    }
    return { services, endpoints, ...common }
  }

  const waitFor = (change: Change): void => {
    // However long nothing is seen in force: the oldest counts.
    if (waiting.length < MAX_WAITING) waiting.push(change)
  }

  return {
    note(state, { changed, nodeChanged, serviceCidrsChanged }, at) {
      const { seq } = state
      newest = state
      headSeq = seq
      const owners = new Set<ServicePortName>()
      for (const id of changed) {
        const port = state.services.get(id)
        const endpoints = state.endpoints.get(id) ?? NO_ENDPOINTS
        const before = versions.get(id) ?? {
          ports: [{ value: known.services.get(id), seq: FIRST, at }],
          endpoints: [{ value: known.endpoints.get(id) ?? NO_ENDPOINTS, seq: FIRST, at }],
          isCut: false,
        }
        const ports = withVersion(before.ports, { value: port, seq, at })
        const lists = withVersion(before.endpoints, { value: endpoints, seq, at })
        if (port === undefined) known.services.delete(id)
        else known.services.set(id, port)
        if (state.endpoints.has(id)) known.endpoints.set(id, endpoints)
        else known.endpoints.delete(id)
        const isNews = ports !== before.ports || (lists !== before.endpoints && port !== undefined)
        if (ports === before.ports && lists === before.endpoints) continue
        versions.set(id, {
          ports: bounded(ports),
          endpoints: bounded(lists),
          isCut: before.isCut || ports.length > MAX_VERSIONS || lists.length > MAX_VERSIONS,
        })
        if (isNews) owners.add(id)
      }
      const isCommon = nodeChanged || serviceCidrsChanged
      if (isCommon) commons = bounded([...commons, { value: commonOf(state), seq, at }])
      if (owners.size > 0 || isCommon) waitFor({ seq, at, owners })
    },
    get newest() {
      return newest
    },
    get waiting() {
      return waiting
    },
    settleEqual(planOf) {
      const unknown = [...versions].filter(([, { differs }]) => differs === undefined)
      if (unknown.length === 0 || commons.length > 1) return
      const plans = planOf(newest)
      const settled = new Set<ServicePortName>()
      for (const [id, own] of unknown) {
        const { ports, endpoints, isCut } = own
        const plan = plans.find(({ family }) => family === parseServicePortName(id).family)
        // Rules of a family that is not compared are nobody's business.
        const isSame =
          plan === undefined ||
          (!isCut && new Set(candidatesOf({ ports, endpoints }).map((one) => textOf(plan, one))).size === 1)
        if (isSame) settled.add(id)
        else own.differs = true
      }
      for (const id of settled) versions.delete(id)
      waiting = waiting.flatMap((change) => {
        const owners = [...change.owners].filter((id) => !settled.has(id))
        if (owners.length === change.owners.size) return [change]
        return owners.length === 0 ? [] : [{ ...change, owners: new Set(owners) }]
      })
    },
    explain(audit, at) {
      let best: (Search & { readonly common: Common }) | undefined
      for (const common of distinct(commons)) {
        const search = searchVersions({
          versions,
          dataplane,
          audit: (chosen) => audit(stateWith(common, chosen)),
          quietSince: at - settleMs,
        })
        if (best === undefined || search.unexplained.length < best.unexplained.length) best = { ...search, common }
        if (best.unexplained.length === 0) break
      }
      if (best === undefined) throw new Error('there is a newest state')
      const { chosen, undecided, unexplained, faulty } = best
      const limits: Seq[] = [headSeq]
      const common = split(commons, best.common)
      if (common.next !== undefined) limits.push(toSeq(common.next.seq - 1))
      const isSettled = common.next === undefined && (commons.at(-1)?.at ?? at) < at - settleMs
      commons = isSettled ? commons.slice(-1) : common.possible
      for (const [id, own] of versions) {
        if (undecided.has(id) || faulty.has(id)) continue
        const candidate = chosen.get(id)
        const ports = split(own.ports, candidate === undefined ? own.ports.at(-1)?.value : candidate.port)
        const lists = split(
          own.endpoints,
          candidate === undefined ? (own.endpoints.at(-1)?.value ?? NO_ENDPOINTS) : candidate.endpoints,
        )
        for (const next of [ports.next, lists.next]) if (next !== undefined) limits.push(toSeq(next.seq - 1))
        const last = Math.max(own.ports.at(-1)?.at ?? at, own.endpoints.at(-1)?.at ?? at)
        if (ports.next === undefined && lists.next === undefined && last < at - settleMs) versions.delete(id)
        else versions.set(id, { ports: ports.possible, endpoints: lists.possible, isCut: own.isCut })
      }
      const inForce = limits.reduce((least, one) => (one < least ? one : least))
      const missing = waiting.find(({ seq }) => seq > inForce)
      return { unexplained, undecided, inForce, ...(missing && { missing }) }
    },
    takeInForce(inForce) {
      const taken = waiting.filter(({ seq }) => seq <= inForce)
      waiting = waiting.filter(({ seq }) => seq > inForce)
      return taken
    },
  }
}

const commonOf = ({ node, serviceCidrs }: State): Common => ({ serviceCidrs, ...(node && { node }) })

const NO_ENDPOINTS: readonly Endpoint[] = []
/** Of what was there before the first event. */
const FIRST = toSeq(0)
const MAX_WAITING = 100_000
const textOf = (plan: Pick<RulePlan, 'ofService'>, { port, endpoints }: Candidate): string =>
  port === undefined
    ? ''
    : plan
        .ofService(port, endpoints)
        .items.map(({ table, line }) => `${table} ${line}`)
        .join('\n')
