import type { ChainOwner, Dataplane, IpFamily, ServicePort, State } from '@pointsman/core'
import { CliError } from '../errors.js'
import { didYouMean } from '../input/suggest.js'

/** What SERVICE or CHAIN on the command line names. */
export type RulesTarget =
  | { readonly type: 'all' }
  /** All ports of one Service, of the family that is asked for. */
  | { readonly type: 'service'; readonly name: string; readonly ports: readonly ServicePort[] }
  /** A chain of one service port. */
  | { readonly type: 'owned-chain'; readonly chain: string; readonly owner: ChainOwner }
  /** A chain that all share, or one that nobody in the state has. */
  | { readonly type: 'chain'; readonly chain: string }

export interface TargetQuestion {
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
  if (names.length > 1) throw new CliError('USAGE', `which ${text}? there are ${names.join(', ')}: give one of them`)
  if (name !== undefined) return { type: 'service', name, ports: ports.toSorted((a, b) => (a.id < b.id ? -1 : 1)) }
  const known = new Set<string>(all.map((port) => (text.includes('/') ? port.service : port.name)))
  const hint = didYouMean(text, known)
  throw new CliError(
    'NOT_FOUND',
    `there are no rules of a service ${text} ${when}${hint === '' ? ': `pointsman services` lists the services that there are' : hint}`,
  )
}
