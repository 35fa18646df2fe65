import type { DependentRule, ProxyConfig } from '@pointsman/core'

/** A rule of another program, and what becomes of it. */
export interface OtherRule extends DependentRule {
  /** By the name of its chain. Absent: the name says nothing. */
  readonly program?: string
  readonly message: string
}

export function otherRule(
  rule: DependentRule,
  to: Pick<ProxyConfig, 'mode' | 'masqueradeBit'>,
  bit: number,
): OtherRule {
  const program = PROGRAMS.find(([, prefix]) => prefix.test(rule.chain))?.[0]
  return { ...rule, ...(program !== undefined && { program }), message: messageOf(rule, to, bit) }
}

function messageOf({ on, what }: DependentRule, to: Pick<ProxyConfig, 'mode' | 'masqueradeBit'>, bit: number): string {
  switch (on) {
    case 'chain':
      return to.mode === 'ipvs' && CHAINS_OF_IPVS.has(what)
        ? `mode ipvs has a chain ${what} with other rules: what this rule does there is not compared`
        : `mode ${to.mode} has no chain ${what}: it is left empty, and the rule does nothing`
    case 'mark':
      return to.masqueradeBit === bit
        ? `mode ${to.mode} sets this mark for packets to be masqueraded as well, but for those that come back to their own sender`
        : `mode ${to.mode} uses bit ${to.masqueradeBit} of the mark, and bit ${bit} no more`
    case 'policy':
      return what === 'KUBE-NODEPORTS'
        ? `${what} of mode iptables accepts health-check node ports, which this policy refuses; in mode ${to.mode} another rule has to`
        : `${what} of mode iptables accepts Service traffic that this policy refuses; in mode ${to.mode} another rule has to`
  }
}

/** Those with a name that mode iptables uses, too. */
const CHAINS_OF_IPVS: ReadonlySet<string> = new Set([
  'KUBE-SERVICES',
  'KUBE-POSTROUTING',
  'KUBE-MARK-MASQ',
  'KUBE-FORWARD',
])

/** Whose chains begin so. */
const PROGRAMS: readonly (readonly [program: string, prefix: RegExp])[] = [
  ['Calico', /^cali-/],
  ['Cilium', /^(?:OLD_)?CILIUM_/],
  ['Flannel', /^FLANNEL-/],
  ['kube-router', /^KUBE-(?:ROUTER|NWPLCY|POD-FW)/],
  ['Weave Net', /^WEAVE/],
  ['Antrea', /^ANTREA-/],
  ['CNI plugins', /^CNI-/],
  ['Istio', /^ISTIO_/],
  ['Docker', /^DOCKER/],
  [
    'firewalld',
    /^(?:(?:FWD[IO]?|IN|OUT|PRE|POST)_|FORWARD_(?:direct|IN|OUT|POLICIES)|INPUT_(?:direct|ZONES|POLICIES))/,
  ],
  ['ufw', /^ufw6?-/],
  ['fail2ban', /^f2b-/],
  ['kubelet', /^KUBE-(?:FIREWALL|MARK-DROP|KUBELET-CANARY)$/],
]
