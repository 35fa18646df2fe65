import {
  endpointCondition,
  endpointText,
  type EndpointDifference,
  type ObjectDifference,
  type ObjectRecord,
  type PortDifference,
} from '@pointsman/core'
import type { Style } from '../output/colour.js'
import { countOf } from '../output/duration.js'
import { formatTime } from '../output/json.js'
import { titleOf } from '../rules/front-text.js'
import type { DiffSide } from './diff-question.js'
import { type Differences, isSame, ruleCounts, usedCount } from './find-differences.js'
import { type DifferencesLook, ruleLines } from './rule-differences-text.js'

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
export function headLine(differences: Differences, style: Style): string {
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
