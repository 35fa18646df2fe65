import type { Rule } from 'node-iptables'
import { CHAINS } from './chain-names.js'
import type { RulesetContext } from './context.js'
import { comment, jumpTo, notTo, to, toLocal } from './matches.js'
import { isLoopback } from '@pointsman/core'

/**
 * The end of KUBE-SERVICES in nat: what is sent to the node itself, and to no service's address, may be for a node port.
 * Last, because a service's address may be one of the node's. The rules name no port: KUBE-NODEPORTS does.
 */
export function nodePortDispatchRules(
  context: Pick<RulesetContext, 'family' | 'localhostNodePorts' | 'nodePortAddresses'>,
): readonly Rule[] {
  const { nodePortAddresses } = context
  if (nodePortAddresses === 'all') return [onAllAddresses(context)]
  return nodePortAddresses
    .filter((address) => !isLoopback(address) || context.localhostNodePorts)
    .map((address) => ({ ...to(address), matches: [MUST_BE_LAST], target: jumpTo(CHAINS.nodePorts) }))
}

/** Loopback is left out where it cannot work: in IPv6, and in IPv4 without route_localnet. */
const onAllAddresses = ({
  family,
  localhostNodePorts,
}: Pick<RulesetContext, 'family' | 'localhostNodePorts'>): Rule => ({
  ...(localhostNodePorts ? {} : notTo(family === 'IPv4' ? '127.0.0.0/8' : '::1/128')),
  matches: [MUST_BE_LAST, toLocal],
  target: jumpTo(CHAINS.nodePorts),
})

const MUST_BE_LAST = comment('kubernetes service nodeports; NOTE: this must be the last rule in this chain')
