import type { SavedTable } from 'node-iptables'
import { sizeOf } from '../audit/text-tables.js'
import { isOurChain, isOurJump } from './ownership.js'

/**
 * How many rules of the proxy there are: those in its chains, and the jumps to them. What is kubelet's as well does not
 * count: KUBE-FIREWALL, and what leads to it. A sync counts the same.
 */
export const countRules = (tables: readonly SavedTable[]): number =>
  tables
    .flatMap(({ chains }) => chains)
    .reduce(
      (sum, chain) =>
        sum + (isOurChain(chain.chain) ? sizeOf(chain) : chain.rules.filter(({ rule }) => isOurJump(rule)).length),
      0,
    )
