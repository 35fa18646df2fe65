import type { ServicePortName } from '../model/names.js'
import type { ServicePort } from '../model/service-port.js'
import { frontKey, frontsOf } from './state.js'

/**
 * Service ports in the order in which their rules stand: by name, except that of those which claim one front the port of
 * the older Service comes first, whose rule then wins. kube-proxy leaves that to chance. Ports that are bound up with each
 * other, directly or by way of others, share the places that their names gave them.
 */
export function inOverlapOrder(ports: readonly ServicePort[]): readonly ServicePort[] {
  const byName = ports.toSorted((a, b) => compare(a.id, b.id))
  const ordered = [...byName]
  for (const places of groupsOfOverlapping(byName)) {
    const members = places.flatMap((place) => byName[place] ?? []).toSorted(byAge)
    for (const [index, place] of places.entries()) {
      const member = members[index]
      if (member !== undefined) ordered[place] = member
    }
  }
  return ordered
}

/** The older Service first: which of two that claim one front wins. */
export function byAge(a: ServicePort, b: ServicePort): number {
  return compare(a.createdAt, b.createdAt) || compare(a.service, b.service) || compare(a.id, b.id)
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

/** Groups of two and more that hang together by common fronts, as sorted places in the list. */
function groupsOfOverlapping(ports: readonly ServicePort[]): readonly (readonly number[])[] {
  const leaders = ports.map((_, place) => place)
  const firstWith = new Map<string, number>()
  for (const [place, port] of ports.entries()) {
    for (const key of new Set(frontsOf(port).map(frontKey))) {
      const first = firstWith.get(key)
      if (first === undefined) firstWith.set(key, place)
      else join(leaders, first, place)
    }
  }
  const groups = new Map<number, number[]>()
  for (const place of leaders.keys()) {
    const leader = leaderOf(leaders, place)
    const group = groups.get(leader)
    if (group === undefined) groups.set(leader, [place])
    else group.push(place)
  }
  return [...groups.values()].filter(({ length }) => length > 1)
}

/** Each place points towards the first of its group, which points to itself. */
function leaderOf(leaders: readonly number[], place: number): number {
  const next = leaders[place] ?? place
  return next === place ? place : leaderOf(leaders, next)
}

function join(leaders: number[], a: number, b: number): void {
  const [first, second] = [leaderOf(leaders, a), leaderOf(leaders, b)]
  leaders[Math.max(first, second)] = Math.min(first, second)
}

/** Service ports that claim one front, in the order in which their rules have to stand: the first one wins. */
export type OverlapGroup = readonly ServicePortName[]

/** Which service ports claim which fronts, kept up with one service port after the other. */
export interface OverlapIndex {
  /** Undefined: the service port is gone. */
  readonly put: (name: ServicePortName, port: ServicePort | undefined) => void
  /** Groups that hang together by common fronts, of one that has a front twice or of several, and have one of these among them, each in the order of its rules. */
  readonly groupsOf: (names: Iterable<ServicePortName>) => readonly OverlapGroup[]
  /** All of them, in the order in which their rules stand in a shared chain that is written anew. */
  readonly order: () => readonly ServicePortName[]
}

export function createOverlapIndex(): OverlapIndex {
  const claimants = new Map<string, ServicePortName[]>()
  const ports = new Map<ServicePortName, ServicePort>()
  const keysOf = (port: ServicePort | undefined): ReadonlySet<string> =>
    new Set(port === undefined ? [] : frontsOf(port).map(frontKey))

  const groupOf = (start: ServicePortName): OverlapGroup => {
    const group = new Set([start])
    // A set that grows while it is gone through: each new member brings those that it shares a front with.
    for (const name of group) {
      for (const key of keysOf(ports.get(name))) for (const other of claimants.get(key) ?? []) group.add(other)
    }
    return [...group]
      .flatMap((name) => ports.get(name) ?? [])
      .toSorted(byAge)
      .map(({ id }) => id)
  }

  return {
    put(name, port) {
      for (const key of keysOf(ports.get(name))) {
        const left = (claimants.get(key) ?? []).filter((other) => other !== name)
        if (left.length === 0) claimants.delete(key)
        else claimants.set(key, left)
      }
      for (const key of keysOf(port)) claimants.set(key, [...(claimants.get(key) ?? []), name])
      if (port === undefined) ports.delete(name)
      else ports.set(name, port)
    },
    groupsOf(names) {
      const seen = new Set<ServicePortName>()
      const groups: OverlapGroup[] = []
      for (const name of names) {
        if (seen.has(name)) continue
        const group = groupOf(name)
        for (const member of group) seen.add(member)
        if (group.length > 1 || claimsTwice(ports.get(name))) groups.push(group)
      }
      return groups
    },
    order: () => inOverlapOrder([...ports.values()]).map(({ id }) => id),
  }
}

/** An external IP can be a load balancer's as well. */
function claimsTwice(port: ServicePort | undefined): boolean {
  const keys = port === undefined ? [] : frontsOf(port).map(frontKey)
  return new Set(keys).size < keys.length
}
