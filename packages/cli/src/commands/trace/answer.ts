import {
  arrivalOf,
  buildState,
  isLoopback,
  parseAddress,
  type Assumption,
  type Dataplane,
  type DependenceCode,
  type IpFamily,
  type LoadedRules,
  type NodeInfo,
  type ProxyConfig,
  type Trace,
  type TraceQuestion,
} from '@pointsman/core'
import { readText } from '@pointsman/core/io'
import { dataplaneOf, warn, type Context } from '../../context.js'
import { CliError } from '../../errors.js'
import {
  askedObjects,
  byteStream,
  MAX_SAVE_BYTES,
  readSave,
  withInput,
  type AskedObjects,
  type Input,
  type InputOptions,
  type PointOptions,
} from '../../input/open-input.js'
import {
  familiesOf,
  interfaceAddressesOf,
  rulesQuestion,
  type RulesQuestionOptions,
} from '../../input/rules-question.js'
import { warnOfDiagnostics } from '../../output/format-text.js'
import { isNodePortElsewhere, skippedServices, type Names } from '../../packet/names.js'
import {
  meansBothFamilies,
  parsePacket,
  resolvePacket,
  type PacketText,
  type ResolvedPacket,
} from '../../packet/resolve-packet.js'
import { affinityEntries, connectionOf, interfacesOf, senderOf, type PacketFacts } from './packet-facts.js'

/** As commander parses the options of `trace`. */
export interface TraceOptions extends InputOptions, PointOptions, RulesQuestionOptions, PacketFacts {
  readonly rules?: readonly string[]
  readonly inInterface?: string
  readonly outInterface?: string
  readonly everyRule?: true
  readonly ipset?: string
}

/** Rules with what reads them. */
export interface Listing {
  readonly dataplane: Dataplane
  readonly rules: LoadedRules
}

/** What the trace is asked, and what names there are. */
export interface AskedTrace {
  readonly packet: ResolvedPacket
  /** What the packet is followed through: one listing, or several of one node. */
  readonly listings: readonly Listing[]
  readonly question: TraceQuestion
  /** What was taken for granted to ask it. */
  readonly assumptions: readonly Assumption[]
  readonly names: Names | undefined
  readonly node: NodeInfo | undefined
  /** Absent: the rules are those of `--rules`. */
  readonly asked?: AskedObjects
  /** The same in IPv6, where the packet is for `localhost`. */
  readonly otherFamily?: AskedTrace
}

/**
 * Reads the packet and the rules: those of `--rules`, else those that the objects or the log make. CliError for what is wrong
 * with either.
 */
export async function askTrace(text: string, options: TraceOptions, context: Context): Promise<AskedTrace> {
  const packet = parsePacket(text)
  return options.rules === undefined
    ? withInput(options, context, (input) => ofObjects(packet, options, { input, context }))
    : ofRules(packet, { ...options, rules: options.rules }, context)
}

async function ofObjects(
  packet: PacketText,
  options: TraceOptions,
  { input, context }: { readonly input: Input; readonly context: Context },
): Promise<AskedTrace> {
  const asked = askedObjects(input, options, context)
  const { state, config, diagnostics, skipped } = await rulesQuestion(asked, options, context)
  warnOfDiagnostics(diagnostics, '`pointsman services --wide` lists them', context)
  const { node } = state
  const names: Names = { ...state, skipped: skippedServices(skipped) }
  const interfaceAddresses = interfaceAddressesOf(options)
  const dataplane = dataplaneOf(context, config)
  const askIn = async (family: TraceOptions): Promise<AskedTrace> => {
    const found = resolved(packet, family, { names, node })
    const plan = dataplane.plan({ state, config }, { family: found.packet.family, interfaceAddresses })
    const listings = [{ dataplane, rules: dataplane.loaded(plan) }]
    const arrival = assumedArrival(options, { packet: found.packet, config })
    return {
      ...found,
      listings,
      question: await questionOf(options, { ...found, listings, inInterface: arrival.inInterface }, context),
      assumptions: arrival.assumptions,
      names,
      node,
      asked,
    }
  }
  const only = await askIn(options)
  const isBoth = options.family === undefined && meansBothFamilies({ packet, family: undefined })
  return isBoth ? { ...only, otherFamily: await askIn({ ...options, family: 'ipv6' }) } : only
}

async function ofRules(
  packet: PacketText,
  options: TraceOptions & { readonly rules: readonly string[] },
  context: Context,
): Promise<AskedTrace> {
  checkRulesOptions(options)
  const read: Listing[] = []
  // No configuration says of which mode they are: the text does.
  for (const path of options.rules)
    read.push(await readSave({ path, dataplanes: context.dataplanes, family: familyWanted(packet, options) }, context))
  const names = options.log === undefined && options.objects === undefined ? undefined : await namesOf(options, context)
  const node = names === undefined ? undefined : nodeOf(options, names)
  if (node === undefined && options.nodeAddress === undefined && options.interfaceAddress === undefined)
    warn(context, 'no address of the node is known, so that none but loopback counts as its own: give --node-address')
  const found = resolved(packet, options, { names, node })
  const listings = listingsFor(found.packet.family, read, options.rules)
  const question = await questionOf(options, { ...found, listings, inInterface: options.inInterface }, context)
  const assumptions = listings
    .flatMap(({ rules }) => rules.notes ?? [])
    .map((message): Assumption => ({ code: 'RULES_INFERRED', message }))
  return { ...found, listings, question, assumptions, names, node }
}

/** Of several, those that packets of a family meet: iptables prints one family at a time. */
function listingsFor(family: IpFamily, all: readonly Listing[], paths: readonly string[]): readonly Listing[] {
  if (all.length === 1) return all
  const own = all.filter(
    ({ rules, dataplane }) => dataplane.listsAllFamilies === true || (rules.family ?? family) === family,
  )
  if (own.length > 0) return own
  throw new CliError(
    'BAD_INPUT',
    `none of ${paths.join(', ')} has ${family} rules: give what \`${family === 'IPv6' ? 'ip6' : 'ip'}tables-save\` prints`,
  )
}

/** Of `--family`, else that of an address in the packet. */
function familyWanted({ source, destination }: PacketText, options: TraceOptions): IpFamily | undefined {
  if (options.family !== undefined) return onlyFamily(options)
  return parseAddress(destination.host)?.family ?? parseAddress(source.host)?.family
}

/** What decides about rules has no say in those that are given. */
function checkRulesOptions(options: TraceOptions & { readonly rules: readonly string[] }): void {
  const given = RULE_OPTIONS.filter((option) => options[option] !== undefined)
  const [first] = given.map((option) => `--${option.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`)
  if (first !== undefined)
    throw new CliError(
      'USAGE',
      `${first} decides which rules there are, and --rules gives them: leave one of the two out`,
    )
  const fromStdin = [...options.rules, options.ipset, ...(options.objects ?? [])].filter((file) => file === '-')
  if (options.rules.includes('-') && options.objects?.includes('-') === true)
    throw new CliError('USAGE', '--rules and --objects cannot both be read from standard input')
  if (fromStdin.length > 1) throw new CliError('USAGE', 'one file alone can be read from standard input')
}

const RULE_OPTIONS = [
  'config',
  'clusterCidr',
  'detectLocalMode',
  'podBridgeInterface',
  'podInterfaceNamePrefix',
  'nodeportAddresses',
  'masqueradeAll',
  'iptablesMasqueradeBit',
  'iptablesLocalhostNodeports',
  'conntrackTcpBeLiberal',
  'layout',
] as const satisfies readonly (keyof TraceOptions)[]

const namesOf = (options: TraceOptions, context: Context): Promise<Names> =>
  withInput(options, context, async (input) => {
    const { objects } = askedObjects(input, options, context)
    const { state, skipped } = buildState({ objects })
    return { ...state, skipped: skippedServices(skipped) }
  })

function nodeOf({ node: given }: TraceOptions, { nodes }: Names): NodeInfo | undefined {
  if (given === undefined) return nodes.size === 1 ? [...nodes.values()][0] : undefined
  const node = nodes.get(given)
  if (node !== undefined) return node
  throw new CliError('USAGE', `--node ${given} is not in the input`)
}

export interface Found {
  readonly packet: ResolvedPacket
  readonly nodeAddresses: readonly string[]
  readonly maybeNodeAddresses: readonly string[]
}

export function resolved(
  packet: PacketText,
  options: TraceOptions,
  { names, node }: { readonly names: Names | undefined; readonly node: NodeInfo | undefined },
): Found {
  const ofInterfaces = (interfacesOf(options) ?? []).flatMap(({ addresses }) => addresses)
  const nodeAddresses = [...(interfaceAddressesOf(options) ?? node?.addresses ?? []), ...ofInterfaces].filter(
    (text) => !isLoopback(text),
  )
  const family = options.family === undefined ? undefined : onlyFamily(options)
  const found = resolvePacket({ packet, names, node, nodeAddresses, family })
  const isGiven = options.nodeAddress !== undefined || options.interfaceAddress !== undefined
  const maybeNodeAddresses = !isGiven && isNodePortElsewhere(found, names) ? [found.destination] : []
  return { packet: found, nodeAddresses, maybeNodeAddresses }
}

function onlyFamily(options: TraceOptions): IpFamily | undefined {
  if (options.family === 'dual') throw new CliError('USAGE', 'a packet is of one family: give --family ipv4 or ipv6')
  return familiesOf(options, {})[0]
}

interface AssumedArrival {
  readonly inInterface: string | undefined
  readonly assumptions: readonly Assumption[]
}

/** Of a packet that is no pod's, the interface stays unknown: which one it is, no configuration says. */
export function assumedArrival(
  { inInterface }: TraceOptions,
  { packet, config }: { readonly packet: ResolvedPacket; readonly config: ProxyConfig },
): AssumedArrival {
  const arrival = arrivalOf(packet, config)
  if (inInterface !== undefined || arrival.type !== 'pod') return { inInterface, assumptions: [] }
  const { interface: name, prefix } = arrival
  const words = prefix === undefined ? name : `an interface that begins with ${prefix}`
  const message = `${packet.source} is a pod of this node: taken to arrive by ${words}`
  return { inInterface: name, assumptions: [{ code: 'IN_INTERFACE', message }] }
}

export async function questionOf(
  options: TraceOptions,
  {
    packet,
    nodeAddresses,
    maybeNodeAddresses,
    listings,
    inInterface,
  }: Found & Pick<AskedTrace, 'listings'> & { readonly inInterface: string | undefined },
  { stdin }: Pick<Context, 'stdin'>,
): Promise<TraceQuestion> {
  const { protocol, source, sourcePort, destination, destinationPort, from } = packet
  return {
    packet: {
      protocol: protocol.toLowerCase(),
      source,
      sourcePort,
      destination,
      destinationPort,
      from,
      inInterface,
      outInterface: options.outInterface,
      ...connectionOf(options),
      ...senderOf(options),
    },
    surroundings: {
      nodeAddresses,
      maybeNodeAddresses,
      interfaces: interfacesOf(options),
      ipsets: options.ipset && (await readText(options.ipset, byteStream(stdin), MAX_SAVE_BYTES)).text,
      affinity: affinityEntries(options, {
        lists: () => listings.flatMap(({ dataplane, rules }) => dataplane.affinityLists(rules)),
        source,
      }),
    },
    everyRule: options.everyRule,
  }
}

/** An unknown fact that a verdict depends on: a clause for a person, and the option of `trace` that says it. */
export interface Dependence {
  readonly code: DependenceCode
  readonly text: string
  readonly option?: string | undefined
}

/** How to say what is known. */
const OPTIONS: { readonly [code in DependenceCode]?: string } = {
  SET_MEMBER: '--ipset',
  IN_INTERFACE: '--in-interface',
  OUT_INTERFACE: '--out-interface',
  BRIDGE_PORT: '--physdev-in, --physdev-out',
  SOURCE_PORT: 'SOURCE:PORT',
  SOURCE_ADDRESS: '--interface-address',
  MAC_ADDRESS: '--mac',
  OWNER: '--uid, --gid',
  RECENT: '--affinity',
  NODE_ADDRESS: '--node-address, --ipset',
}

/** Each once, in the order in which rules ask. */
export function dependencesOf({ dependsOn = [], ways }: Trace): readonly Dependence[] {
  const found = new Map<string, Dependence>()
  const add = ({ code, text }: Pick<Dependence, 'code' | 'text'>): void =>
    void found.set(text, { code, text, option: OPTIONS[code] })
  for (const one of dependsOn) add(one)
  for (const { end } of ways) if (end.fate === 'depends') add({ code: 'PROGRAM', text: end.on })
  return [...found.values()]
}

/** `known`: it follows from the rules and the input alone. */
export function certaintyOf(trace: Trace, assumptions: readonly Assumption[]): 'known' | 'assumed' | 'depends' {
  if (trace.cases !== undefined || trace.fates.some(({ fate }) => fate === 'depends')) return 'depends'
  return assumptions.length > 0 ? 'assumed' : 'known'
}

/** 0: it reaches endpoints, 1: it does not, or may not by chance, 4: that depends on unknown facts. */
export function exitStatusOf({ fate, fates }: Trace): 0 | 1 | 4 {
  if (fate === 'depends' || fates.some((one) => one.fate === 'depends')) return 4
  return fates.every((one) => one.fate === 'endpoints') ? 0 : 1
}
