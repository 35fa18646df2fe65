import { RouteError, type Seq } from '@pointsman/core'
import type { Command } from 'commander'
import type { Context } from '../../context.js'
import { CliError } from '../../errors.js'
import { openLog, withLogOption } from '../../input/open-input.js'
import { POINT_FORMS } from '../../input/point-in-time.js'
import { withConfigOptions } from '../../input/proxy-config.js'
import { asksEveryNode, withRulesetOptions } from '../../input/rules-question.js'
import { formatCount, withExamples } from '../../output/format-text.js'
import { outputOption, parseFormat, writeDocument } from '../../output/json.js'
import { runSteps } from '../../output/progress.js'
import { PACKET_FORM } from '../../packet/resolve-packet.js'
import { bisect } from './answer.js'
import { bisectDocument } from './json.js'
import { bisectEveryNode, bisectionOfNodesDocument, bisectionOfNodesText } from './every-node.js'
import { type BisectOptions, bisectQuestion, nodesQuestion } from './question.js'
import { bisectText } from './text.js'

const FORMATS = ['text', 'json'] as const

export function registerBisect(program: Command, context: Context): void {
  const command = program
    .command('bisect <packet...>')
    .summary("find the change that broke a packet's path, its cause and its fix")
    .description(
      'Finds the latest record after which a packet no longer reached endpoints, its cause, and the record that fixed it. ' +
        `PACKET is '${PACKET_FORM}', as for \`pointsman trace\`. Verdicts are: reaches endpoints, rejected, dropped, and ` +
        'not for a Service; --exact also compares endpoints, probabilities and masquerading. Exits with 0 if there is such a ' +
        'record, 1 if there is none.',
    )
    .option(
      '--good <point>',
      `a point in time with the right verdict: ${POINT_FORMS}; default: any at which the packet reaches endpoints`,
    )
    .option('--bad <point>', 'a later point in time with the wrong verdict; default: the last record')
    .option('--exact', 'also compare the endpoints, their probabilities, and the source address they see')
    .option(
      '--node <name>',
      'the node that handles the packet, or all: each Node, those that the same record broke together (default: the configured node, else the only Node)',
    )
    .option('--in-interface <name>', 'the input interface of the packet')
    .addOption(outputOption(FORMATS))
    .action(async (words: readonly string[], options: BisectOptions & { readonly output?: string }) =>
      answer(words.join(' '), options, context),
    )
  withRulesetOptions(command, {
    family: 'ipv4 or ipv6, for names with addresses of both',
    addresses: 'those of the Node object',
  })
  withExamples(withConfigOptions(withLogOption(command)), [
    "pointsman bisect 'tcp 10.244.1.9 -> shop/checkout:http' --log shop.db",
    "pointsman bisect 'tcp 10.244.1.9 -> 10.96.50.2:80' --log shop.db --good 14:00 --bad 14:03",
    "pointsman bisect 'tcp outside -> 192.168.55.10:30080' --exact --log shop.db",
    "pointsman bisect 'tcp outside -> shop/checkout:http' --node all --log cluster.db",
    "pointsman bisect 'tcp 10.244.1.9 -> 10.96.50.2:80' --log shop.db -o json | jq .broken.cause.edit.author.manager",
  ])
}

async function answer(
  text: string,
  options: BisectOptions & { readonly output?: string },
  context: Context,
): Promise<void> {
  const format = parseFormat(options.output, FORMATS)
  const input = { type: 'log', ...openLog(options, context) } as const
  try {
    if (asksEveryNode(options)) {
      const question = await nodesQuestion(text, options, { input, context })
      const line = (seq: Seq): string => `seq ${formatCount(seq)} of ${formatCount(question.to.seq)}`
      const found = await runSteps(bisectEveryNode(question), line, context)
      if (found === undefined) return
      if (format === 'json') writeDocument(context, bisectionOfNodesDocument(found, question))
      else context.stdout.print(bisectionOfNodesText(found, question, context.style))
      if (found.groups.every(({ found: { broken } }) => broken === undefined)) context.finish(1)
      return
    }
    const question = await bisectQuestion(text, options, { input, context })
    const line = (seq: Seq): string => `seq ${formatCount(seq)} of ${formatCount(question.to.seq)}`
    const found = await runSteps(bisect(question), line, context)
    if (found === undefined) return
    if (format === 'json') writeDocument(context, bisectDocument(found, question))
    else context.stdout.print(bisectText(found, question, context.style))
    if (found.broken === undefined) context.finish(1)
  } catch (error) {
    if (!(error instanceof RouteError)) throw error
    throw new CliError('BAD_INPUT', error.message, { cause: error })
  } finally {
    input.reader.close()
  }
}
