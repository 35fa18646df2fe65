import {
  endpointKey,
  frontKey,
  frontsOf,
  type Endpoint,
  type Front,
  type IpFamily,
  type ProxyConfig,
  type State,
} from '@pointsman/core'
import { answersOnLocalhost, isLoopback, nodePortAddressesOf } from '../ruleset/node-addresses.js'

/** What flows of one family are judged by: a copy, so that the state may move on. */
export interface ServedFronts {
  readonly family: IpFamily
  /** By `frontKey`, the `endpointKey`s of what serves each UDP front. None: the front is there, and nothing serves it. */
  readonly targets: ReadonlyMap<string, ReadonlySet<string>>
  /** Whether a packet to this address, of the family and in canonical spelling, may be for a node port. */
  readonly isNodePortAddress: (address: string) => boolean
}

export interface ServedFrontsInput {
  readonly state: Pick<State, 'node' | 'services' | 'endpoints'>
  readonly config: Pick<ProxyConfig, 'nodePortAddresses' | 'localhostNodePorts'>
  readonly family: IpFamily
  /** What the node's interfaces bear. Undefined: not looked at, and taken to be those of the Node object, and loopback. */
  readonly nodeAddresses?: readonly string[] | undefined
}

/**
 * The UDP fronts of a state, and what serves them. Where several service ports claim one front, what serves any of them
 * counts: a flow that arrives is not cut off.
 */
export function servedFrontsOf(input: ServedFrontsInput): ServedFronts {
  const { state, family } = input
  const targets = new Map<string, Set<string>>()
  for (const port of state.services.values()) {
    if (port.protocol !== 'UDP' || port.family !== family) continue
    const serving = (state.endpoints.get(port.id) ?? []).filter(serves).map(endpointKey)
    for (const front of frontsOf(port)) {
      const key = frontKey(front)
      targets.set(key, new Set([...(targets.get(key) ?? []), ...serving]))
    }
  }
  return { family, targets, isNodePortAddress: nodePortAddressTest(input) }
}

/** The `frontKey`s of the fronts that a packet to an address and port may be for. */
export function frontKeysAt(
  { family, isNodePortAddress }: ServedFronts,
  { address, port }: { readonly address: string; readonly port: number },
): readonly string[] {
  const own = frontKey({ type: 'clusterIP', family, protocol: 'UDP', address, port })
  return isNodePortAddress(address) ? [own, frontKey(nodePortFront(family, port))] : [own]
}

const nodePortFront = (family: IpFamily, port: number): Front => ({ type: 'nodePort', family, protocol: 'UDP', port })

/**
 * Whether an endpoint still answers: more of them than the rules choose for new flows (those on other nodes and in other
 * zones, those that terminate and still serve), because a flow that is there already does well to stay where it is.
 */
const serves = ({ ready, serving, terminating }: Endpoint): boolean => ready || (serving && terminating)

/** The same addresses as the end of KUBE-SERVICES leads to KUBE-NODEPORTS. */
function nodePortAddressTest({
  state,
  config,
  family,
  nodeAddresses,
}: ServedFrontsInput): ServedFronts['isNodePortAddress'] {
  const { node } = state
  const onLocalhost = answersOnLocalhost(config, family, node)
  const chosen = nodePortAddressesOf(config, family, { node, interfaceAddresses: nodeAddresses })
  const all = chosen === 'all'
  const addresses = new Set(all ? (nodeAddresses ?? node?.addresses ?? []) : chosen)
  return (address) => (isLoopback(address) ? onLocalhost && (all || addresses.has(address)) : addresses.has(address))
}
