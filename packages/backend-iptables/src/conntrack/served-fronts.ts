import {
  endpointKey,
  frontKey,
  frontsOf,
  answersOnLocalhost,
  isLoopback,
  nodePortAddressesOf,
  type Endpoint,
  type Front,
  type IpFamily,
  type ProxyConfig,
  type State,
} from '@pointsman/core'

/** What flows of one family are judged by: a copy, so that the state may move on. */
export interface ServedFronts {
  readonly family: IpFamily
  /** By `frontKey`, the `endpointKey`s of what serves each UDP front. None: the front is there, and nothing serves it. */
  readonly targets: ReadonlyMap<string, ReadonlySet<string>>
  /** In canonical spelling. */
  readonly nodePortAddresses: ReadonlySet<string>
  /** Node ports answer on all of 127.0.0.0/8. */
  readonly anyLoopback: boolean
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
  return { family, targets, ...nodePortAddressesIn(input) }
}

/** The `frontKey`s of the fronts that a packet to an address and port may be for. */
export function frontKeysAt(
  { family, nodePortAddresses, anyLoopback }: ServedFronts,
  { address, port }: { readonly address: string; readonly port: number },
): readonly string[] {
  const own = frontKey({ type: 'clusterIP', family, protocol: 'UDP', address, port })
  const mayBeNodePort = nodePortAddresses.has(address) || (anyLoopback && isLoopback(address))
  return mayBeNodePort ? [own, frontKey(nodePortFront(family, port))] : [own]
}

/** Whether two judge every flow alike. */
export const servesAlike = (a: ServedFronts, b: ServedFronts): boolean =>
  a.family === b.family &&
  a.anyLoopback === b.anyLoopback &&
  isSameSet(a.nodePortAddresses, b.nodePortAddresses) &&
  a.targets.size === b.targets.size &&
  [...a.targets].every(([front, targets]) => isSameSet(targets, b.targets.get(front)))

const isSameSet = (a: ReadonlySet<string>, b: ReadonlySet<string> | undefined): boolean =>
  b?.size === a.size && [...a].every((each) => b.has(each))

const nodePortFront = (family: IpFamily, port: number): Front => ({ type: 'nodePort', family, protocol: 'UDP', port })

/**
 * Whether an endpoint still answers: more of them than the rules choose for new flows (those on other nodes and in other
 * zones, those that terminate and still serve), because a flow that is there already does well to stay where it is.
 */
const serves = ({ ready, serving, terminating }: Endpoint): boolean => ready || (serving && terminating)

/** The same addresses as the end of KUBE-SERVICES leads to KUBE-NODEPORTS. */
function nodePortAddressesIn({
  state: { node },
  config,
  family,
  nodeAddresses,
}: ServedFrontsInput): Pick<ServedFronts, 'nodePortAddresses' | 'anyLoopback'> {
  const onLocalhost = answersOnLocalhost(config, family, node)
  const chosen = nodePortAddressesOf(config, family, { node, interfaceAddresses: nodeAddresses })
  const addresses = chosen === 'all' ? (nodeAddresses ?? node?.addresses ?? []) : chosen
  return {
    nodePortAddresses: new Set(addresses.filter((address) => onLocalhost || !isLoopback(address))),
    anyLoopback: onLocalhost && chosen === 'all',
  }
}
