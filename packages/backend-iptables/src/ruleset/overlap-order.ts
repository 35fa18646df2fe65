import { frontKey, frontsOf, type ServicePort } from '@pointsman/core'

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
