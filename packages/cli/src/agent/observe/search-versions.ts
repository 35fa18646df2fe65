import {
  type AuditFinding,
  type Dataplane,
  displayName,
  type Endpoint,
  parseServicePortName,
  type ServicePort,
  type ServicePortName,
} from '@pointsman/core'
import { type Candidate, candidatesOf, type Versions } from './versions.js'

export interface Search {
  /** Of service ports whose rules are not those of the newest version. */
  readonly chosen: ReadonlyMap<ServicePortName, Candidate | undefined>
  readonly unexplained: readonly AuditFinding[]
  readonly undecided: ReadonlySet<ServicePortName>
  /** Service ports in flight of which no version has the rules that are there. */
  readonly faulty: ReadonlySet<ServicePortName>
}

interface SearchOptions {
  readonly versions: ReadonlyMap<ServicePortName, Versions>
  readonly dataplane: Pick<Dataplane, 'ownerOfChain' | 'targetOf'>
  readonly audit: (chosen: ReadonlyMap<ServicePortName, Candidate | undefined>) => readonly AuditFinding[]
  /** Service ports that did not change since then have the newest version in force, if the proxy is in time. */
  readonly quietSince: number
}

/**
 * Compares the rules with the newest versions, then, of all service ports at once that something was found of, with one version
 * after the other, until nothing is found or there are no more.
 */
export function searchVersions({ versions, dataplane, audit, quietSince }: SearchOptions): Search {
  const chosen = new Map<ServicePortName, Candidate | undefined>()
  const trials = new Map<ServicePortName, Trial>()
  const undecided = new Set<ServicePortName>()
  const faulty = new Set<ServicePortName>()
  let findings = audit(chosen)
  const blame = findings.length === 0 || versions.size === 0 ? () => [] : blaming(versions, dataplane)
  // Where many findings are about no service port in flight, no choice of versions explains them: the search is left for a later look.
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

/** How often all rules are compared for one explanation, besides the first time. */
const MAX_ROUNDS = 8
/** So many that nothing in flight explains. */
const MANY_FINDINGS = 20
