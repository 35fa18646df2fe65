import { frontKey, frontsOf, type ServicePort, type ServicePortName } from '@pointsman/core'
import { byAge, inOverlapOrder } from '../ruleset/overlap-order.js'
import type { OverlapGroup } from './installed.js'

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
