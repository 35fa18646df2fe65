import { endpointKey } from '@pointsman/core'
import { isTranslated, type Flow } from './flow.js'
import { frontKeysAt, type ServedFronts } from './served-fronts.js'

/** What decides which flows lost their target. */
export interface FlowRules {
  readonly served: ServedFronts
  /** `frontKey`s of fronts that were there before. Those that are there now are judged as such. */
  readonly formerFronts: ReadonlySet<string>
}

/** The flows that lead to what no longer serves. */
export const planFlowDeletions = ({
  flows,
  ...rules
}: FlowRules & { readonly flows: readonly Flow[] }): readonly Flow[] => flows.filter((flow) => isStale(flow, rules))

/**
 * Whether a flow has to go, so that its next packet meets the rules anew: UDP has no end that conntrack could see, and a
 * flow that is used never expires.
 *
 * Its original destination is a front, and its packets go to nothing that serves that front; also where they go through
 * untranslated, because the flow is older than the endpoints. Where nothing serves it, or it is a front no more, those
 * alone that are translated: others went their own way by the rules, such as the node's own packets to a load balancer.
 *
 * Node ports count on the addresses alone on which they answer: another destination with that port is somebody else's
 * flow. So is one that is tracked in a zone of its own and goes untranslated: Open vSwitch tracks packets before they come
 * to iptables.
 */
export function isStale(flow: Flow, { served, formerFronts }: FlowRules): boolean {
  const { family, protocol, zone, original, reply } = flow
  if (protocol !== 'udp' || family !== served.family) return false
  const keys = frontKeysAt(served, { address: original.dst, port: original.dport })
  if (!keys.some((key) => served.targets.has(key) || formerFronts.has(key))) return false
  const target = endpointKey({ address: reply.src, port: reply.sport })
  const serving = keys.flatMap((key) => served.targets.get(key) ?? [])
  if (serving.some((targets) => targets.has(target))) return false
  return isTranslated(flow) || (zone === 0 && serving.some((targets) => targets.size > 0))
}
