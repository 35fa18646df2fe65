import { type Blame, blameRules, type Dataplane, type IpFamily, type Seq } from '@pointsman/core'
import type { Command } from 'commander'
import { type Context, dataplaneOf } from '../../context.js'
import { CliError } from '../../errors.js'
import {
  askedObjects,
  type AskedObjects,
  describeAsked,
  type Input,
  type InputOptions,
  openLog,
  type PointOptions,
  withLogOption,
  withPointOptions,
} from '../../input/open-input.js'
import { givesConfig, withConfigOptions } from '../../input/proxy-config.js'
import {
  familyAsked,
  interfaceAddressesOf,
  rulesQuestion,
  type RulesQuestion,
  type RulesQuestionOptions,
  withRulesetOptions,
} from '../../input/rules-question.js'
import { formatCount, withExamples } from '../../output/format-text.js'
import {
  documentLines,
  type Format,
  jsonLines,
  outputOption,
  parseFormat,
  pointJson,
  writePieces,
} from '../../output/json.js'
import { runSteps } from '../../output/progress.js'
import { blameItem } from './json.js'
import { blameScope, type BlameScope } from './scope.js'
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
