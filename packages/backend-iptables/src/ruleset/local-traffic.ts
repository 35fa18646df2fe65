import { assertNever, parseCidr, type DetectLocal, type IpFamily, type NodeInfo } from '@pointsman/core'
import type { Rule } from 'node-iptables'
import { from, notFrom } from './matches.js'

/** What tells packets that pods of this node send from all others, as parts of a rule. */
export interface LocalTraffic {
  readonly ifLocal: Pick<Rule, 'source' | 'inInterface'>
  /** Undefined: every packet is local, and no rule has to ask. */
  readonly ifNotLocal: Pick<Rule, 'source' | 'inInterface'> | undefined
}

/**
 * How local traffic is told in one family. Undefined: it cannot be told, and then no rule asks: nothing is masqueraded for
 * coming from elsewhere, and no pod is let past the external traffic policy. The modes are kube-proxy's detectLocalMode.
 */
export function localTrafficOf(
  detectLocal: DetectLocal,
  { node, family }: { readonly node: NodeInfo | undefined; readonly family: IpFamily },
): LocalTraffic | undefined {
  switch (detectLocal.mode) {
    case 'None':
      return undefined
    case 'ClusterCIDR':
      return byCidr(detectLocal.cidrs, family)
    case 'NodeCIDR':
      return byCidr(node?.podCIDRs ?? [], family)
    case 'BridgeInterface':
      return byInterface(detectLocal.bridge)
    case 'InterfaceNamePrefix':
      // To iptables a name that ends in a plus stands for all that begin so.
      return byInterface(`${detectLocal.prefix}+`)
    default:
      return assertNever(detectLocal)
  }
}

/**
 * kube-proxy uses the first of each family. Where that holds every address, it asks for packets from none: iptables on
 * nf_tables refuses such a rule, and the whole restore with it. Here no rule asks.
 */
function byCidr(texts: readonly string[], family: IpFamily): LocalTraffic | undefined {
  const cidr = texts.map(parseCidr).find((parsed) => parsed?.family === family)
  if (cidr === undefined) return undefined
  return { ifLocal: from(cidr.text), ifNotLocal: cidr.prefix === 0 ? undefined : notFrom(cidr.text) }
}

const byInterface = (name: string): LocalTraffic => ({
  ifLocal: { inInterface: { name, negated: false } },
  ifNotLocal: { inInterface: { name, negated: true } },
})
