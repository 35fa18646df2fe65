import { isLoopback } from '@pointsman/core'
import type { Match, Rule } from 'node-iptables'
import type { RulesetContext } from './context.js'
import { CHAINS, DROP_MARKS, type LayoutChain } from './layout.js'
import { ACCEPT, comment, DROP, jumpTo, notFrom, notTo, RETURN, to, toLocal } from './matches.js'
import type { BaseChain, BaseRules } from './ruleset.js'

/** The chains and rules that are there whatever services there are. */
export const planBase = (context: RulesetContext): BaseRules => ({
  chains: context.layout.baseChains.map((chain): BaseChain => ({
    ...chain,
    first: [],
    last: [],
    ...rulesOf(chain, context),
  })),
  jumps: context.layout.jumps,
})

/** What a chain of a layout holds besides the rules of service ports. */
function rulesOf({ table, chain }: LayoutChain, context: RulesetContext): Partial<BaseChain> {
  const isClassic = context.layout.name === 'classic'
  switch (`${table} ${chain}`) {
    case `filter ${CHAINS.forward}`:
      return { first: forwardRules(context) }
    case `filter ${CHAINS.firewall}`:
      return isClassic
        ? { first: [dropMarked(context), ...martianRules(context)] }
        : { first: martianRules(context), retired: DROP_MARKED }
    case `nat ${CHAINS.services}`:
      return { last: nodePortDispatchRules(context) }
    case `nat ${CHAINS.postrouting}`:
      return { first: postroutingRules(context) }
    case `nat ${CHAINS.markMasq}`:
      return { first: markMasqRules(context) }
    case `nat ${CHAINS.markDrop}`:
      return { first: [markToDrop(context)] }
    default:
      return {}
  }
}

/**
 * KUBE-FORWARD: what becomes of forwarded packets that have to do with services, whatever the policy of FORWARD is.
 */
const forwardRules = (context: RulesetContext): readonly Rule[] => [
  ...dropInvalid(context),
  acceptMasqueraded(context),
  ...(context.layout.name === 'classic'
    ? // Of pods' traffic alone once, from them and to them; kube-proxy 1.20 no longer asks for addresses.
      ['conntrack pod source rule', 'conntrack pod destination rule'].map(acceptKnownConnections)
    : [acceptKnownConnections('conntrack rule')]),
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

/** Later packets of a connection, and answers, do not have the mark. */
const acceptKnownConnections = (name: string): Rule => ({
  matches: [
    comment(`kubernetes forwarding ${name}`),
    { type: 'conntrack', states: ['RELATED', 'ESTABLISHED'], negated: false },
  ],
  target: ACCEPT,
})

/** KUBE-MARK-DROP in layout `classic`: the nat table cannot drop, so that it marks. What kubelets before 1.28 write. */
const markToDrop = ({ dropMark }: Pick<RulesetContext, 'dropMark'>): Rule => ({
  matches: [],
  target: { type: 'MARK', value: dropMark, mask: dropMark },
})

/**
 * KUBE-FIREWALL in layout `classic`: drops what KUBE-MARK-DROP marked, where no kubelet's rule does. The comment is the proxy's own, so
 * that the rule can go with the layout and kubelet's stays.
 */
const dropMarked = ({ dropMark }: Pick<RulesetContext, 'dropMark'>): Rule => ({
  matches: [
    comment('kubernetes service traffic marked for dropping'),
    { type: 'mark', value: dropMark, mask: dropMark, negated: false },
  ],
  target: DROP,
})

/** With whichever mark. */
export const DROP_MARKED: readonly Rule[] = DROP_MARKS.map((dropMark) => dropMarked({ dropMark }))

/**
 * KUBE-FIREWALL: node ports on localhost need route_localnet, which lets neighbours send to the node's 127.0.0.0/8
 * (CVE-2020-8558). So packets from elsewhere to loopback are dropped, unless they belong to a connection of this node.
 * kubelet writes the same rule: its words are not ours to choose. IPv6 has no route_localnet, and no such rule.
 */
const martianRules = ({
  family,
  localhostNodePorts,
}: Pick<RulesetContext, 'family' | 'localhostNodePorts'>): readonly Rule[] =>
  localhostNodePorts && family === 'IPv4'
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

/**
 * KUBE-MARK-MASQ: asks for masquerading. The mark waits for POSTROUTING, where the source address may be rewritten;
 * one bit of it is ours, the others are left as they are.
 */
const markMasqRules = ({ masqueradeMark }: Pick<RulesetContext, 'masqueradeMark'>): readonly Rule[] => [
  { matches: [], target: { type: 'MARK', value: masqueradeMark, mask: masqueradeMark } },
]

/** KUBE-POSTROUTING: gives marked packets the node's address as their source, so that answers come back this way. */
const postroutingRules = ({
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

/**
 * The end of KUBE-SERVICES in nat: what is sent to the node itself, and to no service's address, may be for a node port.
 * Last, because a service's address may be one of the node's. The rules name no port: KUBE-NODEPORTS does.
 */
function nodePortDispatchRules(
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

/** The nfacct objects that kube-proxy 1.36 counts in: two of its metrics are read from them. */
export const INVALID_DROPPED = 'ct_state_invalid_dropped_pkts'
export const LOCALHOST_ACCEPTED = 'localhost_nps_accepted_pkts'
export const NFACCT_COUNTERS = [INVALID_DROPPED, LOCALHOST_ACCEPTED] as const

/** Counts what all matches before it took. The rule is refused where the object does not exist. */
export const countedBy = (name: (typeof NFACCT_COUNTERS)[number]): Match => ({ type: 'nfacct', name })
