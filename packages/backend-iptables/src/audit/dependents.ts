import type { DependentRule, LoadedRules, ProxyConfig } from '@pointsman/core'
import { formatRule, type Match, type Rule, type Target } from 'node-iptables'
import { chainOf, isOurChain, isOurJump } from '../chain-owner.js'
import { loadedTables } from '../loaded-tables.js'

/**
 * Rules of other programs that lead to chains of the proxy, that read or set its masquerade mark, and chains of the kernel whose
 * policy refuses what KUBE-FORWARD and KUBE-NODEPORTS accept. kubelet's chains are its own.
 */
export function dependentRules(
  rules: LoadedRules,
  { masqueradeBit }: Pick<ProxyConfig, 'masqueradeBit'>,
): readonly DependentRule[] {
  const mark = 2 ** masqueradeBit
  const found: DependentRule[] = []
  for (const { table, chains } of loadedTables(rules).tables) {
    for (const { chain, policy, rules: inChain } of chains) {
      if (isOurChain(chain) || KUBELETS.has(chain)) continue
      const place = { table, chain }
      if (table === 'filter' && ACCEPTED_IN.has(chain) && policy === 'DROP')
        found.push({ ...place, line: `:${chain} ${policy}`, on: 'policy', what: ACCEPTED_IN.get(chain) ?? '' })
      for (const { rule } of inChain) {
        if (isOurJump(rule)) continue
        const line = `-A ${chain} ${formatRule(rule)}`
        const leadsTo = chainOf(rule)
        if (leadsTo !== undefined && isOurChain(leadsTo)) found.push({ ...place, line, on: 'chain', what: leadsTo })
        const bits = bitsOf(rule, mark)
        if (bits !== undefined) found.push({ ...place, line, on: 'mark', what: bits })
      }
    }
  }
  return found
}

const KUBELETS: ReadonlySet<string> = new Set([
  'KUBE-FIREWALL',
  'KUBE-MARK-DROP',
  'KUBE-KUBELET-CANARY',
  'KUBE-IPTABLES-HINT',
])

/** Where the proxy's rules accept what a policy would refuse, and in which of its chains. */
const ACCEPTED_IN: ReadonlyMap<string, string> = new Map([
  ['FORWARD', 'KUBE-FORWARD'],
  ['INPUT', 'KUBE-NODEPORTS'],
])

/** The value and the mask with which a rule reads or sets a bit of the mark; undefined: it does neither. */
function bitsOf({ matches, target }: Rule, mark: number): string | undefined {
  for (const { value, mask } of [...matches.flatMap(marksIn), ...marksSet(target)]) {
    // A mask of all bits is what rules have that name none: then the value says which bits are meant.
    const isMeant = mask === ALL_BITS ? (value & mark) !== 0 : (mask & mark) !== 0
    if (isMeant) return `${hex(value)}/${hex(mask)}`
  }
  return undefined
}

interface Bits {
  readonly value: number
  readonly mask: number
}

const ALL_BITS = 0xff_ff_ff_ff
const hex = (value: number): string => `0x${(value >>> 0).toString(16)}`

const marksIn = (match: Match): readonly Bits[] =>
  match.type === 'mark' ? [{ value: match.value, mask: match.mask >>> 0 }] : []

const marksSet = (target: Target | undefined): readonly Bits[] =>
  target?.type === 'MARK' ? [{ value: target.value, mask: target.mask >>> 0 }] : []
