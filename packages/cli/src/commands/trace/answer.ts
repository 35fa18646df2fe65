import {
  type AffinityEntry,
  type AffinityList,
  arrivalOf,
  type Assumption,
  buildState,
  type Dataplane,
  type InterfaceAddresses,
  type IpFamily,
  type LoadedRules,
  type NodeInfo,
  parseAddress,
  type ProxyConfig,
  type TracedPacket,
  type TraceQuestion,
  isLoopback,
} from '@pointsman/core'
import { readText } from '@pointsman/core/io'
import { type Context, dataplaneOf, warn } from '../../context.js'
import { CliError } from '../../errors.js'
import {
  askedObjects,
  type AskedObjects,
  byteStream,
  type Input,
  type InputOptions,
  withInput,
  type PointOptions,
} from '../../input/open-input.js'
import { MAX_SAVE_BYTES, readSave } from '../../input/read-save.js'
import {
  familiesOf,
  interfaceAddressesOf,
  rulesQuestion,
  type RulesQuestionOptions,
} from '../../input/rules-question.js'
import { warnOfDiagnostics } from '../../output/format-text.js'
import { isNodePortElsewhere, type Names, skippedServices } from '../../packet/names.js'
import { type PacketText, parsePacket, portNumber } from '../../packet/parse-packet.js'
import { meansBothFamilies, type ResolvedPacket, resolvePacket } from '../../packet/resolve-packet.js'

/** As commander parses the options of `trace`. */
export interface TraceOptions extends InputOptions, PointOptions, RulesQuestionOptions, ConnectionOptions {
  readonly rules?: string
  readonly inInterface?: string
  readonly outInterface?: string
  readonly everyRule?: true
  readonly ipset?: string
  readonly interfaceAddress?: readonly string[]
  readonly uid?: string
  readonly gid?: string
  readonly mac?: string
  readonly physdevIn?: string
  readonly physdevOut?: string
}

/** What the trace is asked, and what names there are. */
export interface AskedTrace {
  readonly packet: ResolvedPacket
  readonly dataplane: Dataplane
  readonly rules: LoadedRules
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
    const rules = dataplane.loaded(plan)
    const arrival = assumedArrival(options, { packet: found.packet, config })
    return {
      ...found,
      dataplane,
      rules,
      question: await questionOf(options, { ...found, dataplane, rules, inInterface: arrival.inInterface }, context),
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
  options: TraceOptions & { readonly rules: string },
  context: Context,
): Promise<AskedTrace> {
  checkRulesOptions(options)
  // No configuration says of which mode they are.
  const [dataplane] = context.dataplanes
  const { rules } = await readSave({ path: options.rules, dataplane, family: familyWanted(packet, options) }, context)
  const names = options.log === undefined && options.objects === undefined ? undefined : await namesOf(options, context)
  const node = names === undefined ? undefined : nodeOf(options, names)
  if (node === undefined && options.nodeAddress === undefined && options.interfaceAddress === undefined)
    warn(context, 'no address of the node is known, so that none but loopback counts as its own: give --node-address')
  const found = resolved(packet, options, { names, node })
  const question = await questionOf(options, { ...found, dataplane, rules, inInterface: options.inInterface }, context)
  const assumptions = (rules.notes ?? []).map((message): Assumption => ({ code: 'RULES_INFERRED', message }))
  return { ...found, dataplane, rules, question, assumptions, names, node }
}

/** Of `--family`, else that of an address in the packet. */
function familyWanted({ source, destination }: PacketText, options: TraceOptions): IpFamily | undefined {
  if (options.family !== undefined) return onlyFamily(options)
  return parseAddress(destination.host)?.family ?? parseAddress(source.host)?.family
}

/** What decides about rules has no say in those that are given. */
function checkRulesOptions(options: TraceOptions & { readonly rules: string }): void {
  const given = RULE_OPTIONS.filter((option) => options[option] !== undefined)
  const [first] = given.map((option) => `--${option.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`)
  if (first !== undefined)
    throw new CliError(
      'USAGE',
      `${first} decides which rules there are, and --rules gives them: leave one of the two out`,
    )
  const fromStdin = [options.rules, options.ipset, ...(options.objects ?? [])].filter((file) => file === '-')
  if (options.rules === '-' && options.objects?.includes('-') === true)
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

interface Found {
  readonly packet: ResolvedPacket
  readonly nodeAddresses: readonly string[]
  readonly maybeNodeAddresses: readonly string[]
}

function resolved(
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
function assumedArrival(
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

async function questionOf(
  options: TraceOptions,
  {
    packet,
    nodeAddresses,
    maybeNodeAddresses,
    dataplane,
    rules,
    inInterface,
  }: Found & Pick<AskedTrace, 'dataplane' | 'rules'> & { readonly inInterface: string | undefined },
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
      affinity: affinityEntries(options, { lists: () => dataplane.affinityLists(rules), source }),
    },
    everyRule: options.everyRule,
  }
}

/** What is known of who sends the packet, and by which ports of a bridge. CliError USAGE for what is none of it. */
function senderOf({
  uid,
  gid,
  mac,
  physdevIn,
  physdevOut,
}: TraceOptions): Pick<TracedPacket, 'uid' | 'gid' | 'mac' | 'bridgeIn' | 'bridgeOut'> {
  if (mac !== undefined && !/^(?:[\da-f]{2}:){5}[\da-f]{2}$/i.test(mac))
    throw new CliError('USAGE', `--mac ${JSON.stringify(mac)} is no MAC address: give one as 00:16:3e:00:00:01`)
  return {
    uid: idOf('--uid', uid),
    gid: idOf('--gid', gid),
    mac: mac?.toLowerCase(),
    bridgeIn: physdevIn === 'none' ? '' : physdevIn,
    bridgeOut: physdevOut === 'none' ? '' : physdevOut,
  }
}

function idOf(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  if (/^\d{1,10}$/.test(text)) return Number(text)
  throw new CliError(
    'USAGE',
    `${option} ${JSON.stringify(text)} is no number: give the numeric id, as \`id\` prints it`,
  )
}

function interfacesOf({ interfaceAddress = [] }: TraceOptions): readonly InterfaceAddresses[] | undefined {
  const byName = new Map<string, string[]>()
  for (const text of interfaceAddress) {
    const at = text.indexOf('=')
    const name = text.slice(0, Math.max(0, at))
    const address = parseAddress(text.slice(at + 1))?.text
    if (name === '' || address === undefined)
      throw new CliError(
        'USAGE',
        `--interface-address ${JSON.stringify(text)} is none: give NAME=ADDRESS, as cni0=10.244.1.1`,
      )
    byName.set(name, [...(byName.get(name) ?? []), address])
  }
  return byName.size === 0 ? undefined : [...byName].map(([name, addresses]) => ({ name, addresses }))
}

/** What is known of the packet's connection and its client, as commander parses it. */
interface ConnectionOptions {
  readonly state?: 'new' | 'established' | 'invalid'
  readonly connection?: string
  readonly affinity?: readonly string[]
}

/** CliError USAGE where they contradict each other, or an endpoint cannot be read. */
function connectionOf({ state = 'new', connection }: ConnectionOptions): Pick<TracedPacket, 'state' | 'connection'> {
  if (connection === undefined) return { state: STATES[state] }
  if (state !== 'established')
    throw new CliError(
      'USAGE',
      '--connection says where an established connection goes: give --state established with it',
    )
  const [, bracketed, bare, port = ''] = /^(?:\[([^\]]+)\]|([^:]+)):(\d+)$/.exec(connection) ?? []
  const address = parseAddress(bracketed ?? bare ?? '')?.text
  if (address === undefined) throw new CliError('USAGE', `--connection ${connection} is no endpoint: give ADDRESS:PORT`)
  return { state: 'ESTABLISHED', connection: { destination: { address, port: portNumber(port) } } }
}

const STATES = { new: 'NEW', established: 'ESTABLISHED', invalid: 'INVALID' } as const

/**
 * Which lists of session affinity the sender is on: those of `--affinity`, a list's name or the endpoint that it leads to.
 * Undefined: nothing is said about it. CliError NOT_FOUND for one that no rule has.
 */
function affinityEntries(
  { affinity }: ConnectionOptions,
  { lists, source }: { readonly lists: () => readonly AffinityList[]; readonly source: string },
): readonly AffinityEntry[] | undefined {
  if (affinity === undefined) return undefined
  const known = lists()
  return affinity
    .filter((wanted) => wanted !== 'none')
    .flatMap((wanted) => {
      const found = known.filter(({ list, leadsTo }) => list === wanted || leadsTo === wanted)
      if (found.length > 0) return found.map(({ list }) => ({ list, address: source }))
      throw new CliError(
        'NOT_FOUND',
        `--affinity ${wanted}: no rule remembers clients under this name, or of this endpoint`,
      )
    })
}
