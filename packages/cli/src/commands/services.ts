import { buildState } from '@pointsman/core'
import type { KubernetesObject, NodeInfo, Seq } from '@pointsman/core'
import type { Command } from 'commander'
import { type Context, warn } from '../context.js'
import { CliError } from '../errors.js'
import { nodeNameFor } from '../input/node-name.js'
import { type Input, type InputOptions, openInput, withInputOptions } from '../input/open-input.js'
import { resolveConfig } from '../input/proxy-config.js'
import { resolvePoint, type ResolvedPoint } from '../input/point-in-time.js'
import { POINT_FORMS } from '../input/parse-point.js'
import { didYouMean } from '../input/suggest.js'
import { type Document, FORMATS, formatTime, parseFormat, writeDocument, writeLine } from '../output/json.js'
import { outputOption } from '../output/output-option.js'
import { withExamples } from '../output/with-examples.js'
import { serviceRows, type ServicesView } from '../services/service-rows.js'
import { diagnosticItem, serviceItem, skippedItem } from '../services/services-document.js'
import { servicesTable } from '../services/services-table.js'

interface ServicesOptions extends InputOptions {
  readonly at?: string
  readonly applied?: true
  readonly node?: string
  readonly config?: string
  readonly namespace?: string
  readonly wide?: true
  readonly output?: string
}

export function registerServices(program: Command, context: Context): void {
  const command = program
    .command('services [service]')
    .summary('the table of services and endpoints at a point in time')
    .description(
      'Shows each service port with its addresses and endpoints as they were at a point in time. SERVICE is a name, or namespace/name.',
    )
    .option('--at <point>', `the point in time: ${POINT_FORMS}; default: the last record`)
    .option('--applied', 'what the last successful sync at or before that point had brought into force')
    .option('--node <name>', 'the node whose view is shown (else the configured one, else the only Node in the input)')
    .option('--config <file>', "a KubeProxyConfiguration (YAML or JSON): of it the node's name counts here")
    .option('-n, --namespace <namespace>', 'only services of this namespace')
    .option('--wide', 'list the endpoints, with the reason where one is not used')
    .addOption(outputOption(FORMATS))
    .action(async (service: string | undefined, options: ServicesOptions) => services(service, options, context))
  withExamples(withInputOptions(command), [
    'pointsman services --log shop.db --at 14:03',
    'pointsman services shop/checkout --wide --log shop.db --at -5m',
    'kubectl get services,endpointslices,nodes -A -o json | pointsman services --objects -',
  ])
}

async function services(service: string | undefined, options: ServicesOptions, context: Context): Promise<void> {
  const format = parseFormat(options.output)
  const input = await openInput(options, context)
  try {
    const question = questionOf(input, options)
    if (question.point?.afterEnd !== undefined) {
      warn(
        context,
        `the log ends at ${formatTime(question.point.time ?? 0)}, before --at ${options.at ?? ''}: this is its last state`,
      )
    }
    const configured = await configuredNode(options, question, context)
    const node = nodeOf({ objects: question.objects, configured }, options)
    const all = serviceRows({ ...question, node })
    const view = only(all, { service, namespace: options.namespace })
    if (service !== undefined && view.rows.length === 0 && view.skipped.length === 0)
      throw notFound(service, all, question)
    const answer: Answer = { view, node, question }
    if (format === 'json') writeDocument(context, documentOf(answer))
    else if (format === 'jsonl') for (const row of view.rows) writeLine(context, serviceItem(row))
    else
      writeText(
        { ...answer, view: withoutOtherFamily(view) },
        { wide: options.wide === true || format === 'wide', context },
      )
  } finally {
    if (input.type === 'log') input.reader.close()
  }
}

interface Question {
  readonly objects: readonly KubernetesObject[]
  readonly seq?: Seq
  /** Absent without a log. */
  readonly point?: ResolvedPoint
  /** The node of an agent's configuration, or of its log. */
  readonly configuredNode?: string
}

interface Answer {
  readonly view: ServicesView
  readonly node: Node | undefined
  readonly question: Question
}

type Node = Pick<NodeInfo, 'name' | 'zone'>

function questionOf(input: Input, { at, applied }: ServicesOptions): Question {
  if (input.type === 'objects') {
    if (at !== undefined || applied === true)
      throw new CliError('USAGE', '--at and --applied need a log: --objects has no history')
    return { objects: input.objects }
  }
  const { reader } = input
  const point = resolvePoint({ reader, text: at, applied })
  const configured = reader.configAt(point.seq)?.['nodeName'] ?? reader.info().nodeName
  return {
    objects: reader.objectsAt(point.seq).objects,
    seq: point.seq,
    point,
    ...(typeof configured === 'string' && { configuredNode: configured }),
  }
}

/** The node that `--config` names, else the one of the log. */
async function configuredNode(
  { config }: ServicesOptions,
  question: Question,
  context: Context,
): Promise<string | undefined> {
  const named = config === undefined ? undefined : (await resolveConfig({ config }, undefined, context)).nodeName
  return named ?? question.configuredNode
}

interface NodeQuestion {
  readonly objects: readonly KubernetesObject[]
  readonly configured: string | undefined
}

function nodeOf({ objects, configured }: NodeQuestion, { node: given }: ServicesOptions): Node | undefined {
  const { state } = buildState({ objects })
  const nodesOfEndpoints = new Set([...state.endpoints.values()].flat().flatMap(({ nodeName }) => nodeName ?? []))
  const name = nodeNameFor({ given, configured, nodes: state.nodes, nodesOfEndpoints })
  return name === undefined ? undefined : (state.nodes.get(name) ?? { name, zone: '' })
}

interface Wanted {
  readonly service: string | undefined
  readonly namespace: string | undefined
}

function only(view: ServicesView, wanted: Wanted): ServicesView {
  const matches = (service: string): boolean => isWanted(service, wanted)
  return {
    rows: view.rows.filter(({ port }) => matches(port.service)),
    skipped: view.skipped.filter(({ service }) => matches(service)),
    diagnostics: view.diagnostics.filter(
      ({ object }) => wanted.service === undefined || matches(object.slice(object.indexOf(' ') + 1)),
    ),
  }
}

function isWanted(full: string, { service, namespace }: Wanted): boolean {
  const [ofNamespace, name] = full.split('/')
  if (namespace !== undefined && ofNamespace !== namespace) return false
  if (service === undefined) return true
  return service.includes('/') ? full === service : name === service
}

function notFound(service: string, view: ServicesView, { point }: Question): CliError {
  const known = new Set([...view.rows.map(({ port }) => port.service), ...view.skipped.map((skip) => skip.service)])
  const names = service.includes('/') ? known : new Set([...known].map((full) => full.slice(full.indexOf('/') + 1)))
  const when = point === undefined ? 'in the objects' : `at seq ${point.seq}`
  const hint = didYouMean(service, names)
  return new CliError(
    'NOT_FOUND',
    `there is no service ${service} ${when}${hint === '' ? ': `pointsman services` lists those that there are' : hint}`,
  )
}

// Most Services have one family: that the other has no address is no news.
function withoutOtherFamily({ rows, skipped, diagnostics }: ServicesView): ServicesView {
  const served = new Set<string>(rows.map(({ port }) => port.service))
  const news = skipped.filter(({ reason, service }) => reason !== 'NO_CLUSTER_IP_OF_FAMILY' || !served.has(service))
  return { rows, skipped: news, diagnostics }
}

function documentOf({ view, node, question: { point } }: Answer): Document {
  return {
    kind: 'ServiceList',
    ...(point && { at: { seq: point.seq, ...(point.time !== undefined && { time: formatTime(point.time) }) } }),
    ...(node && { node: node.name }),
    items: view.rows.map(serviceItem),
    skipped: view.skipped.map(skippedItem),
    diagnostics: view.diagnostics.map(diagnosticItem),
  }
}

function writeText(
  { view, node, question: { point } }: Answer,
  { wide, context }: { readonly wide: boolean; readonly context: Context },
): void {
  const { style, stdout } = context
  const when =
    point === undefined
      ? 'from objects'
      : `at seq ${point.seq}${point.time === undefined ? '' : `, ${formatTime(point.time)}`}`
  const whose = node === undefined ? '' : `, node ${node.name}`
  const body = servicesTable(view, { style, wide })
  stdout.write(`${style.dim(when + whose)}\n${body === '' ? 'no services\n' : body}`)
  const { diagnostics } = view
  if (wide) for (const { object, message } of diagnostics) warn(context, `${object}: ${message}`)
  else if (diagnostics.length > 0) {
    const fields = diagnostics.length === 1 ? 'one field was' : `${diagnostics.length} fields were`
    warn(context, `${fields} left out or read otherwise than written: --wide lists them`)
  }
}
