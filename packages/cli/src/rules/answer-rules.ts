import {
  type ChainOwner,
  frontWays,
  isServiceChain,
  type OwnedRule,
  ownedRules,
  planRuleset,
  planService,
  renderSave,
  type Ruleset,
  rulesetContext,
  type RulesetOptions,
  savedTablesOf,
  type ServiceRules,
  TABLES,
} from '@pointsman/backend-iptables'
import { displayName, type ProxyConfig, type ServicePort, type State } from '@pointsman/core'
import { CliError } from '../errors.js'
import { didYouMean } from '../input/suggest.js'
import type { Style } from '../output/colour.js'
import { chainText, ruleLine } from './chain-text.js'
import { frontItem } from './front-item.js'
import { endpointText } from './front-text.js'
import type { RulesTarget } from './rules-target.js'
import { chainMeanings, type PortRules, portRulesText } from './service-rules-text.js'

export interface RulesAsked {
  readonly state: State
  readonly config: ProxyConfig
  readonly options: RulesetOptions
  /** `at seq 108`, for errors. */
  readonly when: string
}

/** Rules, in each of the forms that they are printed in; made when it is asked for. */
export interface RulesAnswer {
  readonly rules: () => Iterable<OwnedRule>
  /** What iptables-save would print. */
  readonly save: () => Iterable<string>
  /** Where the fronts of a service lead; absent where no service was asked about. */
  readonly fronts?: () => readonly object[]
  /** For people; absent where that is what iptables-save prints. */
  readonly text?: (style: Style) => readonly string[]
}

/** CliError NOT_FOUND for a chain that there is not. Of a service only its own rules are planned. */
export function answerRules(target: RulesTarget, asked: RulesAsked): RulesAnswer {
  switch (target.type) {
    case 'all': {
      const ruleset = planRuleset(asked.state, asked.config, asked.options)
      return { rules: () => ownedRules(ruleset), save: () => renderSave(ruleset) }
    }
    case 'service':
      return answerService(target.ports.map((port) => portRules(port, asked)))
    case 'owned-chain':
      return answerOwnedChain(target, asked)
    case 'chain':
      return answerSharedChain(target.chain, asked)
  }
}

function portRules(port: ServicePort, { state, config, options }: RulesAsked): PortRules {
  const context = rulesetContext(state, config, options)
  const endpoints = state.endpoints.get(port.id) ?? []
  return { port, endpoints, context, plan: planService(port, endpoints, context) }
}

function answerService(ports: readonly PortRules[]): RulesAnswer {
  const rules = (): readonly OwnedRule[] => ports.flatMap(({ plan }) => [...rulesOf(plan)])
  const fronts = (): readonly object[] =>
    ports.flatMap(({ port, endpoints, context }) =>
      frontWays(port, endpoints, context).map((way) => frontItem(port, way)),
    )
  return { rules, fronts, save: () => [], text: (style) => spaced(ports.map((port) => portRulesText(port, style))) }
}

function answerOwnedChain(
  { chain, owner }: { readonly chain: string; readonly owner: ChainOwner },
  asked: RulesAsked,
): RulesAnswer {
  const port = portRules(owner.port, asked)
  const rules = [...rulesOf(port.plan)].filter((owned) => owned.chain === chain)
  if (rules.length === 0) throw notInUse(chain, owner, asked)
  const leading = [...rulesOf(port.plan)].filter(
    ({ rule }) => rule.target?.type === 'jump' && rule.target.chain === chain,
  )
  const meaning = chainMeanings(port.port, port.endpoints).get(chain) ?? ''
  return {
    rules: () => rules,
    save: () => [],
    text: (style) => [
      `${style.bold(displayName(port.port))} ${port.port.protocol}`,
      ...chainText({ table: 'nat', chain, meaning, rules }, style),
      '',
      style.dim('led to by'),
      ...leading.map((rule) => `  ${ruleLine(rule)}`),
    ],
  }
}

function notInUse(chain: string, { port, endpoint }: ChainOwner, { when }: RulesAsked): CliError {
  const whose = `${displayName(port)}${endpoint === undefined ? '' : ` -> ${endpointText(endpoint)}`}`
  return new CliError(
    'NOT_FOUND',
    `${chain} is the chain of ${whose}, and there are no such rules ${when}: \`pointsman blame ${chain}\` says what took them away`,
  )
}

/** With a line before the rules of each service port. */
function answerSharedChain(chain: string, { state, config, options, when }: RulesAsked): RulesAnswer {
  const ruleset = planRuleset(state, config, options)
  const saved = savedTablesOf(ruleset).filter(({ chains }) => chains.some((each) => each.chain === chain))
  if (saved.length === 0) throw noSuchChain(chain, ruleset, when)
  const rules = [...ownedRules(ruleset)].filter((owned) => owned.chain === chain)
  const tables = TABLES.filter((table) => saved.some((each) => each.table === table))
  return {
    rules: () => rules,
    save: () => [],
    text: (style) =>
      spaced(
        tables.map((table) => {
          const own = rules.filter((owned) => owned.table === table)
          const meaning = own.length === 0 ? 'no rules' : ''
          return chainText({ table, chain, meaning, rules: own }, style)
        }),
      ),
  }
}

function noSuchChain(chain: string, ruleset: Ruleset, when: string): CliError {
  if (isServiceChain(chain)) {
    return new CliError(
      'NOT_FOUND',
      `no service port and no endpoint has the chain ${chain} ${when}: \`pointsman blame ${chain}\` looks for it in all of the log`,
    )
  }
  const known = savedTablesOf(ruleset).flatMap(({ chains }) => chains.map((each) => each.chain))
  const shared = [...new Set(known)].filter((name) => !isServiceChain(name))
  const hint = didYouMean(chain, shared)
  return new CliError(
    'NOT_FOUND',
    `there is no chain ${chain} ${when}${hint === '' ? `: those that all services share are ${shared.join(', ')}` : hint}`,
  )
}

/** Blocks of lines with an empty line between two. */
const spaced = (blocks: readonly (readonly string[])[]): readonly string[] =>
  blocks.flatMap((lines, index) => (index === 0 ? lines : ['', ...lines]))

const rulesOf = (plan: ServiceRules): Iterable<OwnedRule> =>
  ownedRules({ family: 'IPv4', base: { chains: [], jumps: [] }, services: [plan] })
