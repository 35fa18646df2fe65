import { formatRule, type Match, type Rule } from 'node-iptables'

/**
 * What a rule does to packets, as text: two rules are equal when their meanings are. The order of matches does not count,
 * nor do nfacct counters, which are there where the kernel has them, nor a match of a protocol that asks for no port: other
 * versions leave it out.
 */
export function meaningOf(rule: Rule, { comments }: { readonly comments: boolean } = { comments: true }): string {
  const counted = rule.matches.filter((match) => says(match) && (comments || match.type !== 'comment'))
  const sorted = counted.map((match) => formatRule({ matches: [match] })).toSorted()
  return `${formatRule({ ...rule, matches: [] })} | ${sorted.join(' ')}`
}

/** Whether a rule is there for its counter alone: without it, packets fare the same. */
export const isForCounting = ({ matches }: Rule): boolean =>
  matches.some((match) => match.type === 'nfacct' && match.name === LOCALHOST)

const LOCALHOST = 'localhost_nps_accepted_pkts'

function says(match: Match): boolean {
  if (match.type === 'nfacct') return false
  if (match.type !== 'tcp' && match.type !== 'udp' && match.type !== 'sctp') return true
  return match.source !== undefined || match.destination !== undefined || match.flags !== undefined
}
