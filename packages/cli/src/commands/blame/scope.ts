import {
  type ChainOwner,
  type ChangeLogReader,
  type Dataplane,
  displayName,
  endpointKey,
  type FormerChainOwner,
  type IpFamily,
  type RuleItem,
  RuleTextError,
  type Seq,
  serviceName,
  type ServiceName,
  type State,
} from '@pointsman/core'
import { CliError } from '../../errors.js'
import { serviceFilter } from '../log/history.js'
import { namesChain, otherFamily, ownerInFamily } from '../rules/answer.js'

/** Which rules are asked about, and whose records decide about them. */
export interface BlameScope {
  /** What was asked for, in the words of the answer: `shop/checkout`, `KUBE-SEP-... (shop/checkout:http -> 10.244.1.14:8080)`. */
  readonly title: string
  /** Absent: every record may have touched them. */
  readonly service?: ServiceName
  readonly accepts: (item: RuleItem) => boolean
  /** Where none is there now, the last ones that were there are shown. */
  readonly whenGone: boolean
}

interface ScopeQuestion {
  readonly dataplane: Dataplane
  readonly reader: ChangeLogReader
  readonly toSeq: Seq
  readonly state: Pick<State, 'services' | 'endpoints'>
  readonly family: IpFamily
}

/**
 * What SERVICE, CHAIN or RULE on the command line names. A chain with a hash is looked for in the state first, and then in
 * all of the log, which yields where it has come to. CliError NOT_FOUND with what helps.
 */
export function* blameScope(text: string | undefined, question: ScopeQuestion): Generator<Seq, BlameScope, undefined> {
  if (text === undefined) return { title: 'all services', accepts: () => true, whenGone: false }
  if (/\s/.test(text.trim())) return yield* ruleScope(text, question)
  if (namesChain(text)) return yield* chainScope(text, question)
  const { namespace, name } = serviceFilter({ reader: question.reader, service: text, namespace: undefined })
  return ofService(serviceName(namespace, name))
}

/** Rules of no service are nobody's here. */
const ofService = (service: ServiceName): BlameScope => ({
  title: service,
  service,
  accepts: ({ owner }) => owner !== undefined,
  whenGone: true,
})

function* chainScope(chain: string, question: ScopeQuestion): Generator<Seq, BlameScope, undefined> {
  const accepts: BlameScope['accepts'] = (rule) => rule.chain === chain
  if (!question.dataplane.isServiceChain(chain)) return { title: chain, accepts, whenGone: false }
  const owner = yield* ownerAtAnyTime(chain, question)
  return { title: `${chain} (${whose(owner)})`, service: owner.service, accepts, whenGone: true }
}

function* ruleScope(text: string, question: ScopeQuestion): Generator<Seq, BlameScope, undefined> {
  const { dataplane } = question
  const item = pastedItem(text, dataplane)
  const { chain, bareIdentity } = item
  const accepts: BlameScope['accepts'] = (blamed) => blamed.chain === chain && blamed.bareIdentity === bareIdentity
  const named = [chain, dataplane.targetOf(item) ?? ''].find((name) => dataplane.isServiceChain(name))
  if (named !== undefined) {
    const owner = yield* ownerAtAnyTime(named, question)
    return { title: `a rule of ${whose(owner)}`, service: owner.service, accepts, whenGone: true }
  }
  const service = dataplane.serviceNamedBy(item)
  const scope = { title: `a rule of ${service ?? chain}`, accepts, whenGone: true }
  return service === undefined ? scope : { ...scope, service }
}

/** CliError USAGE for what is no rule. */
function pastedItem(text: string, dataplane: Pick<Dataplane, 'parseItem'>): RuleItem {
  try {
    return dataplane.parseItem(text)
  } catch (error) {
    if (!(error instanceof RuleTextError)) throw error
    throw new CliError('USAGE', error.message, { cause: error })
  }
}

function* ownerAtAnyTime(chain: string, question: ScopeQuestion): Generator<Seq, FormerChainOwner, undefined> {
  const { dataplane, family } = question
  const owner = ownerInFamily(chain, question)
  if (owner !== undefined) return foundNow(owner)
  const found = yield* dataplane.formerOwnerOfChain(chain, question)
  // The chains of a service port have the same names in both families.
  if (found?.endpoint !== undefined && found.family !== family) throw otherFamily(chain, found.family)
  if (found !== undefined) return found
  throw new CliError(
    'NOT_FOUND',
    `no service port and no endpoint up to seq ${question.toSeq} has the chain ${chain}: is it whole, and of this cluster?`,
  )
}

const foundNow = ({ port, endpoint }: ChainOwner): FormerChainOwner => ({
  ...port,
  ...(endpoint && { endpoint: endpointKey(endpoint) }),
})

const whose = (owner: FormerChainOwner): string =>
  `${displayName(owner)}${owner.endpoint === undefined ? '' : ` -> ${owner.endpoint}`}`
