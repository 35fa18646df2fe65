import type { Surroundings } from '@pointsman/core'
import {
  type Case,
  type Evaluated,
  isOwnAddress,
  type PacketState,
  type OtherProxy,
  type PartialWay,
  truthIn,
} from '@pointsman/core/trace'
import type { RuleTables } from './rule-tables.js'
import { ipsetsIn, setHas } from './ip-sets.js'

/** Undefined: these are rules of no such mode. */
export function ipvsIn(tables: RuleTables, surroundings: Surroundings): OtherProxy | undefined {
  if (ipvsSetsIn(tables) === undefined) return undefined
  return {
    name: 'IPVS',
    hasAddress: (packet, supposed) => isIpvsAddress(surroundings, packet, supposed),
    because: ({ destination }) => `${destination} is on kube-ipvs0, for IPVS`,
    leadsTo: (way) => ipvsLeadsTo(surroundings, way),
  }
}

/**
 * kube-proxy's ipvs mode puts the addresses of Services on the interface kube-ipvs0, so that packets for them come to INPUT; there
 * IPVS sends those of its virtual servers to endpoints. Its rules masquerade and filter alone. Undefined: these are no rules of
 * this mode; else the sets of virtual servers that they name.
 */
function ipvsSetsIn(tables: RuleTables): readonly string[] | undefined {
  const sets = new Set<string>()
  let isIpvs = false
  for (const table of ['nat', 'filter']) {
    for (const { chain, rules } of tables.chains(table)) {
      if (chain === 'KUBE-IPVS-FILTER') isIpvs = true
      for (const { rule } of rules) {
        for (const match of rule.matches) {
          if (match.type !== 'other' || match.name !== 'set') continue
          const name = match.words[match.words.indexOf('--match-set') + 1]
          if (name !== undefined && SETS.test(name)) sets.add(name)
        }
      }
    }
  }
  return isIpvs || sets.size > 0 ? [...sets] : undefined
}

const SETS = /^KUBE-(?:6-)?(?:CLUSTER-IP|LOAD-BALANCER|EXTERNAL-IP|NODE-PORT-|LOOP-BACK|IPVS-IPS)/

/** Whether an address that is not the node's is on kube-ipvs0. */
function isIpvsAddress(
  surroundings: Surroundings,
  packet: PacketState,
  supposed: Case | undefined,
): Evaluated<boolean> {
  const { destination } = packet
  const sets = ipsetsIn(surroundings)
  if (sets !== undefined) {
    const found = [...sets.values()].flatMap(({ name, entries }) => {
      if (!SETS.test(name) || name.includes('LOOP-BACK')) return []
      return entries.map(({ parts: [address] }) => address)
    })
    return { value: found.includes(destination) }
  }
  const claim = {
    subject: `kube-ipvs0 ${destination}`,
    low: '',
    high: '',
    code: 'NODE_ADDRESS' as const,
    text: `${destination} is the address of a Service, on kube-ipvs0`,
  }
  const truth = truthIn(supposed, claim)
  return truth === undefined ? { unknown: claim } : { value: truth }
}

/** Whether IPVS may be what takes the packet on: it came to the node, for an address of a Service or a node port. */
function ipvsLeadsTo(surroundings: Surroundings, { packet, when }: PartialWay): boolean {
  // The addresses of kube-ipvs0 answer pings themselves.
  if (packet.destinationPort === 0) return false
  const sets = ipsetsIn(surroundings)
  if (sets !== undefined) {
    const servers = [...sets.keys()].filter((name) => SETS.test(name) && !/LOOP-BACK|IPVS-IPS/.test(name))
    const found = servers.map((name) =>
      setHas(sets, { name, flags: name.includes('NODE-PORT') ? 'dst' : 'dst,dst' }, packet),
    )
    return found.some((one) => one !== false)
  }
  if (isOwnAddress(surroundings, packet.destination)) return true
  const claim = {
    subject: `kube-ipvs0 ${packet.destination}`,
    low: '',
    high: '',
    code: 'NODE_ADDRESS' as const,
    text: '',
  }
  return packet.bornHere || when.some((one) => truthIn(one, claim) === true)
}
