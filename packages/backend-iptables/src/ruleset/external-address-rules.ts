import type { Rule, Target } from 'node-iptables'
import { comment, DROP, jumpTo, protocolOf, to, toPort } from './matches.js'
import { refusal, type PortPlan } from './port-plan.js'

/** KUBE-SERVICES in nat: what is sent to an external IP goes to KUBE-EXT-. */
export const captureExternalIps = (plan: PortPlan): readonly Rule[] =>
  plan.usesExternal
    ? toAddresses(plan, plan.port.externalIPs, {
        because: `${plan.name} external IP`,
        target: jumpTo(plan.chains.external),
      })
    : []

/** KUBE-SERVICES in nat: what is sent to a load balancer's address goes to KUBE-EXT-, by KUBE-FW- where ranges guard it. */
export const captureLoadBalancer = (plan: PortPlan): readonly Rule[] =>
  plan.usesExternal
    ? toAddresses(plan, plan.port.loadBalancerVIPs, {
        because: `${plan.name} loadbalancer IP`,
        target: jumpTo(plan.usesFirewall ? plan.chains.firewall : plan.chains.external),
      })
    : []

/**
 * KUBE-PROXY-FIREWALL: what KUBE-FW- did not let on still bears the load balancer's address, and is dropped by it: the nat
 * table cannot drop.
 */
export const dropOutsideRanges = (plan: PortPlan): readonly Rule[] =>
  plan.usesFirewall
    ? toAddresses(plan, plan.port.loadBalancerVIPs, {
        because: `${plan.name} traffic not accepted by ${plan.chains.firewall}`,
        target: DROP,
      })
    : []

/**
 * KUBE-EXTERNAL-SERVICES: external addresses without endpoints. Pods and the node itself may have been served before: their
 * packets bear an endpoint's address by now, and do not match.
 */
export function refuseExternalAddresses(plan: PortPlan): readonly Rule[] {
  if (plan.externalChain !== undefined) return []
  return toAddresses(plan, [...plan.port.externalIPs, ...plan.port.loadBalancerVIPs], refusal(plan))
}

const toAddresses = (
  { port }: PortPlan,
  addresses: readonly string[],
  { because, target }: { readonly because: string; readonly target: Target },
): readonly Rule[] =>
  addresses.map((address) => ({
    ...to(address),
    ...protocolOf(port.protocol),
    matches: [comment(because), toPort(port.protocol, port.port)],
    target,
  }))
