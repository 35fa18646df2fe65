import type { Rule } from 'node-iptables'
import { CHAINS, isBaseChain, isServiceChain } from '../ruleset/layout.js'

/** Whether a chain is the proxy's alone. KUBE-FIREWALL is not: kubelet makes it, and puts rules into it, as well. */
export const isOurChain = (chain: string): boolean =>
  chain !== CHAINS.firewall && (isBaseChain(chain) || isServiceChain(chain))

/** Whether a kubelet has KUBE-MARK-DROP for its own, by the rules of KUBE-FIREWALL. */
export const hasMarkDrop = (firewall: readonly Rule[]): boolean =>
  firewall.some(
    ({ matches, target }) =>
      target?.type === 'jump' && target.chain === 'DROP' && matches.some(({ type }) => type === 'mark'),
  )

/** The chain that a rule leads to. Undefined: none, or a target that is no chain. */
export const chainOf = ({ target }: Rule): string | undefined =>
  target?.type === 'jump' || target?.type === 'goto' ? target.chain : undefined

/**
 * Whether a rule in a chain that is not ours is of a proxy's making: it leads to one of ours and asks for nothing but new
 * connections. Any other rule that leads to our chains is somebody else's.
 */
export function isOurJump(rule: Rule): boolean {
  const chain = chainOf(rule)
  if (chain === undefined || !isOurChain(chain)) return false
  const { matches, target, ...conditions } = rule
  return (
    target?.type === 'jump' &&
    Object.values(conditions).every((condition) => condition === undefined) &&
    matches.some((match) => match.type === 'comment' && match.comment.startsWith('kubernetes ')) &&
    matches.every((match) => match.type === 'comment' || (match.type === 'conntrack' && !match.negated))
  )
}
