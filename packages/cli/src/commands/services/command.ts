import { buildState, type NodeInfo, type State } from '@pointsman/core'
import type { Command } from 'commander'
import { type Context, warn } from '../../context.js'
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
import { asksEveryNode, endpointsLayoutOption, nodeNameFor } from '../../input/rules-question.js'
import { resolveConfig } from '../../input/proxy-config.js'
import { didYouMean } from '../../input/suggest.js'
import { FORMATS, outputOption, parseFormat, pointOf, writeDocument, writeLine } from '../../output/json.js'
import { warnOfDiagnostics, withExamples } from '../../output/format-text.js'
import { leftSlicesHint, serviceRows, type ServicesView } from './answer.js'
import { diagnosticItem, serviceItem, skippedItem } from './json.js'
import type { ServiceListJson } from './schema.js'
import { servicesOfNodes, servicesOfNodesDocument, servicesOfNodesText } from './every-node.js'
import { servicesTable } from './text.js'

interface ServicesOptions extends InputOptions, PointOptions {
  readonly node?: string
  readonly config?: string
  readonly namespace?: string
  readonly wide?: true
  readonly output?: string
}

export function registerServices(program: Command, context: Context): void {
  const command = program
    .command('services [service]')
    .summary('list services and endpoints at a point in time')
    .description(
      'Lists each service port with its addresses and endpoints at a point in time. SERVICE is NAME or NAMESPACE/NAME.',
    )
    .option(
      '--node <name>',
      "show this node's view, or all: which Nodes serve each service port (default: the configured node, else the only Node in the input)",
    )
    .option('--config <file>', 'a KubeProxyConfiguration (YAML or JSON); only the node name is used')
    .addOption(endpointsLayoutOption())
    .option('-n, --namespace <namespace>', 'only services in this namespace')
    .option('--wide', 'list the endpoints, with a reason for each one that is not used')
    .addOption(outputOption(FORMATS))
    .action(async (service: string | undefined, options: ServicesOptions) => services(service, options, context))
  withExamples(withInputOptions(withPointOptions(command)), [
    'pointsman services --log shop.db --at 14:03',
    'pointsman services --log cluster.db --node all',
    'pointsman services shop/checkout --wide --log shop.db --at -5m',
    'kubectl get services,endpointslices,nodes -A -o json | pointsman services --objects -',
  ])
}

async function services(service: string | undefined, options: ServicesOptions, context: Context): Promise<void> {
  const format = parseFormat(options.output)
  await withInput(options, context, async (input) => {
    const question = askedObjects(input, options, context)
    const configured = await configuredNode(options, question, context)
    const built = buildState({ objects: question.objects })
    const isEvery = asksEveryNode(options)
    const node = isEvery ? undefined : nodeOf({ state: built.state, configured }, options)
    const all = serviceRows({ objects: question.objects, built, node })
    const view = only(all, { service, namespace: options.namespace })
    if (service !== undefined && view.rows.length === 0 && view.skipped.length === 0)
      throw notFound(service, all, question)
    if (isEvery) {
      const every = servicesOfNodes(view.rows, { state: built.state, question })
      if (format === 'json') writeDocument(context, servicesOfNodesDocument(every))
      else if (format === 'jsonl') for (const item of servicesOfNodesDocument(every).items) writeLine(context, item)
      else context.stdout.print(servicesOfNodesText(every, context.style))
      return
    }
    const answer: Answer = { view, node, question }
    if (format === 'json') writeDocument(context, documentOf(answer))
    else if (format === 'jsonl') for (const row of view.rows) writeLine(context, serviceItem(row))
    else
      writeText(
        { ...answer, view: withoutOtherFamily(view) },
        { wide: options.wide === true || format === 'wide', context },
      )
  })
}

interface Answer {
  readonly view: ServicesView
  readonly node: Node | undefined
  readonly question: AskedObjects
}

type Node = Pick<NodeInfo, 'name' | 'zone'>

/** The node that `--config` names, else the one of the log. */
async function configuredNode(
  { config }: ServicesOptions,
  question: AskedObjects,
  context: Context,
): Promise<string | undefined> {
  const named =
    config === undefined ? undefined : (await resolveConfig({ config }, undefined, context, { anyMode: true })).nodeName
  return named ?? question.configuredNode
}

interface NodeQuestion {
  readonly state: State
  readonly configured: string | undefined
}

function nodeOf({ state, configured }: NodeQuestion, { node: given }: ServicesOptions): Node | undefined {
  const name = nodeNameFor({ given, configured, state })
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

function notFound(service: string, view: ServicesView, { point, objects }: AskedObjects): CliError {
  const known = new Set([...view.rows.map(({ port }) => port.service), ...view.skipped.map((skip) => skip.service)])
  const names = service.includes('/') ? known : new Set([...known].map((full) => full.slice(full.indexOf('/') + 1)))
  const when = point === undefined ? 'in the objects' : `at seq ${point.seq}`
  const hint = leftSlicesHint(service, objects) ?? didYouMean(service, names)
  return new CliError(
    'NOT_FOUND',
    `service ${service} not found ${when}${hint === '' ? ': run `pointsman services` for a list' : hint}`,
  )
}

// Most Services have one family: that the other has no address is no news.
function withoutOtherFamily({ rows, skipped, diagnostics }: ServicesView): ServicesView {
  const served = new Set<string>(rows.map(({ port }) => port.service))
  const news = skipped.filter(({ reason, service }) => reason !== 'NO_CLUSTER_IP_OF_FAMILY' || !served.has(service))
  return { rows, skipped: news, diagnostics }
}

function documentOf({ view, node, question }: Answer): ServiceListJson {
  return {
    kind: 'ServiceList',
    at: pointOf(question),
    node: node?.name,
    items: view.rows.map(serviceItem),
    skipped: view.skipped.map(skippedItem),
    diagnostics: view.diagnostics.map(diagnosticItem),
  }
}

function writeText(
  { view, node, question }: Answer,
  { wide, context }: { readonly wide: boolean; readonly context: Context },
): void {
  const { style, stdout } = context
  const when = describeAsked(question)
  const whose = node === undefined ? '' : `, node ${node.name}`
  const body = servicesTable(view, { style, wide })
  stdout.print([style.dim(when + whose), ...(body.length === 0 ? ['no services'] : body)])
  const { diagnostics } = view
  if (wide) for (const { object, message } of diagnostics) warn(context, `${object}: ${message}`)
  else warnOfDiagnostics(diagnostics, '--wide lists them', context)
}
