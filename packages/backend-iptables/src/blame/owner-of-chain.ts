import type { Endpoint, ServicePort, State } from '@pointsman/core'
import { endpointChainName, isServiceChain, serviceChainNames } from '../ruleset/chain-names.js'

/** Whose a chain is. */
export interface ChainOwner {
  readonly port: ServicePort
  /** Of a KUBE-SEP- chain: the endpoint that it leads to. */
  readonly endpoint?: Endpoint
}

/**
 * Whose a chain with a hash is in a state, also where none of its rules has a comment: the name of each service port, and
 * for KUBE-SEP- each of its endpoints, is hashed until one fits. Both families have chains of one name: the first is
 * answered that `state.services` has. Undefined where none fits: the chain is of another time, or of no service.
 */
export function ownerOfChain(
  chain: string,
  { services, endpoints }: Pick<State, 'services' | 'endpoints'>,
): ChainOwner | undefined {
  if (!isServiceChain(chain)) return undefined
  for (const port of services.values()) {
    if (!isEndpointChain(chain)) {
      if (Object.values(serviceChainNames(port)).includes(chain)) return { port }
      continue
    }
    const endpoint = endpoints.get(port.id)?.find((each) => endpointChainName(port, each) === chain)
    if (endpoint !== undefined) return { port, endpoint }
  }
  return undefined
}

/** KUBE-SEP-: one endpoint's. */
export const isEndpointChain = (chain: string): boolean => chain.startsWith('KUBE-SEP-')
