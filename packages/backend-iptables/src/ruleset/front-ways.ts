import { frontsOf, type Endpoint, type Front, type ServicePort } from '@pointsman/core'
import type { RulesetContext } from './context.js'
import { portPlan, type PortPlan } from './port-plan.js'

/** Where the rules lead what is sent to one front of a service port. */
export interface FrontWay {
  readonly front: Front
  /** The service port's own chain that it is handed to in nat; absent: none, and nothing is translated. */
  readonly chain?: string
  /** Those that it is spread over, each with the same odds. */
  readonly endpoints: readonly Endpoint[]
  /** What becomes of it where there are no such endpoints: the sender is told, or not. */
  readonly refused?: 'rejected' | 'dropped'
  /** Those that processes of this node reach, where policy Local gives others fewer, and whether its pods do too. */
  readonly fromHere?: { readonly endpoints: readonly Endpoint[]; readonly pods: boolean }
  /** Sources that are let in; absent: all. */
  readonly sourceRanges?: readonly string[]
}

/** The ways of all fronts of a service port, in the order of `frontsOf`: what its rules say, in a line a front. */
export function frontWays(
  port: ServicePort,
  endpoints: readonly Endpoint[],
  context: RulesetContext,
): readonly FrontWay[] {
  const plan = portPlan(port, endpoints, context)
  return frontsOf(port).map((front) =>
    front.type === 'clusterIP' ? internalWay(plan, front) : externalWay(plan, front),
  )
}

function internalWay(plan: PortPlan, front: Front): FrontWay {
  const { port, selection, internalChain } = plan
  if (internalChain === undefined) return { front, endpoints: [], refused: refusedBy(plan) }
  return { front, chain: internalChain, endpoints: ofPolicy(port.internalTrafficPolicy, selection) }
}

function externalWay(plan: PortPlan, front: Front): FrontWay {
  const { port, context, chains, selection, usesExternal, usesFirewall, externalChain } = plan
  const isLocal = port.externalTrafficPolicy === 'Local'
  const guarded = usesFirewall && front.type === 'loadBalancerIP'
  return {
    front,
    ...(usesExternal && { chain: guarded ? chains.firewall : chains.external }),
    endpoints: externalChain === undefined ? [] : ofPolicy(port.externalTrafficPolicy, selection),
    ...(externalChain === undefined && { refused: refusedBy(plan) }),
    // Where ranges guard the way, these have to be within them like everybody.
    ...(isLocal &&
      usesExternal &&
      !guarded && { fromHere: { endpoints: selection.cluster, pods: context.localTraffic !== undefined } }),
    ...(guarded && { sourceRanges: port.loadBalancerSourceRanges }),
  }
}

const ofPolicy = (policy: 'Cluster' | 'Local', { cluster, local }: PortPlan['selection']): readonly Endpoint[] =>
  policy === 'Cluster' ? cluster : local

const refusedBy = ({ selection }: PortPlan): 'rejected' | 'dropped' => (selection.hasEndpoints ? 'dropped' : 'rejected')
