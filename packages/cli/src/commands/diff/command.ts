import type { Command } from 'commander'
import { type Context, dataplaneOf } from '../../context.js'
import { type InputOptions, openLog, withLogOption } from '../../input/open-input.js'
import { POINT_FORMS } from '../../input/point-in-time.js'
import { withConfigOptions } from '../../input/proxy-config.js'
import {
  familyAsked,
  interfaceAddressesOf,
  type RulesQuestionOptions,
  withRulesetOptions,
} from '../../input/rules-question.js'
import { linesOfDocument, outputOption, parseFormat, writePieces } from '../../output/json.js'
import { withExamples } from '../../output/format-text.js'
import { diffQuestion, findDifferences, isSame } from './answer.js'
import { diffDocument } from './json.js'
import { diffStat, diffText } from './text.js'

interface DiffOptions extends Pick<InputOptions, 'log'>, RulesQuestionOptions {
  readonly nfacct?: true
  readonly stat?: true
  readonly output?: string
}

const FORMATS = ['text', 'json'] as const

export function registerDiff(program: Command, context: Context): void {
  const command = program
    .command('diff')
    .argument('<from>', `the first point in time: ${POINT_FORMS}`)
    .argument('[to]', 'the second point in time; default: the last record')
    .summary('compare objects, endpoints and rules at two points in time')
    .description(
      'Compares two points in time: the objects, with their last authors, then the endpoints, then the rules. Rules that differ only in their probability are counted, not listed. Exits with 0 if nothing differs, 1 if something does.',
    )
    .option('--stat', 'summarize: one line per service port')
    .option('--node <name>', "use this node's rules (default: the configured node, else the only Node)")
    .option('--nfacct', 'include the nfacct packet counters that kube-proxy adds where nfacct(8) works')
    .addOption(outputOption(FORMATS))
    .action(async (from: string, to: string | undefined, options: DiffOptions) => diff({ from, to }, options, context))
  withRulesetOptions(command, {
    family: "ipv4 or ipv6 (default: the Node's primary family)",
    addresses: 'those of the Node object',
  })
  withExamples(withConfigOptions(withLogOption(command)), [
    'pointsman diff 106 108 --log shop.db',
    'pointsman diff 14:00 14:05 --stat --log shop.db',
    'pointsman diff -5m --log shop.db',
    'pointsman diff 106 108 --log shop.db -o json | jq .objects',
  ])
}

async function diff(
  points: { readonly from: string; readonly to: string | undefined },
  options: DiffOptions,
  context: Context,
): Promise<void> {
  const format = parseFormat(options.output, FORMATS)
  const interfaceAddresses = interfaceAddressesOf(options)
  const input = { type: 'log' as const, ...openLog(options, context) }
  try {
    const question = await diffQuestion(input, points, { options, context })
    const family = familyAsked(options, question.to, context)
    const dataplane = dataplaneOf(context, question.to.config)
    const differences = findDifferences(question, dataplane, { family, nfacct: options.nfacct, interfaceAddresses })
    if (!isSame(differences)) context.finish(1)
    const { style } = context
    const lines =
      format === 'json'
        ? linesOfDocument(diffDocument(differences, family))
        : options.stat === true
          ? diffStat(differences, style)
          : diffText(differences, { dataplane, style })
    await writePieces(lines, context)
  } finally {
    input.reader.close()
  }
}
