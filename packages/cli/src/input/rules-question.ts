import {
  buildState,
  type Dataplane,
  type Diagnostic,
  type IpFamily,
  type Layout,
  LAYOUTS,
  type NodeInfo,
  nodeWithoutObject,
  parseAddress,
  type ProxyConfig,
  type SkippedPort,
  type State,
  shortList,
} from '@pointsman/core'
import { type Command, Option } from 'commander'
import { type Context, warn } from '../context.js'
import { CliError } from '../errors.js'
import type { AskedObjects } from './open-input.js'
import { type ConfigOptions, type ModeOptions, resolveConfig } from './proxy-config.js'
import { didYouMean } from './suggest.js'

export interface RulesQuestionOptions extends ConfigOptions, RulesetCommandOptions {
  readonly node?: string
}

/** All that the rules of a node are made from. */
export interface RulesQuestion {
  readonly state: State
  readonly config: ProxyConfig
  readonly diagnostics: readonly Diagnostic[]
  /** Services, and ports of them, that get no rules. */
  readonly skipped: readonly SkippedPort[]
}

/**
 * The state of the objects as the node sees it, with the effective configuration. What is not known of the node is said on
 * standard error. CliError USAGE for a node that the input does not know, and for options that contradict each other.
 */
export async function rulesQuestion(
  { objects, seq, logged, configuredNode }: AskedObjects,
  options: RulesQuestionOptions,
  context: Context,
  mode: ModeOptions = {},
): Promise<RulesQuestion> {
  const config = withLayout(options, await resolveConfig(options, logged, context, mode), context)
  const { state, diagnostics, skipped } = buildState({ objects, ...(seq !== undefined && { seq }) })
  const name = nodeNameFor({ given: options.node, configured: config.nodeName ?? configuredNode, state })
  const node = name === undefined ? undefined : (state.nodes.get(name) ?? nodeWithoutObject(name))
  warnOfUnknownNode({ state, node }, context)
  const { node: _, ...others } = state
  return {
    state: { ...others, ...(node && { node }) },
    config: { ...config, ...(name !== undefined && { nodeName: name }) },
    diagnostics,
    skipped,
  }
}

function warnOfUnknownNode(
  { state, node }: { readonly state: State; readonly node: NodeInfo | undefined },
  context: Context,
): void {
  if (node === undefined) {
    warn(context, "the input has no Node: no endpoint is treated as local, and no address as the node's (add the Node)")
  } else if (!state.nodes.has(node.name)) {
    warn(context, `the input has no Node ${node.name}: its addresses, zone and pod CIDRs are unknown (add the Node)`)
  }
}

/** As commander parses what decides about rules besides kube-proxy's configuration. */
export interface RulesetCommandOptions {
  readonly family?: FamilyChoice
  readonly layout?: Layout
  readonly nodeAddress?: readonly string[]
}

const FAMILIES = {
  ipv4: ['IPv4'],
  ipv6: ['IPv6'],
  dual: ['IPv4', 'IPv6'],
} as const satisfies { readonly [choice: string]: readonly IpFamily[] }
export type FamilyChoice = keyof typeof FAMILIES

interface RulesetOptionTexts {
  readonly family: string
  /** Where they come from by default. */
  readonly addresses: string
  /** Where it comes from by default: the log's configuration, where that is not said. */
  readonly layout?: string
}

/** For commands that write into the tables of this machine. */
export const ON_THIS_MACHINE: RulesetOptionTexts = {
  family: "ipv4, ipv6 or dual (default: the families of the Node's addresses, else dual)",
  addresses: "this machine's",
}

/** For commands that print no rules: what is read depends on it. */
export const endpointsLayoutOption = (): Option =>
  new Option(
    '--layout <layout>',
    'with classic, that of kube-proxy 1.20, Endpoints objects of --objects are used in place of EndpointSlices',
  ).choices(LAYOUTS)

/** Adds `--family`, `--layout` and `--node-address`. */
export const withRulesetOptions = (
  command: Command,
  { family, addresses, layout = "the log's, else current" }: RulesetOptionTexts,
): Command =>
  command
    .addOption(new Option('--family <family>', family).choices(Object.keys(FAMILIES)))
    .addOption(
      new Option(
        '--layout <layout>',
        `the layout of the rules: in mode iptables kube-proxy 1.36's (current) or 1.20's (classic); in mode nftables kube-proxy 1.36's (kube-proxy) or our own (compact); default: ${layout}`,
      ).choices(LAYOUTS),
    )
    .option(
      '--node-address <address>',
      `an address of the node's interfaces (repeatable; default: ${addresses} and loopback)`,
      (address: string, addresses: readonly string[] | undefined) => [...(addresses ?? []), address],
    )

/**
 * The configuration with the layout that `--layout` asks for, else with its own where its data plane has that, else with the
 * data plane's default. CliError USAGE where `--layout` names none that the data plane has.
 */
export function withLayout<Config extends Pick<ProxyConfig, 'mode' | 'layout'>>(
  { layout }: Pick<RulesetCommandOptions, 'layout'>,
  config: Config,
  { dataplanes }: { readonly dataplanes: readonly Pick<Dataplane, 'mode' | 'layouts'>[] },
): Config {
  const layouts = dataplanes.find(({ mode }) => mode === config.mode)?.layouts
  if (layout === undefined)
    return layouts === undefined || layouts.includes(config.layout) ? config : { ...config, layout: layouts[0] }
  if (layouts === undefined || layouts.includes(layout)) return { ...config, layout }
  throw new CliError('USAGE', `--layout ${layout} is none of mode ${config.mode}: it has ${layouts.join(' and ')}`)
}

/** What `--family` asks for, else the families of the node's addresses in its order; none where these are not known. */
export function familiesOf({ family }: RulesetCommandOptions, { node }: Pick<State, 'node'>): readonly IpFamily[] {
  if (family !== undefined) return FAMILIES[family]
  return [...new Set((node?.addresses ?? []).flatMap((address) => parseAddress(address)?.family ?? []))]
}

/**
 * The addresses that the node's interfaces have, as far as they are given: `--node-address` and loopback. Undefined:
 * nothing was given. CliError USAGE for what is no address.
 */
export function interfaceAddressesOf({ nodeAddress }: RulesetCommandOptions): readonly string[] | undefined {
  if (nodeAddress === undefined) return undefined
  const given = nodeAddress.map((text) => {
    const address = parseAddress(text)
    if (address !== undefined) return address.text
    throw new CliError(
      'USAGE',
      `--node-address ${JSON.stringify(text)} is not an IP address: give one without a prefix length`,
    )
  })
  return [...given, '127.0.0.1', '::1']
}

/** `--node all`: every Node of the input, each by itself. A Node of this name cannot be asked for. */
export const asksEveryNode = ({ node }: Pick<RulesQuestionOptions, 'node'>): boolean => node === 'all'

interface NodeQuestion {
  /** `--node`. */
  readonly given: string | undefined
  /** hostnameOverride of the configuration, or the node that an agent's log belongs to. */
  readonly configured: string | undefined
  /** Of the input: its Nodes, and those that endpoints say they are on, are known. */
  readonly state: Pick<State, 'nodes' | 'endpoints'>
}

/**
 * The node that the answer is for: `--node`, else the configuration's, else the only Node in the input; undefined where the
 * input holds no Node. CliError USAGE for a name that the input does not know, and for several Nodes without `--node`.
 */
export function nodeNameFor({ given, configured, state }: NodeQuestion): string | undefined {
  const { nodes } = state
  if (given !== undefined) {
    const known = [...new Set([...nodes.keys(), ...nodesOfEndpoints(state)])].sort()
    if (known.includes(given)) return given
    const names = known.length === 0 ? 'which has none' : `which has ${shortList(known, MOST_NODES)}`
    throw new CliError('USAGE', `--node ${given} is not in the input, ${names}${didYouMean(given, known)}`)
  }
  if (configured !== undefined) return configured
  if (nodes.size > 1)
    throw new CliError(
      'USAGE',
      `several Nodes in the input: give --node with one of ${shortList([...nodes.keys()].sort(), MOST_NODES)}`,
    )
  return nodes.size === 1 ? [...nodes.keys()][0] : undefined
}

function* nodesOfEndpoints({ endpoints }: NodeQuestion['state']): Generator<string> {
  for (const list of endpoints.values()) for (const { nodeName } of list) if (nodeName !== undefined) yield nodeName
}

/**
 * The one family that a question is about: that of `--family`, else the Node's first, else IPv4, which standard error then
 * says. CliError USAGE for `dual`.
 */
export function familyAsked(
  options: RulesetCommandOptions,
  { state }: { readonly state: Pick<State, 'node'> },
  context: Context,
): IpFamily {
  if (options.family === 'dual')
    throw new CliError('USAGE', '--family dual makes two answers: ask for ipv4 and for ipv6 in turn')
  const [first] = familiesOf(options, state)
  if (first === undefined)
    warn(
      context,
      'the node has no address to derive a family from: printing the IPv4 rules (--family ipv6 for the others)',
    )
  return first ?? 'IPv4'
}

export interface VariantOptions {
  readonly iptablesVariant: 'auto' | 'nft' | 'legacy'
}

/** Adds `--iptables-variant`. */
export const withVariantOption = (command: Command, description: string): Command =>
  command.addOption(
    new Option('--iptables-variant <variant>', description).choices(['auto', 'nft', 'legacy']).default('auto'),
  )

const MOST_NODES = 10
