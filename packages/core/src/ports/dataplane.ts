import type { IpFamily } from '../model/address.js'
import type { Endpoint } from '../model/endpoint.js'
import type { ServiceName, ServicePortIdentity, ServicePortName } from '../model/names.js'
import type { NodeInfo } from '../model/node.js'
import type { ProxyConfig } from '../model/proxy-config.js'
import type { Seq } from '../model/record.js'
import type { ServicePort } from '../model/service-port.js'
import type { FrontTraffic } from '../state/port-traffic.js'
import type { State } from '../state/state.js'
import type { ChangeLogReader } from './change-log.js'
import type {
  CleanedFamily,
  DataplaneChoices,
  DataplaneMetrics,
  Machine,
  ModeLeftovers,
  OpenDataplane,
  OpenOptions,
  RuleTool,
  WatchChangesOptions,
} from './machine.js'
import type { AffinityList, TraceableRules, TraceQuestion } from './trace-question.js'
import type { Trace } from './trace.js'

/** What rules are made from at one point in time. */
export interface RulesAt {
  readonly state: Pick<State, 'node' | 'services' | 'endpoints' | 'serviceCidrs'>
  readonly config: ProxyConfig
}

/** What rules are held against. Other Nodes than the state's own tell whose rules they are in case they are another node's. */
export interface AuditedState extends RulesAt {
  readonly state: RulesAt['state'] & Partial<Pick<State, 'nodes'>>
}

/** What the machine offers and what is asked for, besides the configuration that kube-proxy would have. */
export interface PlanOptions {
  readonly family: IpFamily
  /** Whether the rules may ask for fully random source ports. Default: they may. */
  readonly randomFully?: boolean | undefined
  /** Count packets in nfacct objects, which have to exist. Default: no. */
  readonly nfacct?: boolean | undefined
  /** The kernel's nf_conntrack_tcp_be_liberal, where it is known. Default: as configured. */
  readonly tcpBeLiberal?: boolean | undefined
  /** Addresses of the node's interfaces. Default: those of the Node object, and loopback. */
  readonly interfaceAddresses?: readonly string[] | undefined
  /** Comment every rule, also where a large cluster's rules go without comments. Default: as kube-proxy. */
  readonly keepComments?: boolean | undefined
}

/** The items of one owner. */
export interface PlannedItems<Item extends RuleItem = RuleItem> {
  /** Undefined: the items that are there whatever Services there are. */
  readonly port: ServicePort | undefined
  /** In the order in which a listing that holds no others has them. */
  readonly items: readonly Item[]
}

/** The rules of one family of a node, owner by owner. Pure: the same state and configuration give the same items. */
export interface RulePlan<Item extends RuleItem = RuleItem> {
  readonly family: IpFamily
  /** All that the items of every service port are made from besides the port and its endpoints: plain data. */
  readonly context: unknown
  /** The items that are there whatever Services there are. */
  readonly base: PlannedItems<Item>
  /** The chains that are there whatever Services there are, those of the kernel that lead to them included. */
  readonly places: readonly Place[]
  /** The items of one service port. No other service port has a part in them. */
  ofService(port: ServicePort, endpoints: readonly Endpoint[]): PlannedItems<Item>
  /** Every owner of the state that the plan was made for. */
  parts(): Iterable<PlannedItems<Item>>
  /** The items of several owners in the order of a listing that holds them all. The parts are of plans of this rule system. */
  inOrder(parts: Iterable<PlannedItems<Item>>): Iterable<Item>
  /** The lines that the rule system's own tool lists for these parts, and loads again, without line ends. */
  listing(parts: Iterable<PlannedItems<Item>>): Iterable<string>
  /** Where each front of a service port leads, in the order of `frontsOf`. */
  fronts(port: ServicePort, endpoints: readonly Endpoint[]): readonly FrontPath[]
}

/** Where the rules lead what is sent to one front of a service port. */
export interface FrontPath extends FrontTraffic {
  /** The service port's own chain that the front leads to; absent: none, and nothing is translated. */
  readonly chain?: string
}

/** A service port with all of its endpoints, whatever their conditions. */
export interface PortEndpoints {
  readonly port: ServicePort
  readonly endpoints: readonly Endpoint[]
}

/** Makes rules: what history, blame and diff need of a rule system. A `Dataplane` is one. */
export interface RulePlanner<Item extends RuleItem = RuleItem> {
  plan(at: RulesAt, options: PlanOptions): RulePlan<Item>
  /** The endpoint that an item leads to, or whose chain it is in; undefined where it is about no single endpoint. */
  endpointOf(item: RuleItem, service: PortEndpoints): Endpoint | undefined
}

/** The rules of one family as they are loaded, or were: a node's, a file's, or those of a plan. Their form is the rule system's. */
export interface LoadedRules {
  /** Undefined: neither their listing nor their addresses tell. */
  readonly family: IpFamily | undefined
  /** Which implementation of the rule system has them, and its version: `nft`, `1.8.9`. Absent: they are of no machine. */
  readonly variant?: string | undefined
  readonly version?: string | undefined
  /** How many items of a proxy there are: in its places, and those that lead there from others. */
  readonly count: number
  /** What was inferred to read a listing that is not its tool's own, a sentence each. */
  readonly notes?: readonly string[]
  /** Whether the listing says that it is not all of them. */
  readonly isPart?: boolean
}

/** The rules of a machine, to be read and left as they are. */
export interface MachineRules {
  readonly tool: RuleTool
  /** What rules may ask for there. */
  readonly capabilities: Pick<PlanOptions, 'randomFully'>
  /** Reads those of each family anew. */
  read(): Promise<readonly FamilyRules[]>
  /** As `OpenDataplane.watchChanges`, of what anybody changes. Absent: changes are not reported there. */
  watchChanges?(options: Omit<WatchChangesOptions, 'intervalMs'>): Promise<void>
}

export interface FamilyRules {
  readonly family: IpFamily
  readonly rules: LoadedRules
}

/** Where a listing is from, and what becomes of one that is none. */
export interface ListingSource {
  /** Of the file, for messages. */
  readonly name: string
  /** The error to throw; it is called when the rules are used as well, since not all of them are read at once. Its message is for people. */
  readonly refuse: (message: string, options?: ErrorOptions) => Error
}

/** A text with what it is called. */
export interface ListingFile {
  readonly name: string
  readonly text: string
}

/** Finds listings among the files that were gathered from a node. */
export interface ListingFinder {
  /** Whether a file can be one, by its first characters. */
  isListing(beginning: string): boolean
  /**
   * The listing of one family, that of IPv4 where none is asked for: of one file, or put together from several that hold a table
   * each. Refuses where there is none, or more than one.
   */
  choose(
    files: readonly ListingFile[],
    question: { readonly family?: IpFamily | undefined; readonly refuse: ListingSource['refuse'] },
  ): ListingFile
}

/** Whose a chain is. */
export interface ChainOwner {
  readonly port: ServicePort
  /** Of a chain of one endpoint. */
  readonly endpoint?: Endpoint
}

/** Whose a chain was at some time. */
export interface FormerChainOwner extends ServicePortIdentity {
  /** Of a chain of one endpoint: `10.244.1.14:8080`. */
  readonly endpoint?: string
}

/** A rule system of the kernel, by kube-proxy's name for it. What a command or the agent knows of rules, it knows from here. */
export interface Dataplane<Item extends RuleItem = RuleItem> extends RulePlanner<Item> {
  /** As the field `mode` of a KubeProxyConfiguration has it: `iptables`. */
  readonly mode: string
  /** The shapes that its rules can have; the first is the default. */
  readonly layouts: readonly [ProxyConfig['layout'], ...ProxyConfig['layout'][]]
  /** Whether its rules are made from ServiceCIDRs as well: the agent then watches them. Default: they are not. */
  readonly usesServiceCidrs?: boolean | undefined
  /** The file that holds a family's listing, where listings are written into a folder: `iptables-save.txt`. */
  listingFile(family: IpFamily): string
  /** Whether one listing may hold the rules of both families, whatever `LoadedRules.family` says. Default: it does not. */
  readonly listsAllFamilies?: boolean | undefined
  /** What loads its listings: `iptables 1.6.2 and later`. */
  readonly loadedBy: string
  /** Whether a line of its listings is an item; others declare, delete or commit. */
  isItemLine(line: string): boolean

  /** Whether a chain of this name belongs to one service port, of whichever proxy's making. */
  isServiceChain(chain: string): boolean
  /**
   * Whose a chain is in a state, also where its items have no comment; undefined: it is of another time, or of no service
   * port. Where both families have chains of one name, the first that the state lists.
   */
  ownerOfChain(chain: string, state: Pick<State, 'services' | 'endpoints'>): ChainOwner | undefined
  /** The same at any time up to a record of a log. Yields the position of the search, so that it can be watched and given up. */
  formerOwnerOfChain(
    chain: string,
    history: { readonly reader: ChangeLogReader; readonly toSeq: Seq },
  ): Generator<Seq, FormerChainOwner | undefined, undefined>
  /** What each chain of a service port is for, by its name: a few words for people. */
  chainMeanings(service: PortEndpoints): ReadonlyMap<string, string>
  /** How many endpoints a chain of a service port spreads over; 0: it does not spread. */
  spreadOf(
    chain: string,
    service: PortEndpoints & { readonly node: NodeInfo | undefined; readonly config: Pick<ProxyConfig, 'layout'> },
  ): number

  /** Reads the listing of one family: what the rule system's own tool prints. Refuses what is none, or more than one. */
  readListing(text: string, source: ListingSource): Promise<LoadedRules>
  /** Absent: its listings are given one by one. */
  readonly listings?: ListingFinder
  /** Opens the rules of a machine for reading. Fails as `open`, and sets nothing. */
  openRules(options: Pick<OpenOptions, 'families' | 'choices' | 'leaveOut'>, machine: Machine): Promise<MachineRules>
  /** The rules of a plan as a node has them that has no others. */
  loaded(plan: RulePlan): LoadedRules
  /**
   * The way of a packet through rules, as the kernel goes it: every table, chain and rule that it meets, in order. Where chance
   * decides, each way is reported with its exact odds. An unknown fact that a rule tests is assumed, and the assumption is listed. Throws a
   * TraceError for what is no packet, or no rules that a kernel would take.
   */
  trace(rules: LoadedRules, question: TraceQuestion): Trace
  /** The same rules for `traceTogether`, which follows a packet through several listings. Default: they are followed alone. */
  traceable?(rules: LoadedRules): TraceableRules
  /** The lists on which rules remember clients, for session affinity. */
  affinityLists(rules: LoadedRules): readonly AffinityList[]

  /** What an audit can find, by type. A type is a contract: added, not renamed. */
  readonly findings: Readonly<Record<string, FindingKind>>
  /**
   * Compares rules of one family with those that a state wants. What is not the proxy's is no finding, unless it stands in a
   * place that is. Rules of another program, release or mode are one finding, and are not compared.
   */
  audit(rules: LoadedRules, wanted: AuditedState, options: PlanOptions): readonly AuditFinding[]
  /** A layout other than the first that rules have, by their signs; undefined: none is recognized. Default: none ever is. */
  layoutFound?(rules: LoadedRules): ProxyConfig['layout'] | undefined
  /** What is as it may be and not as it must be: which of two service ports that claim one front is first, say. Default: nothing. */
  auditNotes?(rules: LoadedRules, wanted: AuditedState, options: PlanOptions): readonly AuditNote[]
  /** One line for people: what to do about a finding. */
  toDo(finding: AuditFinding): string

  /**
   * Rules of other programs that work on what this rule system's rules leave behind, and find it no more, or otherwise, once another
   * mode is in their place. Default: none are looked for.
   */
  dependents?(rules: LoadedRules, config: Pick<ProxyConfig, 'masqueradeBit'>): readonly DependentRule[]

  /** Reads one item as a listing prints it, as people paste it. Throws a RuleTextError that says what is wrong with it. */
  parseItem(text: string): RuleItem
  /** The chain that an item leads to; undefined: to none. */
  targetOf(item: RuleItem): string | undefined
  /** The Service that an item's comment names; undefined: none. */
  serviceNamedBy(item: RuleItem): ServiceName | undefined
  /**
   * Items by service port, those of no service port first, and each one's in the order in which a packet meets their chains.
   */
  inReadingOrder<Each extends { readonly item: RuleItem }>(items: readonly Each[]): readonly Each[]

  /**
   * Finds the tools of each family on a machine, chooses among them, and sets what the rules rely on. Fails with an error that
   * has a `code` and a message for people.
   */
  open(options: OpenOptions, machine: Machine): Promise<OpenDataplane>
  /** Sets what the rules rely on, and opens nothing: warnings about what could not be set. */
  prepare(options: Pick<OpenOptions, 'config' | 'families'>, machine: Machine): Promise<readonly string[]>
  /** Removes every rule of the proxy, whichever proxy of this mode wrote it; or says what it would remove. */
  cleanup(
    options: { readonly choices: DataplaneChoices; readonly dryRun: boolean },
    machine: Machine,
  ): Promise<readonly CleanedFamily[]>
  /** Removes what kube-proxy's other modes left besides rules, once their rules are gone. Default: nothing is looked for. */
  cleanupOtherModes?(options: { readonly dryRun: boolean }, machine: Machine): Promise<ModeLeftovers>
  readonly metrics: DataplaneMetrics
  /** Lines that show which part of an input its tool refused, below the failure's message; none: it was no such failure. */
  failureLines(error: unknown): readonly string[]
}

/** A text that is no item of the rule system. Its message says why, and what to give. */
export class RuleTextError extends Error {
  override readonly name = 'RuleTextError'
  readonly code = 'NOT_A_RULE'
}

/** A chain, set or map of a table. */
export interface Place {
  readonly table: string
  readonly chain: string
}

/**
 * One item of a rule system: an iptables rule, an nftables rule or a set element. Text is made when it is asked for, since
 * most items of a large ruleset are never printed.
 */
export interface RuleItem extends Place {
  /** The service port that it is for. Undefined: it is there whatever Services there are. */
  readonly owner: ServicePortName | undefined
  /** The whole item as the rule system's own listing prints it: `-A KUBE-SERVICES -d 10.96.0.10/32 ...`. */
  readonly line: string
  /** The same without its place: `-d 10.96.0.10/32 ...`. */
  readonly text: string
  /**
   * What makes an item of a chain the same one from record to record: all that it says but its share, which follows from the
   * number of its neighbours.
   */
  readonly identity: string
  /** The identity without comments, which large clusters leave out and people do not paste. */
  readonly bareIdentity: string
  /** The probability (0..1) with which it matches a packet that reaches it; undefined: it leaves nothing to chance. */
  readonly share: number | undefined
  /** Whether both say the same; cheaper than a comparison of their texts. */
  equals(other: RuleItem): boolean
}

/** One thing in which the rules of one family are not what they should be. */
export interface AuditFinding {
  /** A key of its rule system's `findings`. */
  readonly type: string
  readonly family: IpFamily
  /** The implementation of the rule system that has them: `nft`, `legacy`. Absent: they were read from a file, or there is but one. */
  readonly variant?: string | undefined
  /** Empty: all of them. */
  readonly table: string
  /** The chain, set or map. Empty: all of the table's. */
  readonly chain: string
  /** Whose item it is, or would be. Absent: it is there whatever Services there are, or it is nobody's. */
  readonly owner?: ServicePortName | undefined
  /** `namespace/name:port`: whose it says to be in its comment, where it should not be there. */
  readonly claims?: string | undefined
  /** What was recognized, for people, where the type alone does not say it: a sentence without its full stop. */
  readonly detail?: string | undefined
  /** How often the item is there, or how many differences one cause explains. Absent: once, or one. */
  readonly count?: number | undefined
  /** The items that should be there, in order. */
  readonly expected?: readonly RuleItem[] | undefined
  /** The items that are there. */
  readonly found?: readonly RuleItem[] | undefined
}

/** What a finding of one type means. */
export interface FindingKind {
  /** A clause for people: `the rule is missing`. */
  readonly meaning: string
  /** `missing rule`, `missing rules`. */
  readonly nouns: readonly [one: string, several: string]
  /**
   * Which record is behind it: the one that made the expected item, or changed it into what it should be; or the one that took
   * the found item away, or all items of its place; or none, because no record makes or removes such a thing.
   */
  readonly cause: 'made' | 'changed' | 'removed' | 'emptied' | 'none'
  /** The rules were not compared with the planned ones, because those are of another program, release or mode. Default: they were. */
  readonly comparesNothing?: boolean | undefined
}

export interface DependentRule extends Place {
  /** The rule, or for a policy the line of its chain, as a listing prints it. */
  readonly line: string
  /**
   * On what it depends: `chain`, it leads to one of the rule system's; `mark`, it reads or sets the masquerade mark; `policy`, the
   * chain refuses what no rule accepts, and the rule system's rules accept some of it.
   */
  readonly on: 'chain' | 'mark' | 'policy'
  /** The chain, or the bits of the mark: `0x4000/0x4000`. */
  readonly what: string
}

/** Something that is as it may be, and that a reader of an audit should know of. */
export interface AuditNote {
  readonly family: IpFamily
  /** A sentence for people, without its full stop. */
  readonly text: string
  /** The items that say so, in their order. */
  readonly found: readonly RuleItem[]
}
