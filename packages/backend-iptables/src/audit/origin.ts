import { type ProxyConfig, shortList } from '@pointsman/core'
import { formatRule, IptablesParseError, parseRestoreLine, type SavedChain, type SavedTable } from 'node-iptables'
import { OwnedRule } from '../render/owned-rules.js'
import { CHAIN_PREFIX, CHAINS, IPVS_CHAINS } from '../ruleset/layout.js'
import type { FindingType } from './finding.js'
import { isTextChain } from './text-tables.js'

/** What wrote the rules of a node, where that is not a kube-proxy whose rules can be compared. */
export interface OtherOrigin {
  readonly type: Extract<FindingType, 'OTHER_RELEASE' | 'IPVS_MODE' | 'USERSPACE_MODE' | 'OTHER_PROXY' | 'NO_PROXY'>
  /** By what it is recognized: a sentence without its full stop. */
  readonly detail: string
  /** The layout that the rules have, where they can be compared with it. */
  readonly layout?: ProxyConfig['layout']
}

/**
 * What wrote the rules, by the chains that packets come to: what nothing leads to may be left over from a release or a mode
 * before. Undefined: kube-proxy 1.26 or later in its iptables mode, or nothing says otherwise.
 */
export function otherOriginOf(tables: readonly SavedTable[]): OtherOrigin | undefined {
  const rules = rulesByPlace(tables)
  const hasNat = tables.some(({ table }) => table === 'nat')
  return (
    ipvsMode(rules) ??
    userspaceMode(rules) ??
    (hasDispatch(rules) ? olderRelease(rules) : hasNat ? withoutKubeProxy(rules) : withoutNat(rules))
  )
}

/**
 * Rules that are not to be compared with those of a layout: `otherOriginOf`, but for those that have it. Undefined: they can be
 * compared.
 */
export function originBesides(layout: ProxyConfig['layout'], tables: readonly SavedTable[]): OtherOrigin | undefined {
  const origin = otherOriginOf(tables)
  if (origin?.layout === layout) return undefined
  if (origin !== undefined || layout === 'current') return origin
  return {
    type: 'OTHER_RELEASE',
    detail: 'these are rules of kube-proxy 1.26 or later, and the layout classic was asked for: leave --layout out',
  }
}

/** `nat KUBE-SERVICES`: its rules, as a save has them; of others than Kubernetes' chains none, but that they are there. */
type RulesByPlace = ReadonlyMap<string, readonly string[]>

const rulesByPlace = (tables: readonly SavedTable[]): RulesByPlace =>
  new Map(
    tables.flatMap(({ table, chains }) =>
      chains.map((chain) => [`${table} ${chain.chain}`, chain.chain.startsWith(CHAIN_PREFIX) ? linesOf(chain) : []]),
    ),
  )

/** The rules of a chain as text, without reading those that are not read yet. */
export const linesOf = (chain: SavedChain): readonly string[] =>
  isTextChain(chain) ? chain.lines : chain.rules.map(({ rule }) => `-A ${chain.chain} ${formatRule(rule)}`)

/** The rules of such lines; of one that cannot be read, which is for the comparison to refuse, none. */
export function itemsOf(table: string, lines: readonly string[]): readonly OwnedRule[] {
  return lines.flatMap((line): readonly OwnedRule[] => {
    try {
      const parsed = parseRestoreLine(line)
      return parsed.type === 'append'
        ? [new OwnedRule({ table, chain: parsed.chain, rule: parsed.rule, owner: undefined })]
        : []
    } catch (error) {
      if (error instanceof IptablesParseError) return []
      throw error
    }
  })
}

const hasDispatch = (rules: RulesByPlace): boolean =>
  rules.has(`nat ${CHAINS.services}`) || rules.has(`filter ${CHAINS.services}`)

const chainNames = (rules: RulesByPlace): readonly string[] => [
  ...new Set([...rules.keys()].map((place) => place.slice(place.indexOf(' ') + 1))),
]

/**
 * The ipvs mode matches sets: KUBE-CLUSTER-IP, KUBE-6-LOOP-BACK. On a node without node ports and load balancers there may be
 * no such rule in one table, but the mode makes all of its chains at once.
 */
function ipvsMode(rules: RulesByPlace): OtherOrigin | undefined {
  const dispatch = [...(rules.get(`nat ${CHAINS.services}`) ?? [])]
  if (dispatch.some((line) => / -j KUBE-(?:SVC|SVL|EXT|XLB|FW|NODEPORTS)\b/.test(line))) return undefined
  const matching = IPVS_PLACES.flatMap((place) => rules.get(place) ?? [])
  const sets = new Set(matching.flatMap((line) => / --match-set (KUBE-\S+)/.exec(line)?.[1] ?? []))
  const chains = chainNames(rules).filter((chain) => IPVS_CHAINS.includes(chain))
  if (sets.size === 0 && chains.length === 0) return undefined
  const seen = [
    ...(sets.size > 0 ? [`rules match the ipsets ${inProse([...sets].toSorted())}`] : []),
    ...(chains.length > 0 ? [`there ${isOrAre(chains)} ${inProse(chains)}`] : []),
  ]
  return { type: 'IPVS_MODE', detail: `recognized by what only that mode makes: ${seen.join(', and ')}` }
}

const IPVS_PLACES: readonly string[] = [
  'nat KUBE-SERVICES',
  'nat KUBE-POSTROUTING',
  'nat KUBE-NODE-PORT',
  'nat KUBE-LOAD-BALANCER',
  'filter KUBE-IPVS-FILTER',
  'filter KUBE-NODE-PORT',
  'filter KUBE-PROXY-FIREWALL',
]

function userspaceMode(rules: RulesByPlace): OtherOrigin | undefined {
  const chains = chainNames(rules).filter((chain) => /^KUBE-(?:PORTALS|NODEPORT)-/.test(chain))
  return chains.length === 0 || hasDispatch(rules)
    ? undefined
    : { type: 'USERSPACE_MODE', detail: `recognized by the chains that only that mode makes: ${inProse(chains)}` }
}

/** Neither table has KUBE-SERVICES. */
function withoutKubeProxy(rules: RulesByPlace): OtherOrigin {
  const names = chainNames(rules)
  for (const { proxy, has, instead } of REPLACEMENTS) {
    const chains = names.filter((chain) => has.test(chain))
    if (chains.length > 0)
      return { type: 'OTHER_PROXY', detail: `${proxy} has the chains ${inProse(chains)}: ${instead}` }
  }
  const kubeProxys = names.filter((chain) => LEFT_BEHIND.has(chain))
  if (kubeProxys.length > 0)
    return {
      type: 'NO_PROXY',
      detail: `no table has ${CHAINS.services}, but ${inProse(kubeProxys)} ${isOrAre(kubeProxys)} there: kube-proxy's iptables mode ran once, and its rules were flushed, or removed when kube-proxy changed to another mode`,
    }
  const kubelets = names.filter((chain) => chain.startsWith('KUBE-'))
  return {
    type: 'NO_PROXY',
    detail:
      kubelets.length > 0
        ? `no table has ${CHAINS.services}, and ${inProse(kubelets)} ${isOrAre(kubelets)} kubelet's: Services are served without iptables (nftables mode, or eBPF), or not at all`
        : `no table has ${CHAINS.services}: Services are served without iptables (nftables mode, or eBPF), or not at all`,
  }
}

/** Of filter alone, what a mode leaves there says little. */
const withoutNat = (rules: RulesByPlace): OtherOrigin => ({
  type: 'NO_PROXY',
  detail: `there is no table nat, and filter has no ${CHAINS.services}${chainNames(rules).includes(CHAINS.forward) ? `, though it has ${CHAINS.forward}` : ''}: if this is a save of some tables alone, give one of all (iptables-save without -t)`,
})

const isOrAre = (list: readonly unknown[]): string => (list.length === 1 ? 'is' : 'are')

const LEFT_BEHIND: ReadonlySet<string> = new Set([
  CHAINS.canary,
  CHAINS.externalServices,
  CHAINS.nodePorts,
  CHAINS.forward,
  CHAINS.proxyFirewall,
])

/** Programs that can serve Services in kube-proxy's place, by chains that they make; the surest first. */
const REPLACEMENTS: readonly { readonly proxy: string; readonly has: RegExp; readonly instead: string }[] = [
  {
    proxy: 'kube-router',
    has: /^KUBE-ROUTER-(?:SERVICES|HAIRPIN)$/,
    instead: 'it serves Services by IPVS (ipvsadm -Ln)',
  },
  { proxy: 'OVN-Kubernetes', has: /^OVN-KUBE-/, instead: 'OVN load balancers serve Services (ovn-nbctl lb-list)' },
  {
    proxy: 'Cilium',
    has: /^CILIUM_/,
    instead: 'it can serve Services by eBPF in place of kube-proxy (cilium-dbg service list)',
  },
  {
    proxy: 'Antrea',
    has: /^ANTREA-/,
    instead: 'it can serve Services by Open vSwitch in place of kube-proxy (antctl get ovsflows)',
  },
  {
    proxy: 'Calico',
    has: /^cali-/,
    instead: 'its eBPF data plane can serve Services in place of kube-proxy (calico-node -bpf nat dump)',
  },
]

/** A thing in the rules that only releases up to one have, or only those from one on. */
interface Mark {
  /** The last release that has it, or the first: 23 is 1.23. */
  readonly minor: number
  readonly what: string
  readonly isThere: (rules: RulesByPlace) => boolean
}

/**
 * Bounds of the release by what stands in chains that every sync writes anew, so that it is of the release that wrote last.
 * Where the bounds contradict each other, another program has changed the rules.
 */
function olderRelease(rules: RulesByPlace): OtherOrigin | undefined {
  const firsts = FIRSTS.filter(({ isThere }) => isThere(rules)).map(({ minor }) => minor)
  const first = Math.max(0, ...firsts)
  if (first > LAST_OLDER) return undefined
  const lasts = LASTS.filter(({ isThere }) => isThere(rules))
  const last = Math.min(...lasts.map(({ minor }) => minor))
  if (lasts.length === 0 || first > last) return undefined
  const release = first === 0 ? `1.${last} or older` : first === last ? `1.${last}` : `1.${first} to 1.${last}`
  const signs = lasts.map(({ what }) => what).join('; ')
  return {
    type: 'OTHER_RELEASE',
    detail: `these are rules of kube-proxy ${release}: ${signs}`,
    ...(first <= CLASSIC_RELEASE && last === CLASSIC_RELEASE && { layout: 'classic' as const }),
  }
}

/** 1.20 is the last release with layout `classic`, and the one that it is equal to. */
const CLASSIC_RELEASE = 20

const some = (rules: RulesByPlace, place: string, pattern: RegExp): boolean =>
  rules.get(place)?.some((line) => pattern.test(line)) === true

const jumps = (rules: RulesByPlace, target: RegExp): boolean =>
  ['nat KUBE-SERVICES', 'nat KUBE-NODEPORTS'].some((place) => some(rules, place, target))

/** The last release that the marks of older ones can show. */
const LAST_OLDER = 25

const LASTS: readonly Mark[] = [
  {
    minor: 20,
    what: 'filter has no KUBE-NODEPORTS',
    isThere: (rules) => rules.has('filter KUBE-FORWARD') && !rules.has('filter KUBE-NODEPORTS'),
  },
  {
    minor: 23,
    what: 'external traffic goes to KUBE-XLB- chains',
    isThere: (rules) => jumps(rules, / -j KUBE-XLB-/),
  },
  {
    minor: 24,
    what: 'KUBE-SERVICES and KUBE-NODEPORTS mark for masquerading themselves',
    isThere: (rules) => jumps(rules, / -j KUBE-MARK-MASQ$/),
  },
  {
    minor: 24,
    what: 'KUBE-FORWARD has a rule for each direction of a known connection',
    isThere: (rules) => some(rules, 'filter KUBE-FORWARD', /"kubernetes forwarding conntrack pod source rule"/),
  },
  {
    minor: 24,
    what: 'KUBE-FW- chains drop by KUBE-MARK-DROP',
    isThere: (rules) => anyOf(rules, 'nat KUBE-FW-', / -j KUBE-MARK-DROP$/),
  },
  {
    minor: 19,
    what: 'KUBE-POSTROUTING masquerades by one rule',
    isThere: (rules) => some(rules, 'nat KUBE-POSTROUTING', / -m mark --mark \S+ -j MASQUERADE/),
  },
  {
    minor: 25,
    what: 'the rules that spread over endpoints do not name these in their comments',
    isThere: (rules) => anyOf(rules, 'nat KUBE-SVC-', / --comment "?[a-z0-9.-]+\/[^" ]+"? .*-j KUBE-SEP-/),
  },
]

const FIRSTS: readonly Mark[] = [
  {
    minor: 24,
    what: 'external traffic goes to KUBE-EXT- chains',
    isThere: (rules) => jumps(rules, / -j KUBE-EXT-/),
  },
  {
    minor: 25,
    what: 'filter has KUBE-PROXY-FIREWALL',
    isThere: (rules) => rules.has('filter KUBE-PROXY-FIREWALL'),
  },
  {
    minor: 26,
    what: 'comments name endpoints',
    isThere: (rules) => anyOf(rules, 'nat KUBE-SVC-', / --comment "[^"]* -> [^"]*" /),
  },
]

/** Whether a rule fits in a chain whose place begins so, and to which the chains lead that every sync writes anew. */
function anyOf(rules: RulesByPlace, prefix: string, pattern: RegExp): boolean {
  let led: ReadonlySet<string> | undefined
  for (const [place, lines] of rules) {
    if (!place.startsWith(prefix) || !lines.some((line) => pattern.test(line))) continue
    led ??= ledTo(rules)
    if (led.has(place.slice('nat '.length))) return true
  }
  return false
}

function ledTo(rules: RulesByPlace): ReadonlySet<string> {
  const targets = new Set<string>()
  for (const [place, lines] of rules)
    if (/^nat KUBE-(?:SERVICES|NODEPORTS|EXT-|XLB-|FW-)/.test(place))
      for (const line of lines) targets.add(/ -[jg] (\S+)$/.exec(line)?.[1] ?? '')
  return targets
}

const MOST_LISTED = 5

/** `a, b and c`; of many, the first few and their number. */
export function inProse(names: readonly string[]): string {
  if (names.length < 2 || names.length > MOST_LISTED) return shortList(names, MOST_LISTED)
  return `${names.slice(0, -1).join(', ')} and ${names.at(-1) ?? ''}`
}
