import type { Match } from 'node-iptables'
import { CHAINS } from './chain-names.js'
import { comment, isNew, jumpTo } from './matches.js'
import type { JumpRule, Table } from './ruleset.js'

/**
 * The rules that lead from the kernel's chains to ours, in the order in which kube-proxy leaves them: it prepends one
 * after the other, and kubelet's last. The filter table asks new connections alone, since the others were let in already.
 */
export const JUMPS: readonly JumpRule[] = [
  ...inChain('filter', 'INPUT', [
    [CHAINS.firewall, []],
    [CHAINS.proxyFirewall, [isNew, comment('kubernetes load balancer firewall')]],
    // Not of new connections alone: a health check may keep its connection.
    [CHAINS.nodePorts, [comment('kubernetes health check service ports')]],
    [CHAINS.externalServices, [isNew, comment('kubernetes externally-visible service portals')]],
  ]),
  ...inChain('filter', 'FORWARD', [
    [CHAINS.proxyFirewall, [isNew, comment('kubernetes load balancer firewall')]],
    [CHAINS.forward, [comment('kubernetes forwarding rules')]],
    [CHAINS.services, [isNew, comment('kubernetes service portals')]],
    [CHAINS.externalServices, [isNew, comment('kubernetes externally-visible service portals')]],
  ]),
  ...inChain('filter', 'OUTPUT', [
    [CHAINS.firewall, []],
    [CHAINS.proxyFirewall, [isNew, comment('kubernetes load balancer firewall')]],
    [CHAINS.services, [isNew, comment('kubernetes service portals')]],
  ]),
  // What arrives, and what the node itself sends.
  ...inChain('nat', 'PREROUTING', [[CHAINS.services, [comment('kubernetes service portals')]]]),
  ...inChain('nat', 'OUTPUT', [[CHAINS.services, [comment('kubernetes service portals')]]]),
  ...inChain('nat', 'POSTROUTING', [[CHAINS.postrouting, [comment('kubernetes postrouting rules')]]]),
]

function inChain(
  table: Table,
  chain: string,
  jumps: readonly (readonly [to: string, matches: readonly Match[]])[],
): readonly JumpRule[] {
  return jumps.map(([to, matches]) => ({ table, chain, rule: { matches, target: jumpTo(to) } }))
}
