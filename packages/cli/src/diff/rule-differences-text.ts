import type { ChainDifference, Dataplane, RuleDifference, ServicePort, ServicePortName } from '@pointsman/core'
import type { Style } from '../output/colour.js'
import { countOf } from '../output/duration.js'
import { percent, titleOf } from '../rules/front-text.js'
import type { DiffSide } from './diff-question.js'
import type { Differences } from './find-differences.js'

export interface DifferencesLook {
  readonly dataplane: Dataplane
  readonly style: Style
}

/** The rules that differ, by service port and chain. */
export function ruleLines(
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
  const spreadIn = ({ state }: DiffSide): number => {
    const port = owner && state.services.get(owner)
    const endpoints = (owner && state.endpoints.get(owner)) ?? []
    return port === undefined ? 0 : dataplane.spreadOf(chain, { port, endpoints, node: state.node })
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
