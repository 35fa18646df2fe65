import { isClusterScoped, nodeWithoutObject, serviceName, type ServiceName, serviceOf } from '@pointsman/core'
import type { Command } from 'commander'
import { type Context, warn } from '../../context.js'
import { CliError } from '../../errors.js'
import {
  askedObjects,
  type AskedObjects,
  describeAsked,
  type Input,
  type InputOptions,
  withInput,
  type PointOptions,
  withInputOptions,
  withPointOptions,
} from '../../input/open-input.js'
import { givesConfig, withConfigOptions } from '../../input/proxy-config.js'
import {
  endpointsLayoutOption,
  rulesQuestion,
  type RulesQuestion,
  type RulesQuestionOptions,
} from '../../input/rules-question.js'
import { didYouMean } from '../../input/suggest.js'
import { formatTime, outputOption, parseFormat, pointOf, writeDocument } from '../../output/json.js'
import { warnOfDiagnostics, withExamples } from '../../output/format-text.js'
import { leftSlicesHint } from '../services/answer.js'
import { explainService } from './answer.js'
import { explanationDocument } from './json.js'
import { latestChanges, type LatestChanges } from './latest-changes.js'
import { explainText } from './text.js'

interface ExplainOptions extends InputOptions, PointOptions, RulesQuestionOptions {
  readonly output?: string
}

const FORMATS = ['text', 'json'] as const

export function registerExplain(program: Command, context: Context): void {
  const command = program
    .command('explain <service>')
    .summary('show where traffic to a Service goes, and why each endpoint is used or not')
    .description(
      'Shows, for each address of a Service, the verdict for traffic from pods, from the node and from outside, and for each endpoint whether ' +
        'it is used and why. Explains the effect of traffic policies, topology hints, session affinity, source ranges and overlapping Services. Compares ' +
        'the Service with its EndpointSlices and, where --objects has Pods, with the Pods that it selects. With a log, also lists the records that changed the result. SERVICE is NAME or NAMESPACE/NAME.',
    )
    .option('--node <name>', "show this node's view (default: the configured node, else the only Node)")
    .addOption(endpointsLayoutOption())
    .addOption(outputOption(FORMATS))
    .action(async (service: string, options: ExplainOptions) => explain(service, options, context))
  withExamples(withConfigOptions(withInputOptions(withPointOptions(command))), [
    'pointsman explain shop/checkout --log shop.db --at 14:03',
    'kubectl get services,endpointslices,nodes,pods -A -o json | pointsman explain default/web --objects - --node node-a',
    "pointsman explain shop/checkout --log shop.db -o json | jq '.ports[].endpoints[] | select(.clusterTraffic.used | not)'",
  ])
}

async function explain(text: string, options: ExplainOptions, context: Context): Promise<void> {
  const format = parseFormat(options.output, FORMATS)
  await withInput(options, context, async (input) => {
    const asked = askedObjects(input, options, context)
    const question = await rulesQuestion(asked, options, context, { anyMode: true })
    const service = serviceAsked(text, asked, input)
    const { state, config } = question
    if (config.layout === 'classic')
      warn(
        context,
        'explain says what the rules of kube-proxy 1.36 mean; those of layout classic differ in part: see `pointsman trace`',
      )
    const explanation = explainService({
      service,
      objects: asked.objects,
      state,
      config,
      ...(asked.pods && { pods: asked.pods }),
    })
    const latest = changesOf(service, {
      input,
      asked,
      question,
      configs: !givesConfig(options) && asked.logged !== undefined,
    })
    const { node } = state
    if (format === 'json')
      return writeDocument(context, explanationDocument({ at: pointOf(asked), node: node?.name, explanation, latest }))
    const { style, stdout } = context
    const whose = node === undefined ? '' : `, node ${node.name}`
    stdout.print([style.dim(`${describeAsked(asked)}${whose}`), ...explainText(explanation, latest, style)])
    const own = question.diagnostics.filter(({ object }) => object === `Service ${service}`)
    warnOfDiagnostics(own, `\`pointsman services ${service} --wide\` lists them`, context)
  })
}

/** CliError NOT_FOUND for a Service that is not there, USAGE where several namespaces have one of its name. */
function serviceAsked(text: string, asked: AskedObjects, input: Input): ServiceName {
  const known = asked.objects
    .filter(({ kind }) => kind === 'Service')
    .map(({ metadata: { namespace = '', name } }) => ({ full: serviceName(namespace, name), name }))
  const found = known.filter(({ full, name }) => text === full || text === name).map(({ full }) => full)
  const [only] = found
  if (only !== undefined && found.length === 1) return only
  if (only !== undefined)
    throw new CliError('USAGE', `${text} is ambiguous: give one of ${found.toSorted().join(', ')}`)
  const names = known.map(({ full, name }) => (text.includes('/') ? full : name))
  const when = asked.point === undefined ? 'in the objects' : `at seq ${asked.point.seq}`
  const hint = goneHint(text, asked, input) ?? leftSlicesHint(text, asked.objects) ?? didYouMean(text, names)
  throw new CliError(
    'NOT_FOUND',
    `service ${text} not found ${when}${hint === '' ? ': run `pointsman services` for a list' : hint}`,
  )
}

/** That it was there, and up to when. */
function goneHint(text: string, { seq: position }: AskedObjects, input: Input): string | undefined {
  const [namespace = '', name = ''] = text.split('/')
  if (input.type !== 'log' || position === undefined || name === '') return undefined
  const object = { kind: 'Service', namespace, name } as const
  const filter = { types: ['object'], object, toSeq: position, descending: true, limit: 1 } as const
  for (const record of input.reader.records(filter)) {
    if (record.type !== 'object' || record.event !== 'DELETED') continue
    return `: it was deleted at seq ${record.seq}, ${formatTime(record.observedAt)}; use --at ${record.seq - 1} to explain it before the deletion`
  }
  return undefined
}

interface Asked {
  readonly input: Input
  readonly asked: AskedObjects
  readonly question: RulesQuestion
  readonly configs: boolean
}

/** Undefined without a log. */
function changesOf(service: ServiceName, { input, asked, question, configs }: Asked): LatestChanges | undefined {
  if (input.type !== 'log' || asked.seq === undefined) return undefined
  const { state, config } = question
  const name = state.node?.name
  return latestChanges({
    reader: input.reader,
    service,
    objects: asked.objects.filter((object) => isClusterScoped(object.kind) || serviceOf(object) === service),
    toSeq: asked.seq,
    nodeName: name,
    config,
    configs,
    onNode: (at) => (at.node !== undefined || name === undefined ? at : { ...at, node: nodeWithoutObject(name) }),
    limit: MOST_CHANGES,
    mostRecords: MOST_RECORDS,
  })
}

const MOST_CHANGES = 10
const MOST_RECORDS = 120
