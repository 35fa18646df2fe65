import type { Rule } from 'node-iptables'
import type { RulesetContext } from './context.js'
import { comment, RETURN } from './matches.js'

/**
 * KUBE-MARK-MASQ: asks for masquerading. The mark waits for POSTROUTING, where the source address may be rewritten;
 * one bit of it is ours, the others are left as they are.
 */
export const markMasqRules = ({ masqueradeMark }: Pick<RulesetContext, 'masqueradeMark'>): readonly Rule[] => [
  { matches: [], target: { type: 'MARK', value: masqueradeMark, mask: masqueradeMark } },
]

/** KUBE-POSTROUTING: gives marked packets the node's address as their source, so that answers come back this way. */
export const postroutingRules = ({
  masqueradeMark,
  randomFully,
}: Pick<RulesetContext, 'masqueradeMark' | 'randomFully'>): readonly Rule[] => [
  {
    matches: [{ type: 'mark', value: masqueradeMark, mask: masqueradeMark, negated: true }],
    target: RETURN,
  },
  // Flips the bit, which is set here: a packet that goes through the stack again (a tunnel's) must not be masqueraded twice.
  { matches: [], target: { type: 'MARK', value: masqueradeMark, mask: 0 } },
  {
    matches: [comment('kubernetes service traffic requiring SNAT')],
    // Two connections that ask for one port at the same time would race for it, and one lose its first packet.
    target: { type: 'MASQUERADE', random: false, randomFully },
  },
]
