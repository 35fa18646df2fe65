import { type ChainDifference, type RuleDifference, serviceChainNames } from '@pointsman/backend-iptables'
import { selectEndpoints, type ServicePort, type ServicePortName } from '@pointsman/core'
import { STATISTIC_CHANCES } from 'node-iptables'
import type { Style } from '../output/colour.js'
import { countOf } from '../output/duration.js'
import { ruleLine } from '../rules/chain-text.js'
import { percent, titleOf } from '../rules/front-text.js'
import { chainMeanings } from '../rules/service-rules-text.js'
import type { DiffSide } from './diff-question.js'
import type { Differences } from './find-differences.js'

/** The rules that differ, by service port and chain. */
export function ruleLines(
  chains: readonly ChainDifference[],
  differences: Differences,
  style: Style,
): readonly string[] {
  return chains.flatMap((difference, index) => {
    const port = portOf(difference.owner, differences)
    const isOther = index === 0 || chains[index - 1]?.owner !== difference.owner
    const meaning = port === undefined ? '' : (meaningsOf(port, differences).get(difference.chain) ?? '')
    return [
      ...(isOther ? [`  ${style.bold(port === undefined ? 'of no service' : titleOf(port))}`] : []),
      `    ${style.dim(difference.table)} ${difference.chain}${meaning === '' ? '' : `  ${style.dim(meaning)}`}`,
      ...oddsLine(difference, differences),
      ...difference.rules.flatMap((rule) => ruleDifferenceLine(rule, style)),
    ]
  })
}

function ruleDifferenceLine(difference: RuleDifference, style: Style): readonly string[] {
  if (difference.type === 'odds') return []
  const line = ruleLine(difference.rule)
  return [`    ${difference.type === 'added' ? style.green(`+ ${line}`) : style.red(`- ${line}`)}`]
}

/** All that share a chain have the same odds in the end: one line says how they changed. */
function oddsLine({ rules, chain, owner }: ChainDifference, { from, to }: Differences): readonly string[] {
  const odds = rules.filter((rule) => rule.type === 'odds')
  const [first] = odds
  if (first === undefined) return []
  const [was, is] = [spreadIn({ chain, owner }, from), spreadIn({ chain, owner }, to)]
  if (was > 0 && is > 0)
    return [
      `    ~ odds of ${countOf(odds.length, 'rule')}: ${percent(1 / was)} -> ${percent(1 / is)} for each endpoint`,
    ]
  const share = (chances: number | undefined): string => percent((chances ?? STATISTIC_CHANCES) / STATISTIC_CHANCES)
  return odds.map((rule) => `    ~ ${ruleLine(rule.rule)}: ${share(rule.before)} -> ${share(rule.after)}`)
}

/** Endpoints that a chain of a service port spreads over; 0: it is none that spreads. */
function spreadIn(
  { chain, owner }: Pick<ChainDifference, 'chain' | 'owner'>,
  { state }: Pick<DiffSide, 'state'>,
): number {
  const port = owner && state.services.get(owner)
  if (port === undefined) return 0
  const names = serviceChainNames(port)
  const { cluster, local } = selectEndpoints({ port, endpoints: state.endpoints.get(port.id) ?? [], node: state.node })
  if (chain === names.cluster) return cluster.length
  return chain === names.local ? local.length : 0
}

const portOf = (owner: ServicePortName | undefined, { from, to }: Differences): ServicePort | undefined =>
  owner && (to.state.services.get(owner) ?? from.state.services.get(owner))

/** Of the chains of both points. */
function meaningsOf(port: ServicePort, { from, to }: Differences): ReadonlyMap<string, string> {
  const endpoints = [from, to].flatMap(({ state }) => state.endpoints.get(port.id) ?? [])
  return chainMeanings(port, endpoints)
}
