import type { IpFamily } from '@pointsman/core'
import type { Command } from 'commander'
import { type Context, dataplaneOf } from '../../context.js'
import {
  askedObjects,
  type AskedObjects,
  describeAsked,
  type InputOptions,
  withInput,
  type PointOptions,
  withInputOptions,
  withPointOptions,
} from '../../input/open-input.js'
import { withConfigOptions } from '../../input/proxy-config.js'
import {
  familyAsked,
  interfaceAddressesOf,
  rulesQuestion,
  type RulesQuestion,
  type RulesQuestionOptions,
  withRulesetOptions,
} from '../../input/rules-question.js'
import {
  documentLines,
  type Format,
  jsonLines,
  outputOption,
  parseFormat,
  pointOf,
  writePieces,
} from '../../output/json.js'
import { warnOfDiagnostics, withExamples } from '../../output/format-text.js'
import { answerRules, type RulesAnswer, rulesTarget } from './answer.js'
import { ruleItems } from './json.js'
import type { RuleListJson } from './schema.js'

interface RulesOptions extends InputOptions, PointOptions, RulesQuestionOptions {
  readonly nfacct?: true
  readonly output?: string
}

const FORMATS = ['text', 'json', 'jsonl'] as const

export function registerRules(program: Command, context: Context): void {
  const command = program
    .command('rules')
    .argument(
      '[target]',
      'only the rules of this Service (NAME or NAMESPACE/NAME) or chain (KUBE-SVC-..., KUBE-SERVICES)',
    )
    .summary('show the rules at a point in time: all, or those of a Service or chain')
    .description(
      'Shows the rules that kube-proxy 1.36 would write on a node at a point in time. Without an argument, prints all of them in iptables-save format. For a Service, prints where each of its addresses leads, then its rules chain by chain. Chain names can be pasted from a terminal.',
    )
    .option('--node <name>', "show this node's rules (default: the configured node, else the only Node)")
    .option('--nfacct', 'include the nfacct packet counters that kube-proxy adds where nfacct(8) works')
    .addOption(outputOption(FORMATS))
    .action(async (target: string | undefined, options: RulesOptions) => rules(target, options, context))
  withRulesetOptions(command, {
    family: "ipv4 or ipv6 (default: the Node's primary family)",
    addresses: 'those of the Node object',
  })
  withExamples(withConfigOptions(withInputOptions(withPointOptions(command))), [
    'pointsman rules shop/checkout --log shop.db --at 14:03',
    'pointsman rules KUBE-SEP-7QAUW7YOD5YU2AQB --log shop.db',
    'pointsman rules KUBE-SERVICES --log shop.db --at -5m',
    'pointsman rules --log shop.db | grep checkout',
  ])
}

async function rules(text: string | undefined, options: RulesOptions, context: Context): Promise<void> {
  const format = parseFormat(options.output, FORMATS)
  const interfaceAddresses = interfaceAddressesOf(options)
  await withInput(options, context, async (input) => {
    const asked = askedObjects(input, options, context)
    const question = await rulesQuestion(asked, options, context)
    warnOfDiagnostics(question.diagnostics, '`pointsman services --wide` lists them', context)
    const family = familyAsked(options, question, context)
    const when = asked.point === undefined ? 'in the objects' : `at seq ${asked.point.seq}`
    const dataplane = dataplaneOf(context, question.config)
    const target = rulesTarget({ dataplane, text, state: question.state, family, when })
    const answer = answerRules(target, {
      ...question,
      dataplane,
      when,
      options: { family, nfacct: options.nfacct, interfaceAddresses },
    })
    await writePieces(linesOf({ format, asked, question, family, answer }, context), context)
  })
}

interface Answered {
  readonly format: Format
  readonly asked: AskedObjects
  readonly question: RulesQuestion
  readonly family: IpFamily
  readonly answer: RulesAnswer
}

function linesOf(
  { format, asked, question: { state, config }, family, answer }: Answered,
  context: Context,
): Iterable<string> {
  if (format === 'jsonl') return jsonLines(ruleItems(answer.rules(), state))
  if (format === 'json') {
    return documentLines<RuleListJson>(
      {
        kind: 'RuleList',
        at: pointOf(asked),
        node: state.node?.name,
        family,
        layout: config.layout,
        fronts: answer.fronts?.(),
      },
      ruleItems(answer.rules(), state),
    )
  }
  const whose = state.node === undefined ? '' : `, node ${state.node.name}`
  const head = `${describeAsked(asked)}${whose}: ${family} rules`
  if (answer.text === undefined) {
    context.stderr.print(context.errorStyle.dim(head))
    return answer.save()
  }
  return [context.style.dim(head), ...answer.text(context.style)]
}
