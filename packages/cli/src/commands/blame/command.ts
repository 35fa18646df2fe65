import {
  blameRules,
  displayName,
  endpointKey,
  RuleTextError,
  serviceName,
  type Blame,
  type ChainOwner,
  type ChangeLogReader,
  type Dataplane,
  type FormerChainOwner,
  type IpFamily,
  type RuleItem,
  type Seq,
  type ServiceName,
  type State,
} from '@pointsman/core'
import type { Command } from 'commander'
import { dataplaneOf, type Context } from '../../context.js'
import { CliError } from '../../errors.js'
import {
  askedObjects,
  describeAsked,
  openLog,
  withLogOption,
  withPointOptions,
  type AskedObjects,
  type Input,
  type InputOptions,
  type PointOptions,
} from '../../input/open-input.js'
import { givesConfig, withConfigOptions } from '../../input/proxy-config.js'
import {
  familyAsked,
  interfaceAddressesOf,
  rulesQuestion,
  withRulesetOptions,
  type RulesQuestion,
  type RulesQuestionOptions,
} from '../../input/rules-question.js'
import { formatCount, withExamples } from '../../output/format-text.js'
import {
  documentLines,
  jsonLines,
  outputOption,
  parseFormat,
  pointJson,
  writePieces,
  type Format,
} from '../../output/json.js'
import { runSteps } from '../../output/progress.js'
import { serviceFilter } from '../log/history.js'
import { namesChain, otherFamily, ownerInFamily } from '../rules/answer.js'
import { blameItem } from './json.js'
import type { BlameItemJson, BlameListJson } from './schema.js'
import { blameText, goneText } from './text.js'

interface BlameOptions extends Pick<InputOptions, 'log'>, PointOptions, RulesQuestionOptions {
  readonly nfacct?: true
  readonly output?: string
}

const FORMATS = ['text', 'json', 'jsonl'] as const

export function registerBlame(program: Command, context: Context): void {
  const command = program
    .command('blame')
    .argument(
      '[target]',
      'only the rules of this Service (NAME or NAMESPACE/NAME) or chain (KUBE-SEP-...), or this rule (a line of iptables-save)',
    )
    .summary('show the record that last changed each rule: when, what, and by whom')
    .description(
      'Shows each rule with the record that last changed its text: the object, its version, and the author. Marks rules of which only the probability changed, because other endpoints were added or removed. A pasted chain or rule needs no comment and may be gone: blame then names the record that removed it. Shows rules with comments, even if the cluster is too large for kube-proxy to write them.',
    )
    .option('--node <name>', "use this node's rules (default: the configured node, else the only Node)")
    .option('--nfacct', 'include the nfacct packet counters that kube-proxy adds where nfacct(8) works')
    .addOption(outputOption(FORMATS))
    .action(async (target: string | undefined, options: BlameOptions) => blame(target, options, context))
  withRulesetOptions(command, {
    family: "ipv4 or ipv6 (default: the Node's primary family)",
    addresses: 'those of the Node object',
  })
  withExamples(withConfigOptions(withLogOption(withPointOptions(command))), [
    'pointsman blame shop/checkout --log shop.db --at 14:03',
    'pointsman blame KUBE-SEP-7QAUW7YOD5YU2AQB --log shop.db',
    "pointsman blame '-A KUBE-SERVICES -d 10.96.50.2/32 -p tcp -m tcp --dport 80 -j REJECT --reject-with icmp-port-unreachable' --log shop.db",
    'pointsman blame shop/checkout --log shop.db -o jsonl | jq .changed.author.manager',
  ])
}

async function blame(target: string | undefined, options: BlameOptions, context: Context): Promise<void> {
  const format = parseFormat(options.output, FORMATS)
  const interfaceAddresses = interfaceAddressesOf(options)
  const input: Extract<Input, { type: 'log' }> = { type: 'log', ...openLog(options, context) }
  const { reader } = input
  try {
    const asked = askedObjects(input, options, context)
    const question = await rulesQuestion(asked, options, context)
    const dataplane = dataplaneOf(context, question.config)
    const family = familyAsked(options, question, context)
    const toSeq = asked.point?.seq ?? reader.info().lastSeq
    const line = (seq: Seq): string => `seq ${formatCount(seq)} of ${formatCount(toSeq)}`
    const scope = await runSteps(
      blameScope(target, { dataplane, reader, toSeq, state: question.state, family }),
      (seq) => `looking for the chain: ${line(seq)}`,
      context,
    )
    if (scope === undefined) return
    const found = await runSteps(
      blameRules({
        planner: dataplane,
        reader,
        toSeq,
        service: scope.service,
        nodeName: question.config.nodeName,
        config: givesConfig(options) || asked.logged === undefined ? question.config : 'recorded',
        options: { family, nfacct: options.nfacct, interfaceAddresses },
        accepts: scope.accepts,
      }),
      line,
      context,
    )
    if (found === undefined) return
    const rules = rulesToTell(found, scope, asked)
    await writePieces(linesOf({ dataplane, format, asked, question, family, scope, found, rules }, context), context)
  } finally {
    reader.close()
  }
}

type Told = Blame['rules'] | Blame['lastGone']

/** CliError NOT_FOUND where there is none, and was none. */
function rulesToTell({ rules, lastGone }: Blame, { title, whenGone }: BlameScope, { point }: AskedObjects): Told {
  if (rules.length > 0) return rules
  if (whenGone && lastGone.length > 0) return lastGone
  const until = point === undefined ? '' : ` up to seq ${point.seq}`
  throw new CliError('NOT_FOUND', `${title}: no such rules found${until}, past or present`)
}

interface Answer {
  readonly dataplane: Dataplane
  readonly format: Format
  readonly asked: AskedObjects
  readonly question: RulesQuestion
  readonly family: IpFamily
  readonly scope: BlameScope
  readonly found: Blame
  readonly rules: Told
}

function linesOf(
  { dataplane, format, asked, question, family, scope, found, rules }: Answer,
  { style }: Context,
): Iterable<string> {
  const { editBehind } = found
  const items = (): Iterable<BlameItemJson> => rules.map((rule) => blameItem(rule, { editBehind, dataplane }))
  if (format === 'jsonl') return jsonLines(items())
  const { node } = question.state
  if (format === 'json')
    return documentLines<BlameListJson>(
      {
        kind: 'BlameList',
        at: pointJson(asked.point ?? { seq: 0 }),
        node: node?.name,
        family,
        layout: question.config.layout,
      },
      items(),
    )
  const whose = node === undefined ? '' : `, node ${node.name}`
  const at = asked.point?.time
  const lines =
    found.rules.length > 0
      ? blameText({ dataplane, rules: found.rules, at, editBehind }, style)
      : goneText({ dataplane, title: scope.title, rules: found.lastGone, at, editBehind }, style)
  const isBlamed = found.rules.some(({ changed }) => changed.cause.type !== 'start')
  const head = `${describeAsked(asked)}${whose}: ${family} rules of ${scope.title}${isBlamed ? ', last changed by' : ''}`
  return [style.dim(head), ...lines]
}

/** Which rules are asked about, and whose records decide about them. */
interface BlameScope {
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
function* blameScope(text: string | undefined, question: ScopeQuestion): Generator<Seq, BlameScope, undefined> {
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
