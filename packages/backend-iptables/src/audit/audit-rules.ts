import {
  byAge,
  DEFAULT_PROXY_CONFIG,
  displayName,
  endpointKey,
  frontKey,
  frontsOf,
  type AuditedState,
  type AuditFinding,
  type AuditNote,
  type Front,
  type IpFamily,
  type LoadedRules,
  type PlanOptions,
  type ServicePort,
  type State,
} from '@pointsman/core'
import type { Rule, SavedChain, SavedTable } from 'node-iptables'
import { chainOf, dropsByMark } from '../chain-owner.js'
import { loadedTables, type LoadedTables, type SaveRemarks } from '../loaded-tables.js'
import { isLargeCluster } from '../ruleset/context.js'
import {
  CHAINS,
  everyServiceChainName,
  isServiceChain,
  layoutOf,
  MARK_DROP,
  serviceChainNames,
} from '../ruleset/layout.js'
import type { Ruleset } from '../ruleset/ruleset.js'
import { planRuleset } from '../ruleset/service-rules.js'
import { auditMarkBit, auditOtherVariant, auditTables } from './audit-tables.js'
import { foundRule, meaningOf } from './compared-rules.js'
import type { TableFinding } from './finding.js'
import { itemsOf, linesOf, originBesides } from './origin.js'
import { auditBySettings } from './other-settings.js'

/**
 * All that is to be found in the rules of one family. First is asked what wrote them: those of another program, release or
 * mode are one finding, and are not compared.
 */
export function auditRules(rules: LoadedRules, wanted: AuditedState, options: PlanOptions): readonly AuditFinding[] {
  const { family } = options
  const loaded = loadedTables(rules)
  const { variant, other } = loaded
  const own = ownFindings(loaded, wanted, options)
  const ofOther = other === undefined ? [] : auditOtherVariant(other.tables)
  // Where only the other variant has rules, it is the one that the proxy uses.
  const isInOther = ofOther.length > 0 && own.some(({ type }) => type === 'NO_PROXY')
  const detail = `this variant (${variant ?? ''}) has no rules of the proxy: it writes into the other`
  return [
    ...own
      .filter(({ type }) => type !== 'NO_PROXY' || !isInOther)
      .map((finding) => ({ ...finding, family, ...(variant !== undefined && { variant }) })),
    ...ofOther.map((finding) => ({ ...finding, family, variant: other?.variant, ...(isInOther && { detail }) })),
  ]
}

function ownFindings(loaded: LoadedTables, wanted: AuditedState, options: PlanOptions): readonly TableFinding[] {
  if (loaded.areOfNftables)
    return [{ type: 'NFTABLES_MODE', table: '', chain: '', detail: 'nft lists the table kube-proxy' }]
  const { tables, remarks } = loaded
  const unseen = unseenTables(remarks)
  const origin = originBesides(wanted.config.layout, tables)
  // What is not shown may be just what is missed.
  if (origin?.type === 'NO_PROXY' && unseen.length > 0) return unseen
  if (origin !== undefined) return [{ ...origin, table: '', chain: '' }, ...repeatedJumps(tables), ...unseen]
  const findings = auditBySettings(tables, { wanted: inThisMode(wanted), options }, (settings) =>
    compare(tables, settings.wanted, settings.options),
  )
  const { readable, unreadable } = withoutUnreadable(findings)
  return [
    ...otherConfiguredMode(wanted),
    ...[...readable, ...repeatedByKubelet(tables, findings)].map((finding) => withDoubtfulTool(finding, remarks)),
    ...unreadable,
    ...unseen,
  ]
}

/** What the configuration of another mode says of node ports is about that mode. */
const inThisMode = ({ state, config }: AuditedState): AuditedState =>
  config.mode === DEFAULT_PROXY_CONFIG.mode
    ? { state, config }
    : {
        state,
        config: {
          ...config,
          localhostNodePorts: DEFAULT_PROXY_CONFIG.localhostNodePorts,
          nodePortAddresses:
            config.nodePortAddresses === 'primary' ? DEFAULT_PROXY_CONFIG.nodePortAddresses : config.nodePortAddresses,
        },
      }

const otherConfiguredMode = ({ config: { mode } }: AuditedState): readonly TableFinding[] =>
  mode === DEFAULT_PROXY_CONFIG.mode
    ? []
    : [{ type: 'OTHER_CONFIGURED_MODE', table: '', chain: '', detail: `mode ${mode} was given` }]

function compare(
  tables: readonly SavedTable[],
  { state, config }: AuditedState,
  options: PlanOptions,
): readonly TableFinding[] {
  const keepsStaleChains = isLargeCluster(state, { family: options.family, layout: layoutOf(config) })
  return [
    ...auditTables(withoutKubelets(planRuleset(state, config, options)), tables, { keepsStaleChains }),
    ...auditMarkBit(tables, 2 ** config.masqueradeBit),
  ]
}

/**
 * In layout `classic` what drops marked packets is kubelet's to make: a kube-proxy of that time makes none of it but the empty chain
 * KUBE-MARK-DROP. `auditNotes` says where it is missing: the rules are as that kube-proxy writes them all the same.
 */
export function withoutKubelets(ruleset: Ruleset): Ruleset {
  const { chains, jumps } = ruleset.base
  const kubelets = new Set(chains.flatMap(({ role, chain }) => (role === 'kubelet' ? [chain] : [])))
  if (!kubelets.has(MARK_DROP)) return ruleset
  return {
    ...ruleset,
    base: {
      chains: chains.filter(({ role }) => role !== 'kubelet'),
      jumps: jumps.filter(({ rule }) => !kubelets.has(chainOf(rule) ?? '')),
    },
  }
}

const unseenTables = ({ warnings }: SaveRemarks): readonly TableFinding[] =>
  warnings.length === 0
    ? []
    : [{ type: 'UNSEEN_TABLES', table: '', chain: '', detail: `it says: ${warnings.join('; ')}` }]

/** Jumps to a proxy's chains that a built-in chain has more than once, in any layout. */
const repeatedJumps = (tables: readonly SavedTable[]): readonly TableFinding[] =>
  tables.flatMap(({ table, chains }) =>
    chains
      .filter(({ chain }) => !chain.startsWith('KUBE-'))
      .flatMap((chain) => repeatedIn(table, chain, (rule) => chainOf(rule)?.startsWith('KUBE-') === true)),
  )

/** What kubelet has put into its chain more than once, but for what was found already. */
function repeatedByKubelet(tables: readonly SavedTable[], findings: readonly TableFinding[]): readonly TableFinding[] {
  const known = new Set(findings.flatMap(({ found = [] }) => found.map(({ line }) => line)))
  return tables
    .filter(({ table }) => table === 'filter')
    .flatMap(({ table, chains }) =>
      chains.filter(({ chain }) => chain === CHAINS.firewall).flatMap((chain) => repeatedIn(table, chain, () => true)),
    )
    .filter(({ found = [] }) => !found.some(({ line }) => known.has(line)))
}

function repeatedIn(
  table: string,
  { chain, rules }: SavedChain,
  isMeant: (rule: Rule) => boolean,
): readonly TableFinding[] {
  const counts = new Map<string, { readonly rule: Rule; count: number }>()
  for (const { rule } of rules) {
    if (!isMeant(rule)) continue
    const known = counts.get(meaningOf(rule)) ?? { rule, count: 0 }
    known.count += 1
    counts.set(meaningOf(rule), known)
  }
  return [...counts.values()]
    .filter(({ count }) => count > 1)
    .map(({ rule, count }): TableFinding => {
      const place = { table, chain }
      return { type: 'DUPLICATE_RULE', ...place, count, found: [foundRule(place, rule)] }
    })
}

/**
 * An iptables-save that is older than the iptables which wrote a rule does not know the form of its DNAT target, and prints
 * something in its place: `--to-destination  --random --to-destination`, `--to-destination :0 --persistent`.
 */
function withoutUnreadable(findings: readonly TableFinding[]): {
  readonly readable: readonly TableFinding[]
  readonly unreadable: readonly TableFinding[]
} {
  const isUnreadable = ({ found = [] }: TableFinding): boolean => found.some(({ line }) => UNREADABLE.test(line))
  const [first, ...others] = findings.filter(isUnreadable)
  if (first === undefined) return { readable: findings, unreadable: [] }
  const { found } = first
  const unreadable: TableFinding = {
    type: 'UNREADABLE_RULES',
    table: '',
    chain: '',
    count: others.length + 1,
    detail:
      'this iptables-save may be older than the iptables that wrote the rules: that of the host beside that of a container image',
    found,
  }
  return { readable: findings.filter((finding) => !isUnreadable(finding)), unreadable: [unreadable] }
}

const UNREADABLE = / -j DNAT (?:.* )?--to-destination(?: +-|$| :0| .* --to-destination)/

/** iptables 1.8.0 to 1.8.2 of the nft variant do not find rules that are there, so that programs add theirs again. */
function withDoubtfulTool(finding: TableFinding, { program, version }: SaveRemarks): TableFinding {
  if (finding.type !== 'DUPLICATE_RULE' || version === undefined || !/^1\.8\.[012]$/.test(version)) return finding
  return {
    ...finding,
    detail: `the save is of ${program ?? 'iptables'} ${version}: the nft variant of 1.8.0 to 1.8.2 is known not to find rules that are there, so that programs add theirs again and again`,
  }
}

/** What is not wrong and worth knowing: which of the Services that claim one front is first here. */
export function auditNotes(
  rules: LoadedRules,
  { state, config }: AuditedState,
  { family }: PlanOptions,
): readonly AuditNote[] {
  const { areOfNftables, tables, remarks } = loadedTables(rules)
  if (areOfNftables || originBesides(config.layout, tables) !== undefined) return []
  return [
    ...(config.layout === 'classic' && unseenTables(remarks).length === 0 ? notDropped(tables, family) : []),
    ...claimedFronts(tables, state, family),
  ]
}

/**
 * What rules of Services lead to KUBE-MARK-DROP for is dropped by nobody: the chain marks nothing, or nothing in the way of packets to
 * this node drops by that mark. What is forwarded is dropped in no case: kubelet's chain is led to from INPUT and OUTPUT alone.
 */
function notDropped(tables: readonly SavedTable[], family: IpFamily): readonly AuditNote[] {
  const [filter = [], nat = []] = ['filter', 'nat'].map(
    (name) => tables.find(({ table }) => table === name)?.chains ?? [],
  )
  // Of a table that was not saved nothing is known.
  if (filter.length === 0) return []
  const leading = nat.flatMap(({ chain, rules }) =>
    isServiceChain(chain)
      ? rules
          .filter(({ rule }) => chainOf(rule) === MARK_DROP)
          .map(({ rule }) => foundRule({ table: 'nat', chain }, rule))
      : [],
  )
  if (leading.length === 0) return []
  const rulesIn = (chains: readonly SavedChain[], name: string): readonly Rule[] =>
    chains.find(({ chain }) => chain === name)?.rules.map(({ rule }) => rule) ?? []
  const mark = rulesIn(nat, MARK_DROP).flatMap(({ target }) => (target?.type === 'MARK' ? target.value : []))[0]
  const isLedTo = rulesIn(filter, 'INPUT').some((rule) => chainOf(rule) === CHAINS.firewall)
  const why =
    mark === undefined
      ? `${MARK_DROP} marks nothing`
      : !dropsByMark(rulesIn(filter, CHAINS.firewall), mark)
        ? `no rule of ${CHAINS.firewall} drops by the mark 0x${mark.toString(16)}`
        : isLedTo
          ? undefined
          : `INPUT has no jump to ${CHAINS.firewall}`
  if (why === undefined) return []
  const text = `what comes to ${MARK_DROP} is not dropped: ${why}, which a kubelet before 1.28 sees to; the packets go on to where they were sent`
  return [{ family, text, found: leading }]
}

/**
 * Fronts that several service ports claim, and whose rule comes first in these tables: kube-proxy writes its Services in no
 * order, so that it is chance which of them has the packets of a node.
 */
export function claimedFronts(
  tables: readonly SavedTable[],
  { services }: Pick<State, 'services'>,
  family: IpFamily,
): readonly AuditNote[] {
  const claimed = claimsOf([...services.values()].filter((port) => port.family === family))
  if (claimed.length === 0) return []
  const chains = tables.find(({ table }) => table === 'nat')?.chains ?? []
  const dispatch = chains
    .filter(({ chain }) => chain === CHAINS.services || chain === CHAINS.nodePorts)
    .flatMap(linesOf)
  const places = new Map<string, { readonly at: number; readonly line: string }[]>()
  for (const [at, line] of dispatch.entries()) {
    const target = / -j (\S+)$/.exec(line)?.[1] ?? ''
    places.set(target, [...(places.get(target) ?? []), { at, line }])
  }
  return claimed.flatMap(({ front, ports }): readonly AuditNote[] => {
    const taking = ports
      .flatMap((port) => {
        const lines = everyServiceChainName(port).flatMap((chain) => places.get(chain) ?? [])
        const [first] = lines.filter(({ line }) => isFor(front, line)).toSorted((a, b) => a.at - b.at)
        return first === undefined ? [] : [{ port, ...first }]
      })
      .toSorted((a, b) => a.at - b.at)
    const [first, ...others] = taking
    if (first === undefined || others.length === 0) return []
    return [
      {
        family,
        text: noteText(front, { first, ports }),
        found: itemsOf(
          'nat',
          taking.map(({ line }) => line),
        ),
      },
    ]
  })
}

interface Claim {
  readonly front: Front
  /** The oldest first. */
  readonly ports: readonly ServicePort[]
}

function claimsOf(ports: readonly ServicePort[]): readonly Claim[] {
  const claims = new Map<string, { readonly front: Front; readonly ports: Set<ServicePort> }>()
  for (const port of ports)
    for (const front of frontsOf(port)) {
      const claim = claims.get(frontKey(front)) ?? { front, ports: new Set() }
      claims.set(frontKey(front), claim)
      claim.ports.add(port)
    }
  return [...claims.values()].flatMap(({ front, ports: of }) =>
    of.size < 2 ? [] : [{ front, ports: [...of].toSorted(byAge) }],
  )
}

const isFor = ({ address, port }: Front, line: string): boolean =>
  line.includes(` --dport ${port} `) && (address === undefined || line.includes(` -d ${address}/`))

function noteText(
  front: Front,
  {
    first: { port: first, line },
    ports,
  }: { readonly first: { readonly port: ServicePort; readonly line: string }; readonly ports: readonly ServicePort[] },
): string {
  const at =
    front.address === undefined ? `node port ${front.port}` : endpointKey({ address: front.address, port: front.port })
  const names = ports.map(displayName)
  const isGuarded = line.endsWith(` -j ${serviceChainNames(first).firewall}`)
  return (
    `${at} (${front.protocol}) is claimed by ${names.slice(0, -1).join(', ')} and ${names.at(-1) ?? ''}: on this node ${displayName(first)} is first and has its packets${isGuarded ? ', but for those that its source ranges keep out' : ''}. ` +
    `kube-proxy does not define which of them wins on a node; Pointsman lets the older win: ${names[0] ?? ''}`
  )
}
