import { cidrContains, parseAddress, parseCidr } from '@pointsman/core'
import type { Rule } from 'node-iptables'
import { comment, from, jumpTo } from './matches.js'
import type { PortPlan } from './port-plan.js'

/** KUBE-FW-: lets sources within the ranges on to KUBE-EXT-. The rest stays as it is, for KUBE-PROXY-FIREWALL to drop. */
export function firewallChainRules({ port, name, chains, context }: PortPlan): readonly Rule[] {
  const { loadBalancerSourceRanges: ranges, loadBalancerVIPs } = port
  const letIn = (source: string): Rule => ({
    ...from(source),
    matches: [comment(`${name} loadbalancer IP`)],
    target: jumpTo(chains.external),
  })
  return [
    ...ranges.map(letIn),
    // A node that bears the VIP sends to it from the VIP itself: let in where the node is.
    ...(ranges.some((range) => holds(range, context.nodeIp)) ? loadBalancerVIPs.map(letIn) : []),
    // Does nothing: it tells readers where the story goes on.
    { matches: [comment(`other traffic to ${name} will be dropped by KUBE-PROXY-FIREWALL`)] },
  ]
}

function holds(range: string, address: string): boolean {
  const cidr = parseCidr(range)
  const parsed = parseAddress(address)
  return cidr !== undefined && parsed !== undefined && cidrContains(cidr, parsed)
}
