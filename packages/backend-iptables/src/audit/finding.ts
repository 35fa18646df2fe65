import type { AuditFinding, FindingKind } from '@pointsman/core'
import type { OwnedRule } from '../render/owned-rules.js'
import { CHAINS } from '../ruleset/layout.js'

/** A finding in the tables of one family, of which the tables do not know the name. */
export interface TableFinding extends Omit<AuditFinding, 'family' | 'variant'> {
  readonly type: FindingType
  readonly expected?: readonly OwnedRule[] | undefined
  readonly found?: readonly OwnedRule[] | undefined
}

/** What an audit can find, and what it means. A name is a contract: added, not renamed. */
export const AUDIT_FINDINGS = {
  MISSING_TABLE: {
    meaning: 'the table is missing',
    nouns: ['missing table', 'missing tables'],
    cause: 'made',
  },
  NO_CHAINS: {
    meaning: "the table has none of the proxy's chains",
    nouns: ['table without any chain of the proxy', 'tables without any chain of the proxy'],
    cause: 'made',
  },
  MISSING_CHAIN: { meaning: 'the chain is missing', nouns: ['missing chain', 'missing chains'], cause: 'made' },
  MISSING_RULE: { meaning: 'the rule is missing', nouns: ['missing rule', 'missing rules'], cause: 'made' },
  MISSING_JUMP: {
    meaning: "no rule of the built-in chain jumps to the proxy's chain: no packet reaches its rules",
    nouns: ['missing jump', 'missing jumps'],
    cause: 'made',
  },
  EXTRA_JUMP: {
    meaning: "a rule of the built-in chain jumps to the proxy's chain as only an older proxy has it",
    nouns: ['extra jump', 'extra jumps'],
    cause: 'made',
  },
  CHANGED_RULE: {
    meaning: 'the rule differs from the expected one',
    nouns: ['changed rule', 'changed rules'],
    cause: 'changed',
  },
  OUT_OF_ORDER: {
    meaning:
      'the rule is in the wrong position: an earlier rule matches its packets first, or it matches those of a later one',
    nouns: ['rule out of order', 'rules out of order'],
    cause: 'made',
  },
  DUPLICATE_RULE: {
    meaning: 'the rule is present more than once',
    nouns: ['duplicate rule', 'duplicate rules'],
    cause: 'made',
  },
  LEFT_OVER_CHAIN: {
    meaning: 'a chain of a service port or endpoint that no longer exists',
    nouns: ['chain left over', 'chains left over'],
    cause: 'emptied',
  },
  LEFT_OVER_RULE: {
    meaning: 'a rule of a service port or frontend that no longer exists',
    nouns: ['rule left over', 'rules left over'],
    cause: 'removed',
  },
  FOREIGN_RULE: {
    meaning: 'a rule that no proxy writes, in a chain of the proxy',
    nouns: ['foreign rule', 'foreign rules'],
    cause: 'made',
  },
  MARK_BIT: {
    meaning: "a rule of another program uses the packet mark bit that the proxy's rules use to request masquerading",
    nouns: ['use of the masquerade mark bit by another program', 'uses of the masquerade mark bit by another program'],
    cause: 'made',
  },
  OTHER_VARIANT: {
    meaning: 'the other iptables variant also has chains of the proxy: packets traverse both',
    nouns: ['ruleset in the other variant', 'rulesets in the other variant'],
    cause: 'made',
  },
  UNSEEN_TABLES: {
    meaning: 'the save states that it does not show all tables of the node',
    nouns: ['incomplete save', 'incomplete saves'],
    cause: 'none',
  },
  UNREADABLE_RULES: {
    meaning: 'the save has endpoint rules without a readable destination',
    nouns: ['unreadable ruleset', 'unreadable rulesets'],
    cause: 'none',
  },
  OTHER_RELEASE: {
    meaning: 'a kube-proxy of another release wrote these rules, in another layout: they were not compared',
    nouns: ['ruleset of another release', 'rulesets of another release'],
    cause: 'none',
    comparesNothing: true,
  },
  IPVS_MODE: {
    meaning: "these are the rules of kube-proxy's ipvs mode: there is nothing to compare them with",
    nouns: ['ruleset of ipvs mode', 'rulesets of ipvs mode'],
    cause: 'none',
    comparesNothing: true,
  },
  NFTABLES_MODE: {
    meaning: "these are the rules of kube-proxy's nftables mode: there is nothing to compare them with",
    nouns: ['ruleset of nftables mode', 'rulesets of nftables mode'],
    cause: 'none',
    comparesNothing: true,
  },
  USERSPACE_MODE: {
    meaning:
      "these are the rules of kube-proxy's userspace mode, which ended with 1.25: there is nothing to compare them with",
    nouns: ['ruleset of userspace mode', 'rulesets of userspace mode'],
    cause: 'none',
    comparesNothing: true,
  },
  OTHER_PROXY: {
    meaning:
      'no rules of kube-proxy are in the tables, and a program has some that can serve Services in its place: there is nothing to compare',
    nouns: ['ruleset of another proxy', 'rulesets of another proxy'],
    cause: 'none',
    comparesNothing: true,
  },
  NO_PROXY: {
    meaning: 'no rules of a service proxy are in the tables: there is nothing to compare',
    nouns: ['ruleset without a service proxy', 'rulesets without a service proxy'],
    cause: 'none',
    comparesNothing: true,
  },
  OTHER_CONFIGURED_MODE: {
    meaning: "the rules are of kube-proxy's iptables mode, and the configuration is of another",
    nouns: ['other mode in the configuration', 'other modes in the configuration'],
    cause: 'none',
  },
  OTHER_NODE_NAME: {
    meaning: 'the rules are those of a node of another name',
    nouns: ['ruleset of another node name', 'rulesets of another node name'],
    cause: 'none',
  },
  OTHER_LOCAL_TRAFFIC: {
    meaning: 'the rules recognize local traffic in another way (cluster CIDR, detectLocalMode)',
    nouns: ['other cluster CIDR or detectLocalMode', 'other cluster CIDRs or detectLocalModes'],
    cause: 'none',
  },
  OTHER_MASQUERADE_ALL: {
    meaning: 'the rules are made with another masqueradeAll',
    nouns: ['other masqueradeAll', 'other masqueradeAlls'],
    cause: 'none',
  },
  OTHER_MASQUERADE_BIT: {
    meaning: 'the rules ask for masquerading by another bit of the packet mark',
    nouns: ['other masquerade bit', 'other masquerade bits'],
    cause: 'none',
  },
  OTHER_NODE_PORT_ADDRESSES: {
    meaning: 'node ports answer on other addresses (nodePortAddresses)',
    nouns: ['other nodePortAddresses', 'other nodePortAddresses'],
    cause: 'none',
  },
  ZERO_RANGE_FIREWALL: {
    meaning:
      'a load balancer whose source ranges hold every address has a firewall, as kube-proxies before 1.36 made it',
    nouns: ['firewall for everyone', 'firewalls for everyone'],
    cause: 'none',
  },
  OTHER_LOCALHOST_NODE_PORTS: {
    meaning: 'the rules are made with another localhostNodePorts',
    nouns: ['other localhostNodePorts', 'other localhostNodePorts'],
    cause: 'none',
  },
} as const satisfies Readonly<Record<string, FindingKind>>

export type FindingType = keyof typeof AUDIT_FINDINGS

/** One line for a person: what to do about a finding. */
export function toDo(finding: AuditFinding): string {
  const { type, variant, table, chain, detail = '', expected = [] } = finding
  if (type === 'OTHER_VARIANT' && detail !== '')
    return `\`pointsman audit --iptables-variant ${variant ?? 'legacy'}\` audits those; see that kubelet and the CNI use that variant as well`
  if (type === 'OTHER_VARIANT')
    return `once nothing writes there any more, \`pointsman cleanup --iptables-variant ${variant ?? 'legacy'}\` removes them`
  if (type === 'LEFT_OVER_CHAIN') {
    // kube-proxy 1.36 takes no chain for its own whose name begins so.
    if (chain.startsWith('KUBE-XLB-'))
      return `kube-proxy of 1.24 or later leaves it: ${toolOf(finding)} -t ${table} -F ${chain}, and -X ${chain}; Pointsman's agent deletes it`
    return `the proxy deletes it at its next full sync; if not, see what leads there: ${toolOf(finding)}-save -t ${table} | grep ${chain}`
  }
  if (type === 'UNSEEN_TABLES')
    return detail.includes('legacy')
      ? 'save the others on the node, with iptables-legacy-save or ip6tables-legacy-save, and audit them as well: if kube-proxy has chains there, packets meet the rules of both variants'
      : 'save what nft lists of those tables, which iptables cannot show: another program writes them with nft'
  const ofJump = isJumpFrom(chain) ? aboutJump(finding) : undefined
  if (ofJump !== undefined) return ofJump
  if (type === 'DUPLICATE_RULE' && chain === CHAINS.firewall)
    return `kubelet adds it repeatedly when it does not see it: the iptables in kubelet's path is of another variant, or 1.8.2; correct that, then flush the chain`
  // Of this machine it is known which tables and settings its kernel has; of a file's it is not.
  if (variant === undefined && type === 'MISSING_TABLE')
    return `give a save of all tables (iptables-save without -t); if the kernel lacks it too, ${AGAIN}`
  if (
    variant === undefined &&
    type === 'MISSING_RULE' &&
    expected.some(({ line }) => line.includes('--ctstate INVALID'))
  )
    return `if the kernel has nf_conntrack_tcp_be_liberal set, the rule is not wanted: give --conntrack-tcp-be-liberal; otherwise ${AGAIN}`
  return TO_DO[type] ?? AGAIN
}

const AGAIN = 'the proxy puts it right at its next full sync, or when it is restarted; `pointsman apply` does it now'

const toolOf = ({ family }: Pick<AuditFinding, 'family'>): string => (family === 'IPv6' ? 'ip6tables' : 'iptables')

const isJumpFrom = (chain: string): boolean => chain !== '' && !chain.startsWith('KUBE-')

/**
 * What to do about a jump that kube-proxy leaves as it is: it adds one that it does not find, in front, at a full sync, and
 * deletes, moves and changes none. Undefined: the finding is of another kind.
 */
function aboutJump(finding: AuditFinding): string | undefined {
  const { type, table, chain, found = [], expected = [] } = finding
  const line = (found[0] ?? expected[0])?.line ?? ''
  const rule = line.startsWith(`-A ${chain} `) ? line.slice(`-A ${chain} `.length) : '...'
  const byHand = `${toolOf(finding)} -t ${table} -D ${chain} ${rule}`
  switch (type) {
    case 'DUPLICATE_RULE':
      return `kube-proxy leaves it at every sync and restart; Pointsman's agent and \`pointsman apply\` take it out, or by hand, once for each: ${byHand}; then find what adds it: a second proxy, or an iptables of the other variant or of 1.8.2, which does not see its own rules`
    case 'EXTRA_JUMP':
      return `kube-proxy leaves it at every sync and restart; Pointsman's agent and \`pointsman apply\` take it out, or by hand: ${byHand}; see that no second proxy runs on the node`
    case 'OUT_OF_ORDER':
      return `kube-proxy moves no jump; Pointsman's agent and \`pointsman apply\` do, or by hand: ${byHand}, and restart kube-proxy, which puts it in front`
    case 'CHANGED_RULE':
      return `the proxy puts the right one beside it at its next full sync, or when it is restarted; kube-proxy then leaves this one: ${byHand}`
    default:
      return undefined
  }
}

const CONFIGURED =
  "find out which is right: the configuration of the node's kube-proxy (kubectl -n kube-system get configmap kube-proxy -o yaml), or what was given here; a proxy that is restarted with the same configuration writes the same rules"

/** Of the others: AGAIN. */
const TO_DO: Readonly<Record<string, string>> = {
  NO_CHAINS: `${AGAIN}; then find what flushed the table: a firewall that was restarted, iptables -F, another variant`,
  MISSING_JUMP: `${AGAIN}; then find what deleted it: a firewall that was restarted, iptables -F`,
  DUPLICATE_RULE: `${AGAIN}; see that no second proxy runs on the node`,
  FOREIGN_RULE: 'have its owner put it into a chain of its own: the proxy deletes what it finds in its chains',
  MARK_BIT: 'have its owner use another bit, or the proxy: iptables.masqueradeBit of its configuration',
  OTHER_RELEASE:
    '`pointsman trace --rules` follows packets through them; those of 1.20, and from 1.26 on, can be compared: leave --layout out',
  IPVS_MODE:
    'IPVS decides, and not these rules: ipvsadm -Ln and ipset list show on the node what it does. kube-proxy has to be restarted in iptables mode before it writes rules to compare',
  NFTABLES_MODE:
    'nft list table ip kube-proxy, or ip6, shows the rules that decide. kube-proxy has to be restarted in iptables mode before it writes rules to compare',
  USERSPACE_MODE: 'a process decides, and not these rules: its log says to where it sends connections',
  OTHER_PROXY:
    'ask that program whether it serves Services; if it does not, see whether kube-proxy runs, and in which mode: nft list table ip kube-proxy (nftables mode), ipvsadm -Ln (ipvs mode)',
  NO_PROXY:
    'see what serves Services on the node: nft list table ip kube-proxy (nftables mode), ipvsadm -Ln (ipvs mode), cilium status; kube-proxy says its mode at localhost:10249/proxyMode. If that is iptables, something flushed the tables: restart kube-proxy',
  OTHER_CONFIGURED_MODE:
    "see in kube-proxy's log, or at localhost:10249/proxyMode, which mode it runs in: it may not have been restarted since its configuration was changed, and older releases fell back to iptables where the kernel lacked what ipvs takes",
  OTHER_NODE_NAME:
    "compare the Node's name with kube-proxy's hostnameOverride (--hostname-override) and set it right: a restart alone changes nothing. If the rules are another node's, give its name as --node",
  UNREADABLE_RULES:
    'save again with the iptables that kube-proxy uses: kubectl -n kube-system exec kube-proxy-... -- iptables-save; this save does not show what is wrong in these rules',
  ZERO_RANGE_FIREWALL: 'nothing: it lets everyone in, as no firewall does; kube-proxy 1.36 and Pointsman leave it out',
  OTHER_LOCAL_TRAFFIC: CONFIGURED,
  OTHER_MASQUERADE_ALL: CONFIGURED,
  OTHER_MASQUERADE_BIT: CONFIGURED,
  OTHER_NODE_PORT_ADDRESSES: CONFIGURED,
  OTHER_LOCALHOST_NODE_PORTS: CONFIGURED,
}
