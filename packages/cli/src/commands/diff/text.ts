import {
  type ChainDifference,
  type Dataplane,
  endpointCondition,
  type EndpointDifference,
  endpointText,
  type ObjectDifference,
  type ObjectRecord,
  type PortDifference,
  type RuleDifference,
  type ServicePort,
  type ServicePortName,
} from '@pointsman/core'
import type { Style } from '../../output/terminal.js'
import { countOf } from '../../output/format-text.js'
import { formatTime } from '../../output/json.js'
import { type Column, renderTable } from '../../output/table.js'
import { percent, titleOf } from '../rules/text.js'
import { type Differences, type DiffSide, isSame, ruleCounts, usedCount } from './answer.js'

/** What differs, in the order of cause and effect: objects, then endpoints, then rules, chain by chain. */
export function diffText(differences: Differences, { dataplane, style }: DifferencesLook): readonly string[] {
  const { objects, ports, chains } = differences
  return [
    headLine(differences, style),
    ...section(
      'objects',
      objects.flatMap((object) => objectLines(object, differences, style)),
      style,
    ),
    ...section(
      'endpoints',
      ports.flatMap((port) => portLines(port, differences, style)),
      style,
    ),
    ...section('rules', ruleLines(chains, differences, { dataplane, style }), style),
  ]
}

/** `seq 107 (...) -> seq 108 (...), node node-a: 1 object, the endpoints of 1 service port, 11 rules`. */
function headLine(differences: Differences, style: Style): string {
  const { from, to, objects, ports, chains } = differences
  const { added, removed, odds } = ruleCounts(chains)
  const whose = to.state.node === undefined ? '' : `, node ${to.state.node.name}`
  const span = `${pointText(from)} -> ${pointText(to)}${whose}`
  if (isSame(differences)) return `${style.dim(`${span}:`)} no object, no endpoint and no rule differs`
  const parts = [
    [objects.length, countOf(objects.length, 'object')],
    [ports.length, `the endpoints of ${countOf(ports.length, 'service port')}`],
    [added + removed + odds, countOf(added + removed + odds, 'rule')],
  ] as const
  const told = parts.filter(([count]) => count > 0).map(([, text]) => text)
  return `${style.dim(`${span}:`)} ${told.join(', ')}`
}

function pointText({ point: { seq, time } }: DiffSide): string {
  return `seq ${seq}${time === undefined ? '' : ` (${formatTime(time)})`}`
}

const section = (title: string, lines: readonly string[], style: Style): readonly string[] =>
  lines.length === 0 ? [] : ['', style.bold(title), ...lines]

function objectLines(object: ObjectDifference, { lastChanges }: Differences, style: Style): readonly string[] {
  const { event, kind, namespace, name, recreated, changes } = object
  const title = `${SIGNS[event](style)} ${kind} ${namespace === '' ? '' : `${namespace}/`}${name}`
  const last = lastChanges.get(object)
  return [
    `  ${title}${last === undefined ? '' : style.dim(`  last at ${changeText(last)}`)}`,
    ...(recreated ? ['      deleted and made again'] : []),
    ...changes.map((change) => `      ${change}`),
  ]
}

const changeText = ({ seq, author, event }: ObjectRecord): string =>
  `seq ${seq} by ${author?.manager ?? (event === 'DELETED' ? 'unknown: the API does not say who deletes' : 'unknown')}`

const SIGNS = {
  ADDED: ({ green }: Style) => green('+'),
  MODIFIED: ({ yellow }: Style) => yellow('~'),
  DELETED: ({ red }: Style) => red('-'),
} as const

function portLines(difference: PortDifference, { from, to }: Differences, style: Style): readonly string[] {
  const { event, port, endpoints } = difference
  const counts = [usedCount(from, difference, 'before'), usedCount(to, difference, 'after')]
  const used = `${counts[0]} -> ${counts[1]} in use`
  return [
    `  ${SIGNS[event](style)} ${titleOf(port)}  ${counts[1] === 0 && counts[0] !== 0 ? style.red(used) : used}`,
    ...endpoints.map((endpoint) => `      ${endpointLine(endpoint, style)}`),
  ]
}

function endpointLine({ before, after }: EndpointDifference, style: Style): string {
  if (before === undefined)
    return after === undefined ? '' : style.green(`+ ${endpointText(after)}${unlessReady(after)}`)
  if (after === undefined) return style.red(`- ${endpointText(before)}${unlessReady(before)}`)
  const [was, is] = [endpointCondition(before), endpointCondition(after)]
  return `~ ${endpointText(after)}: ${was === is ? 'hints, node, zone or pod' : `${was} -> ${is}`}`
}

const unlessReady = (endpoint: Parameters<typeof endpointCondition>[0]): string =>
  endpointCondition(endpoint) === 'ready' ? '' : `, ${endpointCondition(endpoint)}`

/** How much differs: a line a service port, and one for the objects of each kind. */
export function diffStat(differences: Differences, style: Style): readonly string[] {
  const head = headLine(differences, style)
  if (isSame(differences)) return [head]
  const kinds = new Set(differences.objects.map(({ kind }) => kind))
  const objects = [...kinds].map((kind) => {
    const events = differences.objects.filter((object) => object.kind === kind).map(({ event }) => event)
    const count = (event: string): number => events.filter((each) => each === event).length
    return `  ${kind}s  ${counts({ '+': count('ADDED'), '-': count('DELETED'), '~': count('MODIFIED') })}`
  })
  return [head, '', ...objects, '', ...renderTable(COLUMNS, rowsOf(differences), { title: style.bold, indent: '  ' })]
}

interface Row {
  readonly title: string
  readonly endpoints: string
  readonly rules: string
}

const COLUMNS: readonly Column<Row>[] = [
  { title: 'SERVICE PORT', cell: ({ title }) => title },
  { title: 'ENDPOINTS', cell: ({ endpoints }) => endpoints },
  { title: 'RULES', cell: ({ rules }) => rules },
]

function rowsOf(differences: Differences): readonly Row[] {
  const { from, to, ports, chains } = differences
  const owners = new Set<ServicePortName | undefined>([
    ...chains.map(({ owner }) => owner),
    ...ports.map(({ port }) => port.id),
  ])
  const sorted = [...owners].toSorted((a, b) => ((a ?? '') < (b ?? '') ? -1 : 1))
  return sorted.map((owner): Row => {
    const port = owner && (to.state.services.get(owner) ?? from.state.services.get(owner))
    const endpoints = ports.find((each) => each.port.id === owner)?.endpoints ?? []
    const rules = ruleCounts(chains.filter((chain) => chain.owner === owner))
    return {
      title: port === undefined ? '(of no service)' : titleOf(port),
      endpoints: counts({
        '+': endpoints.filter(({ before }) => before === undefined).length,
        '-': endpoints.filter(({ after }) => after === undefined).length,
        '~': endpoints.filter(({ before, after }) => before !== undefined && after !== undefined).length,
      }),
      rules: counts({ '+': rules.added, '-': rules.removed, '~': rules.odds }),
    }
  })
}

/** `+2 -1`: what is zero is left out. */
const counts = (numbers: { readonly [sign: string]: number }): string =>
  Object.entries(numbers)
    .filter(([, number]) => number > 0)
    .map(([sign, number]) => `${sign}${number}`)
    .join(' ')

interface DifferencesLook {
  readonly dataplane: Dataplane
  readonly style: Style
}

/** The rules that differ, by service port and chain. */
function ruleLines(
  chains: readonly ChainDifference[],
  differences: Differences,
  { dataplane, style }: DifferencesLook,
): readonly string[] {
  return chains.flatMap((difference, index) => {
    const port = portOf(difference.owner, differences)
    const isOther = index === 0 || chains[index - 1]?.owner !== difference.owner
    const meaning = port === undefined ? '' : (meaningsOf(port, differences, dataplane).get(difference.chain) ?? '')
    return [
      ...(isOther ? [`  ${style.bold(port === undefined ? 'of no service' : titleOf(port))}`] : []),
      `    ${style.dim(difference.table)} ${difference.chain}${meaning === '' ? '' : `  ${style.dim(meaning)}`}`,
      ...oddsLine(difference, differences, dataplane),
      ...difference.rules.flatMap((rule) => ruleDifferenceLine(rule, style)),
    ]
  })
}

function ruleDifferenceLine({ type, item: { line } }: RuleDifference, style: Style): readonly string[] {
  if (type === 'odds') return []
  return [`    ${type === 'added' ? style.green(`+ ${line}`) : style.red(`- ${line}`)}`]
}

/** All that share a chain have the same odds in the end: one line says how they changed. */
function oddsLine(
  { rules, chain, owner }: ChainDifference,
  { from, to }: Differences,
  dataplane: Dataplane,
): readonly string[] {
  const odds = rules.filter((rule) => rule.type === 'odds')
  const [first] = odds
  if (first === undefined) return []
  const spreadIn = ({ state, config }: DiffSide): number => {
    const port = owner && state.services.get(owner)
    const endpoints = (owner && state.endpoints.get(owner)) ?? []
    return port === undefined ? 0 : dataplane.spreadOf(chain, { port, endpoints, node: state.node, config })
  }
  const [was, is] = [spreadIn(from), spreadIn(to)]
  if (was > 0 && is > 0)
    return [
      `    ~ odds of ${countOf(odds.length, 'rule')}: ${percent(1 / was)} -> ${percent(1 / is)} for each endpoint`,
    ]
  return odds.map(({ item, before = 1, after = 1 }) => `    ~ ${item.line}: ${percent(before)} -> ${percent(after)}`)
}

const portOf = (owner: ServicePortName | undefined, { from, to }: Differences): ServicePort | undefined =>
  owner && (to.state.services.get(owner) ?? from.state.services.get(owner))

/** Of the chains of both points. */
function meaningsOf(port: ServicePort, { from, to }: Differences, dataplane: Dataplane): ReadonlyMap<string, string> {
  const endpoints = [from, to].flatMap(({ state }) => state.endpoints.get(port.id) ?? [])
  return dataplane.chainMeanings({ port, endpoints })
}
