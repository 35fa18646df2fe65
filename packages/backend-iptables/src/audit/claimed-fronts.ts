import {
  type AuditNote,
  byAge,
  displayName,
  endpointKey,
  type Front,
  frontKey,
  frontsOf,
  type IpFamily,
  type ServicePort,
  type State,
} from '@pointsman/core'
import type { SavedTable } from 'node-iptables'
import { CHAINS, serviceChainNames } from '../ruleset/layout.js'
import { itemsOf, linesOf } from './origin.js'

/**
 * Fronts that several service ports claim, and whose rule comes first in these tables: kube-proxy writes its Services in no
 * order, so that it is chance which of them has the packets of a node.
 */
export function claimedFronts(
  tables: readonly SavedTable[],
  { services }: Pick<State, 'services'>,
  family: IpFamily,
): readonly AuditNote[] {
  const claimed = claimsOf([...services.values()].filter((port) => port.family === family))
  if (claimed.length === 0) return []
  const chains = tables.find(({ table }) => table === 'nat')?.chains ?? []
  const dispatch = chains
    .filter(({ chain }) => chain === CHAINS.services || chain === CHAINS.nodePorts)
    .flatMap(linesOf)
  const places = new Map<string, { readonly at: number; readonly line: string }[]>()
  for (const [at, line] of dispatch.entries()) {
    const target = / -j (\S+)$/.exec(line)?.[1] ?? ''
    places.set(target, [...(places.get(target) ?? []), { at, line }])
  }
  return claimed.flatMap(({ front, ports }): readonly AuditNote[] => {
    const taking = ports
      .flatMap((port) => {
        const { cluster, local, external, firewall } = serviceChainNames(port)
        const lines = [cluster, local, external, firewall].flatMap((chain) => places.get(chain) ?? [])
        const [first] = lines.filter(({ line }) => isFor(front, line)).toSorted((a, b) => a.at - b.at)
        return first === undefined ? [] : [{ port, ...first }]
      })
      .toSorted((a, b) => a.at - b.at)
    const [first, ...others] = taking
    if (first === undefined || others.length === 0) return []
    return [
      {
        family,
        text: noteText(front, { first, ports }),
        found: itemsOf(
          'nat',
          taking.map(({ line }) => line),
        ),
      },
    ]
  })
}

interface Claim {
  readonly front: Front
  /** The oldest first. */
  readonly ports: readonly ServicePort[]
}

function claimsOf(ports: readonly ServicePort[]): readonly Claim[] {
  const claims = new Map<string, { readonly front: Front; readonly ports: Set<ServicePort> }>()
  for (const port of ports)
    for (const front of frontsOf(port)) {
      const claim = claims.get(frontKey(front)) ?? { front, ports: new Set() }
      claims.set(frontKey(front), claim)
      claim.ports.add(port)
    }
  return [...claims.values()].flatMap(({ front, ports: of }) =>
    of.size < 2 ? [] : [{ front, ports: [...of].toSorted(byAge) }],
  )
}

const isFor = ({ address, port }: Front, line: string): boolean =>
  line.includes(` --dport ${port} `) && (address === undefined || line.includes(` -d ${address}/`))

function noteText(
  front: Front,
  {
    first: { port: first, line },
    ports,
  }: { readonly first: { readonly port: ServicePort; readonly line: string }; readonly ports: readonly ServicePort[] },
): string {
  const at =
    front.address === undefined ? `node port ${front.port}` : endpointKey({ address: front.address, port: front.port })
  const names = ports.map(displayName)
  const isGuarded = line.endsWith(` -j ${serviceChainNames(first).firewall}`)
  return (
    `${at} (${front.protocol}) is claimed by ${names.slice(0, -1).join(', ')} and ${names.at(-1) ?? ''}: on this node ${displayName(first)} is first and has its packets${isGuarded ? ', but for those that its source ranges keep out' : ''}. ` +
    `kube-proxy does not define which of them wins on a node; Pointsman lets the older win: ${names[0] ?? ''}`
  )
}
