import {
  type ChainOwner,
  type Dataplane,
  displayName,
  endpointText,
  type IpFamily,
  type PlanOptions,
  type ProxyConfig,
  type RuleItem,
  type RulePlan,
  type ServicePort,
  type State,
} from '@pointsman/core'
import { CliError } from '../../errors.js'
import { didYouMean } from '../../input/suggest.js'
import type { Style } from '../../output/terminal.js'
import { frontItem } from './json.js'
import type { FrontJson } from './schema.js'
import { chainText, type PortRules, portRulesText } from './text.js'

interface RulesAsked {
  readonly dataplane: Dataplane
  readonly state: State
  readonly config: ProxyConfig
  readonly options: PlanOptions
  /** `at seq 108`, for errors. */
  readonly when: string
}

/** Rules, in each of the forms that they are printed in; made when it is asked for. */
export interface RulesAnswer {
  readonly rules: () => Iterable<RuleItem>
  /** The listing of the rule system's own tool. */
  readonly save: () => Iterable<string>
  /** Where the fronts of a service lead; absent where no service was asked about. */
  readonly fronts?: () => readonly FrontJson[]
  /** For people; absent where that is the listing. */
  readonly text?: (style: Style) => readonly string[]
}

/** CliError NOT_FOUND for a chain that does not exist. Of a service only its own rules are planned. */
export function answerRules(target: RulesTarget, asked: RulesAsked): RulesAnswer {
  const { dataplane, options } = asked
  const plan = dataplane.plan(asked, options)
  switch (target.type) {
    case 'all':
      return { rules: () => plan.inOrder(plan.parts()), save: () => plan.listing(plan.parts()) }
    case 'service':
      return answerService(target.ports.map((port) => portRules(port, plan, asked)))
    case 'owned-chain':
      return answerOwnedChain(target, plan, asked)
    case 'chain':
      return answerSharedChain(target.chain, plan, asked)
  }
}

function portRules(port: ServicePort, plan: RulePlan, { state, dataplane }: RulesAsked): PortRules {
  const endpoints = state.endpoints.get(port.id) ?? []
  return { dataplane, port, endpoints, plan, planned: plan.ofService(port, endpoints) }
}

function answerService(ports: readonly PortRules[]): RulesAnswer {
  const rules = (): readonly RuleItem[] => ports.flatMap(({ planned }) => planned.items)
  const fronts = (): readonly FrontJson[] =>
    ports.flatMap(({ port, endpoints, plan }) => plan.fronts(port, endpoints).map((path) => frontItem(port, path)))
  return { rules, fronts, save: () => [], text: (style) => spaced(ports.map((port) => portRulesText(port, style))) }
}

function answerOwnedChain(
  { chain, owner }: { readonly chain: string; readonly owner: ChainOwner },
  plan: RulePlan,
  asked: RulesAsked,
): RulesAnswer {
  const { dataplane } = asked
  const { port, endpoints, planned } = portRules(owner.port, plan, asked)
  const rules = planned.items.filter((item) => item.chain === chain)
  const [first] = rules
  if (first === undefined) throw notInUse(chain, owner, asked)
  const leading = planned.items.filter((item) => dataplane.targetOf(item) === chain)
  const meaning = dataplane.chainMeanings({ port, endpoints }).get(chain) ?? ''
  return {
    rules: () => rules,
    save: () => [],
    text: (style) => [
      `${style.bold(displayName(port))} ${port.protocol}`,
      ...chainText({ table: first.table, chain, meaning, rules }, style),
      '',
      style.dim('led to by'),
      ...leading.map(({ line }) => `  ${line}`),
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

/** A chain that all services share, of each table that has one of the name. */
function answerSharedChain(chain: string, plan: RulePlan, asked: RulesAsked): RulesAnswer {
  const tables = plan.places.filter((place) => place.chain === chain).map(({ table }) => table)
  if (tables.length === 0) throw noSuchChain(chain, plan, asked)
  const rules = [...plan.inOrder(plan.parts())].filter((item) => item.chain === chain)
  return {
    rules: () => rules,
    save: () => [],
    text: (style) =>
      spaced(
        tables.map((table) => {
          const own = rules.filter((item) => item.table === table)
          const meaning = own.length === 0 ? 'no rules' : ''
          return chainText({ table, chain, meaning, rules: own }, style)
        }),
      ),
  }
}

function noSuchChain(chain: string, plan: RulePlan, { dataplane, when }: RulesAsked): CliError {
  if (dataplane.isServiceChain(chain)) {
    return new CliError(
      'NOT_FOUND',
      `no service port and no endpoint has the chain ${chain} ${when}: \`pointsman blame ${chain}\` looks for it in all of the log`,
    )
  }
  const shared = [...new Set(plan.places.map((place) => place.chain))]
  const hint = didYouMean(chain, shared)
  return new CliError(
    'NOT_FOUND',
    `there is no chain ${chain} ${when}${hint === '' ? `: those that all services share are ${shared.join(', ')}` : hint}`,
  )
}

/** Blocks of lines with an empty line between two. */
const spaced = (blocks: readonly (readonly string[])[]): readonly string[] =>
  blocks.flatMap((lines, index) => (index === 0 ? lines : ['', ...lines]))

/** What SERVICE or CHAIN on the command line names. */
type RulesTarget =
  | { readonly type: 'all' }
  /** All ports of one Service, of the family that is asked for. */
  | { readonly type: 'service'; readonly name: string; readonly ports: readonly ServicePort[] }
  /** A chain of one service port. */
  | { readonly type: 'owned-chain'; readonly chain: string; readonly owner: ChainOwner }
  /** A chain that all share, or one that nobody in the state has. */
  | { readonly type: 'chain'; readonly chain: string }

interface TargetQuestion {
  readonly dataplane: Dataplane
  readonly text: string | undefined
  readonly state: Pick<State, 'services' | 'endpoints'>
  readonly family: IpFamily
  /** `at seq 108`, for the error. */
  readonly when: string
}

/** Names of Services are in lower case, and those of chains are not. */
export const namesChain = (text: string): boolean => /[A-Z]/.test(text)

/** CliError NOT_FOUND for a Service that the state does not have, USAGE where several namespaces have one of its name. */
export function rulesTarget({ dataplane, text, state, family, when }: TargetQuestion): RulesTarget {
  if (text === undefined) return { type: 'all' }
  if (!namesChain(text)) {
    return serviceTarget(
      text,
      [...state.services.values()].filter((port) => port.family === family),
      when,
    )
  }
  const owner = ownerInFamily(text, { dataplane, state, family })
  return owner === undefined ? { type: 'chain', chain: text } : { type: 'owned-chain', chain: text, owner }
}

/** Whose a chain is; CliError NOT_FOUND where it is of the other family alone, as an endpoint's chain is. */
export function ownerInFamily(
  chain: string,
  { dataplane, state: { services, endpoints }, family }: Pick<TargetQuestion, 'dataplane' | 'state' | 'family'>,
): ChainOwner | undefined {
  const ofFamily = new Map([...services].filter(([, port]) => port.family === family))
  const owner = dataplane.ownerOfChain(chain, { services: ofFamily, endpoints })
  if (owner !== undefined) return owner
  const other = dataplane.ownerOfChain(chain, { services, endpoints })
  if (other !== undefined) throw otherFamily(chain, other.port.family)
  return undefined
}

export const otherFamily = (chain: string, family: IpFamily): CliError =>
  new CliError('NOT_FOUND', `${chain} is a chain of the ${family} rules: ask with --family ${family.toLowerCase()}`)

function serviceTarget(text: string, all: readonly ServicePort[], when: string): RulesTarget {
  const ports = all.filter(({ service, name }) => (text.includes('/') ? service : name) === text)
  const names = [...new Set<string>(ports.map(({ service }) => service))].toSorted()
  const [name] = names
  if (names.length > 1) throw new CliError('USAGE', `${text} is ambiguous: give one of ${names.join(', ')}`)
  if (name !== undefined) return { type: 'service', name, ports: ports.toSorted((a, b) => (a.id < b.id ? -1 : 1)) }
  const known = new Set<string>(all.map((port) => (text.includes('/') ? port.service : port.name)))
  const hint = didYouMean(text, known)
  throw new CliError(
    'NOT_FOUND',
    `there are no rules of a service ${text} ${when}${hint === '' ? ': `pointsman services` lists the services that there are' : hint}`,
  )
}
