import type { Rule } from 'node-iptables'
import { ACCEPT, comment, jumpTo, protocolOf, to, toLocal, toPort } from './matches.js'
import { countedBy, LOCALHOST_ACCEPTED } from './nfacct-counters.js'
import { refusal, type PortPlan } from './port-plan.js'

/**
 * KUBE-NODEPORTS in nat: the node port leads to KUBE-EXT-, whatever the address: which addresses count was asked on the way
 * here. Source ranges are not: clusters rely on it.
 */
export function captureNodePort({ port, name, chains, context, usesExternal }: PortPlan): readonly Rule[] {
  if (!usesExternal || port.nodePort === 0) return []
  const matched: Rule = {
    ...protocolOf(port.protocol),
    matches: [comment(name), toPort(port.protocol, port.nodePort)],
    target: jumpTo(chains.external),
  }
  // Tells by a counter whether anybody uses node ports on localhost, which are to go away some day.
  const counted: Rule = {
    ...to('127.0.0.0/8'),
    ...matched,
    matches: [...matched.matches, countedBy(LOCALHOST_ACCEPTED)],
  }
  return context.nfacct && context.localhostNodePorts ? [counted, matched] : [matched]
}

/** KUBE-EXTERNAL-SERVICES: a node port without endpoints, on any of the node's addresses. */
export function refuseNodePort(plan: PortPlan): readonly Rule[] {
  const { port, externalChain } = plan
  if (port.nodePort === 0 || externalChain !== undefined) return []
  const { because, target } = refusal(plan)
  return [
    {
      ...protocolOf(port.protocol),
      matches: [comment(because), toLocal, toPort(port.protocol, port.nodePort)],
      target,
    },
  ]
}

/**
 * KUBE-NODEPORTS in filter: load balancers ask this port which nodes have endpoints, and the answer "none here" counts as
 * well: let in whatever the policy of INPUT is, and with or without endpoints.
 */
export const acceptHealthChecks = ({ port, name }: PortPlan): readonly Rule[] =>
  port.healthCheckNodePort === 0
    ? []
    : [
        {
          ...protocolOf('TCP'),
          matches: [comment(`${name} health check node port`), toPort('TCP', port.healthCheckNodePort)],
          target: ACCEPT,
        },
      ]
