import type { Rule } from 'node-iptables'
import type { RulesetContext } from './context.js'
import { comment, DROP, notFrom, to } from './matches.js'

/**
 * KUBE-FIREWALL: node ports on localhost need route_localnet, which lets neighbours send to the node's 127.0.0.0/8
 * (CVE-2020-8558). So packets from elsewhere to loopback are dropped, unless they belong to a connection of this node.
 * kubelet writes the same rule: its words are not ours to choose. IPv6 has no route_localnet, and no such rule.
 */
export const martianRules = ({ localhostNodePorts }: Pick<RulesetContext, 'localhostNodePorts'>): readonly Rule[] =>
  localhostNodePorts
    ? [
        {
          ...notFrom('127.0.0.0/8'),
          ...to('127.0.0.0/8'),
          matches: [
            comment('block incoming localnet connections'),
            { type: 'conntrack', states: ['RELATED', 'ESTABLISHED', 'DNAT'], negated: true },
          ],
          target: DROP,
        },
      ]
    : []
