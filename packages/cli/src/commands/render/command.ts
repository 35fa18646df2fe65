import type { Dataplane, IpFamily, RulePlan } from '@pointsman/core'
import { FileError, openLinesFile } from '@pointsman/core/io'
import type { Command } from 'commander'
import { randomBytes } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { type Context, dataplaneOf, warn } from '../../context.js'
import { CliError } from '../../errors.js'
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
  familiesOf,
  familyAsked,
  interfaceAddressesOf,
  rulesQuestion,
  type RulesQuestion,
  type RulesQuestionOptions,
  withRulesetOptions,
} from '../../input/rules-question.js'
import { countOf, warnOfDiagnostics, withExamples } from '../../output/format-text.js'
import {
  documentLines,
  type Format,
  jsonLines,
  outputOption,
  parseFormat,
  pointOf,
  portionsOf,
  writePieces,
} from '../../output/json.js'
import { ruleItems } from '../rules/json.js'
import type { RuleListJson } from '../rules/schema.js'

interface RenderOptions extends InputOptions, PointOptions, RulesQuestionOptions {
  readonly outputDir?: string
  readonly nfacct?: true
  readonly output?: string
}

const FORMATS = ['text', 'json', 'jsonl'] as const

export function registerRender(program: Command, context: Context): void {
  const command = program
    .command('render')
    .summary('print the rules, ready to load')
    .description(
      'Prints the rules that kube-proxy would write on a node: in mode iptables in iptables-save format, for iptables 1.6.2 and ' +
        'later; in mode nftables as a transaction that `nft -f` loads, and that replaces the whole table. Changes nothing. With -o ' +
        'json, each rule names its service port.',
    )
    .option('--node <name>', "print this node's rules (default: the configured node, else the only Node)")
    .option(
      '--output-dir <dir>',
      'write a file per family to this directory instead: iptables-save.txt and ip6tables-save.txt, or nft-ip.txt and nft-ip6.txt',
    )
    .option('--nfacct', 'include the nfacct packet counters that kube-proxy adds where nfacct(8) works')
    .addOption(outputOption(FORMATS))
    .action(async (options: RenderOptions) => render(options, context))
  withRulesetOptions(command, {
    family: "ipv4, ipv6 (default: the Node's primary family), or dual, which requires --output-dir",
    addresses: 'those of the Node object',
  })
  withExamples(withConfigOptions(withInputOptions(withPointOptions(command))), [
    'pointsman render --log shop.db --at 14:03 --cluster-cidr 10.244.0.0/16',
    'kubectl get services,endpointslices,nodes -A -o json | pointsman render --objects - --node node-a',
    'pointsman render --objects objects.yaml --config kube-proxy.yaml --family dual --output-dir rules',
    'pointsman render --log shop.db -o jsonl | grep shop/checkout',
  ])
}

async function render(options: RenderOptions, context: Context): Promise<void> {
  const format = parseFormat(options.output, FORMATS)
  checkOutput(options, format)
  const interfaceAddresses = interfaceAddressesOf(options)
  await withInput(options, context, async (input) => {
    const asked = askedObjects(input, options, context)
    const question = await rulesQuestion(asked, options, context)
    const { state, config, diagnostics } = question
    warnOfDiagnostics(diagnostics, '`pointsman services --wide` lists them', context)
    if (interfaceAddresses === undefined) warnOfNodePortAddresses(question, context)
    const dataplane = dataplaneOf(context, config)
    const planOf = (family: IpFamily): RulePlan =>
      dataplane.plan({ state, config }, { family, nfacct: options.nfacct, interfaceAddresses })
    const families = options.family === 'dual' ? familiesOf(options, state) : [familyAsked(options, question, context)]
    if (options.outputDir !== undefined) {
      writeSaves({ folder: options.outputDir, dataplane, families, planOf }, context)
      return
    }
    const [family = 'IPv4'] = families
    await writePieces(linesOf({ format, asked, question, dataplane, plan: planOf(family) }, context), context)
  })
}

function checkOutput({ family, outputDir }: RenderOptions, format: string): void {
  if (family === 'dual' && outputDir === undefined)
    throw new CliError('USAGE', '--family dual prints two files: give a directory with --output-dir')
  if (outputDir !== undefined && format !== 'text')
    throw new CliError('USAGE', `--output-dir writes the rules ready to load: omit -o ${format}`)
}

function warnOfNodePortAddresses({ state: { node }, config }: RulesQuestion, context: Context): void {
  // Of `primary`, the Node says all that counts.
  if (typeof config.nodePortAddresses === 'string' || node === undefined) return
  const known = [...node.addresses, 'loopback'].join(', ')
  warn(context, `assuming that node ports answer only on ${known}: give the interface addresses with --node-address`)
}

interface Answer {
  readonly format: Format
  readonly asked: AskedObjects
  readonly question: RulesQuestion
  readonly dataplane: Dataplane
  readonly plan: RulePlan
}

function linesOf(
  { format, asked, question: { state, config }, dataplane, plan }: Answer,
  context: Context,
): Iterable<string> {
  const { family } = plan
  if (format === 'jsonl') return jsonLines(ruleItems(plan.inOrder(plan.parts()), state))
  if (format === 'json') {
    return documentLines<RuleListJson>(
      { kind: 'RuleList', at: pointOf(asked), node: state.node?.name, family, layout: config.layout },
      ruleItems(plan.inOrder(plan.parts()), state),
    )
  }
  const whose = state.node === undefined ? '' : `, node ${state.node.name}`
  context.stderr.print(
    context.errorStyle.dim(`${describeAsked(asked)}${whose}: ${family} rules for ${dataplane.loadedBy}`),
  )
  return plan.listing(plan.parts())
}

interface SavesToWrite {
  /** Made where it is not there. */
  readonly folder: string
  readonly dataplane: Dataplane
  readonly families: readonly IpFamily[]
  readonly planOf: (family: IpFamily) => RulePlan
}

/** Writes the rules of each family into its file, over one that is there, and prints a line a file. FileError CANNOT_WRITE. */
function writeSaves({ folder, dataplane, families, planOf }: SavesToWrite, context: Context): void {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
  } catch (error) {
    throw FileError.from('CANNOT_WRITE', folder, error)
  }
  for (const family of families) {
    const path = join(folder, dataplane.listingFile(family))
    const rules = writeSave(path, planOf(family), dataplane)
    context.stdout.print(`${path}: ${countOf(rules, `${family} rule`)}`)
  }
}

function writeSave(path: string, plan: RulePlan, dataplane: Dataplane): number {
  const file = openLinesFile(path, { unique: randomBytes(6).toString('hex') })
  let rules = 0
  const counted = function* (): Generator<string> {
    for (const line of plan.listing(plan.parts())) {
      if (dataplane.isItemLine(line)) rules += 1
      yield line
    }
  }
  let isDone = false
  try {
    for (const portion of portionsOf(counted())) file.write(`${portion.join('\n')}\n`)
    file.finish()
    isDone = true
    return rules
  } finally {
    if (!isDone) file.abandon()
  }
}
