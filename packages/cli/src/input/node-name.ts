import type { State } from '@pointsman/core'
import { CliError } from '../errors.js'
import { didYouMean } from './suggest.js'

export interface NodeQuestion {
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
    const names = known.length === 0 ? 'which has none' : `which has ${listed(known)}`
    throw new CliError('USAGE', `--node ${given} is not in the input, ${names}${didYouMean(given, known)}`)
  }
  if (configured !== undefined) return configured
  if (nodes.size > 1)
    throw new CliError(
      'USAGE',
      `several Nodes in the input: give --node with one of ${listed([...nodes.keys()].sort())}`,
    )
  return nodes.size === 1 ? [...nodes.keys()][0] : undefined
}

function* nodesOfEndpoints({ endpoints }: NodeQuestion['state']): Generator<string> {
  for (const list of endpoints.values()) for (const { nodeName } of list) if (nodeName !== undefined) yield nodeName
}

function listed(names: readonly string[]): string {
  return names.length <= 10 ? names.join(', ') : `${names.slice(0, 10).join(', ')} and ${names.length - 10} more`
}
