import type { Command } from 'commander'
import { type Context, warn } from '../../context.js'
import { CliError } from '../../errors.js'
import {
  type Input,
  type InputOptions,
  withInput,
  type PointOptions,
  withInputOptions,
  withPointOptions,
  warnOfEndpoints,
} from '../../input/open-input.js'
import { givesConfig, withConfigOptions } from '../../input/proxy-config.js'
import { type RulesQuestionOptions, withRulesetOptions, withVariantOption } from '../../input/rules-question.js'
import { countOf, warnOfDiagnostics, withExamples } from '../../output/format-text.js'
import { documentLines, type Format, jsonLines, outputOption, parseFormat, writePieces } from '../../output/json.js'
import { runSteps } from '../../output/progress.js'
import {
  type AuditReport,
  liveSource,
  type Look,
  lookAgain,
  lookAt,
  type Looking,
  questionOf,
  savedSource,
  type SourceOptions,
} from './answer.js'
import { findCauses, MOST_CAUSES } from './causes.js'
import { auditHead, auditItems } from './json.js'
import type { AuditReportJson } from './schema.js'
import { auditText } from './text.js'

interface AuditOptions extends InputOptions, PointOptions, RulesQuestionOptions, SourceOptions {
  readonly output?: string
}

const FORMATS = ['text', 'json', 'jsonl'] as const

export function registerAudit(program: Command, context: Context): void {
  const command = program
    .command('audit')
    .summary(
      'the rules of this machine, or saved ones, against what they should be: what differs, whose it is, what to do',
    )
    .description(
      'Holds the rules of this machine, or those of --rules, against what they should be after a log or for objects: missing, ' +
        'changed, extra, moved or repeated rules, chains left over, rules of others in our chains or with our mark bit, and chains in ' +
        'both variants of iptables. Rules of another mode, an older kube-proxy or another proxy are one finding and are not compared; ' +
        'so is a node name, cluster CIDR, mark bit or nodePortAddresses that differs from what was given. Each finding comes with whose it is, with the record of the log that it goes back to, and with ' +
        'what to do. What is kubelet’s, a CNI’s, or normal for a kube-proxy is none; nor is a sync that is under way: the tables ' +
        'are read twice when something is found. It changes nothing. Exit status 0 where nothing is found, 1 where something is. ' +
        'To read the tables of this machine it takes root.',
    )
    .option(
      '--rules <file>',
      'what iptables-save printed, or - for standard input, in place of the tables of this machine',
    )
    .option('--node <name>', 'the node whose rules they are (else the configured one, else the only Node)')
    .addOption(outputOption(FORMATS))
    .action(async (options: AuditOptions) => audit(options, context))
  withVariantOption(command, 'auto: the variant this node uses')
  withRulesetOptions(command, {
    family: "ipv4, ipv6 or dual (default: the families of the Node's addresses; with --rules the family of the file)",
    addresses: "this machine's; with --rules those of the Node object",
    layout: 'recognized from the rules',
  })
  withExamples(withConfigOptions(withInputOptions(withPointOptions(command))), [
    'kubectl get services,endpointslices,nodes -A -o json | pointsman audit --objects - --node node-a --config kube-proxy.yaml',
    'pointsman audit --log shop.db --node node-a --cluster-cidr 10.244.0.0/16',
    'pointsman audit --rules iptables-save.txt --log shop.db --at 14:03',
    'pointsman audit --rules iptables-save.txt --log shop.db -o jsonl | jq .toDo',
  ])
}

async function audit(options: AuditOptions, context: Context): Promise<void> {
  const format = parseFormat(options.output, FORMATS)
  checkOptions(options)
  try {
    await withInput({ ...options, mayUseEndpoints: mayUseEndpoints(options) }, context, async (input) => {
      const report = await reportOf(input, options, context)
      if (report === undefined) return
      if (report.findings.length > 0) context.finish(1)
      await writePieces(linesOf(report, format, context), context)
    })
  } catch (error) {
    if (!context.interrupted.aborted) throw error
    context.stderr.print('interrupted')
    context.finish(130)
  }
}

/** Whether the layout, and so what is used, depends on the rules. */
const mayUseEndpoints = ({ layout }: Pick<AuditOptions, 'layout'>): boolean => layout === undefined

function checkOptions({ rules, objects, family, iptablesVariant }: AuditOptions): void {
  if (rules === undefined) return
  if (rules === '-' && objects?.includes('-') === true)
    throw new CliError('USAGE', '--rules and --objects cannot both be read from standard input')
  if (family === 'dual') throw new CliError('USAGE', '--rules are of one family: give --family ipv4 or ipv6')
  if (iptablesVariant !== 'auto')
    throw new CliError('USAGE', '--iptables-variant is about the tables of this machine: leave it out with --rules')
}

/** Undefined when it was interrupted. */
async function reportOf(input: Input, options: AuditOptions, context: Context): Promise<AuditReport | undefined> {
  const question = await questionOf(input, options, context)
  warnOfDiagnostics(question.diagnostics, '`pointsman services --wide` lists them', context)
  const { rules } = options
  const source =
    rules === undefined
      ? await liveSource(question, options, context)
      : await savedSource(rules, question, options, context)
  const first = await lookAt(source, question, { input, options })
  if (mayUseEndpoints(options) && first.layout === 'classic' && input.type === 'objects' && input.withEndpoints)
    warnOfEndpoints({ objects: input.objects, withEndpoints: input.withEndpoints }, context)
  const look =
    first.findings.length > 0 && source.isLive ? await lookAgain(first, { input, source, options }, context) : first
  const causes = await causesOf(look, { input, source, options }, context)
  return (
    causes && {
      ...look,
      dataplane: source.dataplane,
      state: look.question.state,
      node: look.question.state.node,
      source,
      causes,
    }
  )
}

/** None without a log; undefined when it was interrupted. */
async function causesOf(
  { asked, question: { config }, findings }: Look,
  { input, source, options }: Looking,
  context: Context,
): Promise<AuditReport['causes'] | undefined> {
  if (input.type !== 'log' || asked.point === undefined || findings.length === 0) return new Map()
  if (findings.length > MOST_CAUSES)
    warn(context, `the records behind findings are looked up for the first ${MOST_CAUSES} alone`)
  const steps = findCauses(findings, {
    dataplane: source.dataplane,
    reader: input.reader,
    toSeq: asked.point.seq,
    nodeName: config.nodeName,
    config: givesConfig(options) || asked.logged === undefined ? config : 'recorded',
    machine: source.machine,
  })
  return runSteps(steps, (count) => `looking for records: ${count} of ${countOf(findings.length, 'finding')}`, context)
}

function linesOf(report: AuditReport, format: Format, { style }: Context): Iterable<string> {
  if (format === 'jsonl') return jsonLines(auditItems(report))
  if (format === 'json') return documentLines<AuditReportJson>(auditHead(report), auditItems(report))
  return auditText(report, style)
}
