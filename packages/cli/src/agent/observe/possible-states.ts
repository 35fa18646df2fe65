import {
  displayName,
  isEqual,
  parseServicePortName,
  seq as toSeq,
  type Applied,
  type AuditFinding,
  type Dataplane,
  type Endpoint,
  type RulePlan,
  type Seq,
  type ServicePort,
  type ServicePortName,
  type State,
} from '@pointsman/core'

/*
 * The states that a service proxy may have brought into force by now. A proxy hears of Services, EndpointSlices and its Node
 * on a watch each, and writes what it has heard at some moment: of each service port its rules are those of one version of its
 * Service and of one version of its endpoints, not older than those that were seen in force before.
 */

/** A value with the event that brought it; `at` in milliseconds since 1970 UTC. */
interface Dated<Value> {
  readonly value: Value
  readonly seq: Seq
  readonly at: number
}

/** Of one service port: what may be in force, the oldest first. */
interface Versions {
  /** Undefined: the Service has no such port. */
  ports: readonly Dated<ServicePort | undefined>[]
  endpoints: readonly Dated<readonly Endpoint[]>[]
  /** Some were dropped, because there were too many. */
  isCut: boolean
  /** Not all of them have the same rules. Absent: that was not looked at. */
  differs?: boolean
}

interface Candidate {
  readonly port: ServicePort | undefined
  readonly endpoints: readonly Endpoint[]
}

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

/** A change of rules that is on its way, or was. `at` in milliseconds since 1970 UTC. */
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
/** Of one service port, in flight at once. */
const MAX_VERSIONS = 64
/** How often all rules are compared for one explanation, besides the first time. */
const MAX_ROUNDS = 8
/** So many that nothing in flight explains. */
const MANY_FINDINGS = 20

function withVersion<Value>(before: readonly Dated<Value>[], next: Dated<Value>): readonly Dated<Value>[] {
  return isEqual(before.at(-1)?.value, next.value) ? before : [...before, next]
}

/** The oldest, which was seen in force, and the newest. */
const bounded = <Value>(list: readonly Dated<Value>[]): readonly Dated<Value>[] =>
  list.length <= MAX_VERSIONS ? list : [...list.slice(0, 1), ...list.slice(2 - MAX_VERSIONS)]

interface Split<Value> {
  /** From the oldest on that is the same as the one in force: the proxy may have been there, and go on from there. */
  readonly possible: readonly Dated<Value>[]
  /** The one after the newest that is the same. */
  readonly next: Dated<Value> | undefined
}

function split<Value>(list: readonly Dated<Value>[], value: Value): Split<Value> {
  const first = list.findIndex((one) => isEqual(one.value, value))
  const last = list.findLastIndex((one) => isEqual(one.value, value))
  return { possible: list.slice(Math.max(0, first)), next: last < 0 ? undefined : list[last + 1] }
}

/** Each version of the Service with each of the endpoints, the newest first. */
function candidatesOf({ ports, endpoints }: Pick<Versions, 'ports' | 'endpoints'>): readonly Candidate[] {
  const [newestPorts, newestLists] = [distinct(ports), distinct(endpoints)]
  return newestPorts
    .flatMap((port, age) =>
      (port === undefined ? newestLists.slice(0, 1) : newestLists).map((list, ageOfList) => ({
        candidate: { port, endpoints: list },
        age: age + ageOfList,
      })),
    )
    .toSorted((a, b) => a.age - b.age)
    .map(({ candidate }) => candidate)
}

function distinct<Value>(list: readonly Dated<Value>[]): readonly Value[] {
  const values = list.toReversed().map(({ value }) => value)
  return values.filter((value, index) => values.findIndex((other) => isEqual(other, value)) === index)
}

const textOf = (plan: Pick<RulePlan, 'ofService'>, { port, endpoints }: Candidate): string =>
  port === undefined
    ? ''
    : plan
        .ofService(port, endpoints)
        .items.map(({ table, line }) => `${table} ${line}`)
        .join('\n')

interface Search {
  /** Of service ports whose rules are not those of the newest version. */
  readonly chosen: ReadonlyMap<ServicePortName, Candidate | undefined>
  readonly unexplained: readonly AuditFinding[]
  readonly undecided: ReadonlySet<ServicePortName>
  /** Service ports in flight of which no version has the rules that are there. */
  readonly faulty: ReadonlySet<ServicePortName>
}

interface SearchOptions {
  readonly versions: ReadonlyMap<ServicePortName, Versions>
  readonly dataplane: PossibleStatesOptions['dataplane']
  readonly audit: (chosen: ReadonlyMap<ServicePortName, Candidate | undefined>) => readonly AuditFinding[]
  /** Service ports that did not change since then have the newest version in force, if the proxy is in time. */
  readonly quietSince: number
}

/**
 * Compares the rules with the newest versions, then, of all service ports at once that something was found of, with one version
 * after the other, until nothing is found or there are no more.
 */
function searchVersions({ versions, dataplane, audit, quietSince }: SearchOptions): Search {
  const chosen = new Map<ServicePortName, Candidate | undefined>()
  const trials = new Map<ServicePortName, Trial>()
  const undecided = new Set<ServicePortName>()
  const faulty = new Set<ServicePortName>()
  let findings = audit(chosen)
  const blame = findings.length === 0 || versions.size === 0 ? () => [] : blaming(versions, dataplane)
  // Rules that are wrong all over are so whatever versions there are of some service ports: these are for a later look.
  const isAllOver = findings.filter((finding) => blame(finding).length === 0).length > MANY_FINDINGS
  for (let round = isAllOver ? MAX_ROUNDS : 0; ; round += 1) {
    const counts = new Map<ServicePortName, number>()
    for (const finding of findings) for (const id of blame(finding)) counts.set(id, (counts.get(id) ?? 0) + 1)
    let isAnother = false
    for (const [id, count] of counts) {
      const own = versions.get(id)
      if (own === undefined || faulty.has(id) || undecided.has(id)) continue
      const trial = trials.get(id) ?? { candidates: inTrialOrder(candidatesOf(own)), at: 0, best: 0, least: count }
      if (count < trial.least) [trial.best, trial.least] = [trial.at, count]
      trial.at += 1
      trials.set(id, trial)
      const isOver = trial.at >= trial.candidates.length
      if (isOver || round >= MAX_ROUNDS) {
        // A proxy that is in time has the newest by now.
        if ((isOver && !own.isCut) || lastAt(own) < quietSince) faulty.add(id)
        else undecided.add(id)
        trial.at = trial.best
      }
      const next = trial.candidates[trial.at]
      if (chosen.get(id) !== next) isAnother = true
      chosen.set(id, next)
    }
    if (!isAnother) break
    findings = audit(chosen)
  }
  const unexplained = findings.filter((finding) => !blame(finding).some((id) => undecided.has(id)))
  return { chosen, undecided, faulty, unexplained }
}

const lastAt = ({ ports, endpoints }: Versions): number => Math.max(ports.at(-1)?.at ?? 0, endpoints.at(-1)?.at ?? 0)

/** The newest, the one that was in force last, and then from the newest on. */
const inTrialOrder = ([newest, ...others]: readonly Candidate[]): readonly Candidate[] => {
  const oldest = others.at(-1)
  return [...(newest === undefined ? [] : [newest]), ...(oldest === undefined ? [] : [oldest]), ...others.slice(0, -1)]
}

interface Trial {
  readonly candidates: readonly Candidate[]
  at: number
  best: number
  least: number
}

/** The service ports in flight that a finding may be about: the one that it names, or whose chains its rules are in or lead to. */
function blaming(
  versions: SearchOptions['versions'],
  dataplane: SearchOptions['dataplane'],
): (finding: AuditFinding) => readonly ServicePortName[] {
  const byName = new Map<string, ServicePortName[]>()
  const services = new Map<ServicePortName, ServicePort>()
  const endpoints = new Map<ServicePortName, readonly Endpoint[]>()
  for (const [id, own] of versions) {
    const identity = parseServicePortName(id)
    const name = `${identity.family} ${displayName(identity)}`
    byName.set(name, [...(byName.get(name) ?? []), id])
    const port = own.ports.findLast(({ value }) => value !== undefined)?.value
    if (port === undefined) continue
    services.set(id, port)
    endpoints.set(
      id,
      own.endpoints.flatMap(({ value }) => value),
    )
  }
  const owners = new Map<string, readonly ServicePortName[]>()
  const ofChain = (chain: string, family: AuditFinding['family']): readonly ServicePortName[] => {
    const key = `${family} ${chain}`
    const before = owners.get(key)
    if (before !== undefined) return before
    const ofFamily = new Map([...services].filter(([, port]) => port.family === family))
    const port = chain === '' ? undefined : dataplane.ownerOfChain(chain, { services: ofFamily, endpoints })?.port
    const found = port === undefined ? [] : [port.id]
    owners.set(key, found)
    return found
  }
  return ({ owner, claims, family, chain, found = [] }) => {
    const named = [
      ...(owner !== undefined && versions.has(owner) ? [owner] : []),
      ...(claims === undefined ? [] : (byName.get(`${family} ${claims}`) ?? [])),
    ]
    if (named.length > 0) return named
    const chains = [chain, ...found.slice(0, MAX_FOUND).flatMap((item) => dataplane.targetOf(item) ?? [])]
    return [...new Set(chains.flatMap((each) => ofChain(each, family)))]
  }
}

/** Rules of one finding that are looked at for the chains that they lead to. */
const MAX_FOUND = 100
