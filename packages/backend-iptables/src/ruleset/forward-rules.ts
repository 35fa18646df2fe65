import type { Rule } from 'node-iptables'
import type { RulesetContext } from './context.js'
import { ACCEPT, comment, DROP } from './matches.js'
import { INVALID_DROPPED, countedBy } from './nfacct-counters.js'

/**
 * KUBE-FORWARD: what becomes of forwarded packets that have to do with services, whatever the policy of FORWARD is.
 */
export const forwardRules = (context: RulesetContext): readonly Rule[] => [
  ...dropInvalid(context),
  acceptMasqueraded(context),
  ACCEPT_KNOWN_CONNECTIONS,
]

/**
 * A packet that conntrack cannot place is not translated back, so that the peer of a service connection would see an
 * address that it never asked, and reset the connection (kubernetes#74839). With nf_conntrack_tcp_be_liberal, packets out
 * of the window are not called invalid in the first place (kubernetes#117924).
 */
const dropInvalid = ({ dropInvalid: drop, nfacct }: RulesetContext): readonly Rule[] =>
  drop
    ? [
        {
          matches: [
            { type: 'conntrack', states: ['INVALID'], negated: false },
            ...(nfacct ? [countedBy(INVALID_DROPPED)] : []),
          ],
          target: DROP,
        },
      ]
    : []

/** Node ports have to work where the policy of FORWARD is DROP: what is marked for masquerading goes to a service. */
const acceptMasqueraded = ({ masqueradeMark }: RulesetContext): Rule => ({
  matches: [
    comment('kubernetes forwarding rules'),
    { type: 'mark', value: masqueradeMark, mask: masqueradeMark, negated: false },
  ],
  target: ACCEPT,
})

/** Later packets of a connection, and answers, do not bear the mark. */
const ACCEPT_KNOWN_CONNECTIONS: Rule = {
  matches: [
    comment('kubernetes forwarding conntrack rule'),
    { type: 'conntrack', states: ['RELATED', 'ESTABLISHED'], negated: false },
  ],
  target: ACCEPT,
}
