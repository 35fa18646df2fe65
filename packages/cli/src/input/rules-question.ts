import { buildState, nodeWithoutObject } from '@pointsman/core'
import type { Diagnostic, NodeInfo, ProxyConfig, State } from '@pointsman/core'
import { type Context, warn } from '../context.js'
import type { AskedObjects } from './asked-objects.js'
import { nodeNameFor } from './node-name.js'
import { type ConfigOptions, resolveConfig } from './proxy-config.js'
import { checkLayout, type RulesetCommandOptions } from './ruleset-options.js'

export interface RulesQuestionOptions extends ConfigOptions, RulesetCommandOptions {
  readonly node?: string
}

/** All that the rules of a node are made from. */
export interface RulesQuestion {
  readonly state: State
  readonly config: ProxyConfig
  readonly diagnostics: readonly Diagnostic[]
}

/**
 * The state of the objects as the node sees it, with the effective configuration. What is not known of the node is said on
 * standard error. CliError USAGE for a node that the input does not know, and for options that contradict each other.
 */
export async function rulesQuestion(
  { objects, seq, logged, configuredNode }: AskedObjects,
  options: RulesQuestionOptions,
  context: Context,
): Promise<RulesQuestion> {
  const config = await resolveConfig(options, logged, context)
  checkLayout(options, config)
  const { state, diagnostics } = buildState({ objects, ...(seq !== undefined && { seq }) })
  const name = nodeNameFor({ given: options.node, configured: config.nodeName ?? configuredNode, state })
  const node = name === undefined ? undefined : (state.nodes.get(name) ?? nodeWithoutObject(name))
  warnOfUnknownNode({ state, node }, context)
  const { node: _, ...others } = state
  return {
    state: { ...others, ...(node && { node }) },
    config: { ...config, ...(name !== undefined && { nodeName: name }) },
    diagnostics,
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
