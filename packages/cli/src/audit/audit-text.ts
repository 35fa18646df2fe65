import { AUDIT_FINDINGS, countRules, type FindingType } from '@pointsman/backend-iptables'
import { displayName, type ObjectRecord, type ServicePort } from '@pointsman/core'
import { describeAsked } from '../input/asked-objects.js'
import { objectName } from '../commands/log/text.js'
import type { Style } from '../output/colour.js'
import { countOf, formatCount } from '../output/duration.js'
import { formatTime } from '../output/json.js'
import { titleOf } from '../commands/rules/text.js'
import type { AuditReport } from './audit-report.js'
import type { FindingCause } from './find-causes.js'
import type { PlacedFinding } from './find-findings.js'
import { whatToDo } from './what-to-do.js'

/** What an audit found: the conclusion, what was held against what, and then each finding, by service port. */
export function auditText(report: AuditReport, style: Style): readonly string[] {
  const { findings } = report
  const shown = findings.slice(0, MOST_FINDINGS)
  const more = findings.length - shown.length
  const groups = groupsOf(shown, report)
  return [
    style.bold(
      findings.length === 0 ? style.green('the rules are as they should be') : style.red(conclusion(findings)),
    ),
    style.dim(subject(report)),
    ...(hasRules(findings) ? [style.dim('- should be there, + is there')] : []),
    ...[...groups].flatMap(([title, group]) => [
      '',
      style.bold(title),
      ...group.flatMap((finding) => findingLines(finding, report, style)),
    ]),
    ...(more > 0 ? ['', `and ${countOf(more, 'finding')} more: -o json has them all`] : []),
  ]
}

const MOST_FINDINGS = 40

const hasRules = (findings: readonly PlacedFinding[]): boolean =>
  findings.some(({ expected, found }) => expected !== undefined || found !== undefined)

/** `3 findings: 2 missing rules, 1 chain left over`. */
function conclusion(findings: readonly PlacedFinding[]): string {
  const counts = new Map<FindingType, number>()
  for (const { type } of findings) counts.set(type, (counts.get(type) ?? 0) + 1)
  const parts = [...counts].map(([type, count]) => `${formatCount(count)} ${NOUNS[type][count === 1 ? 0 : 1]}`)
  return `${countOf(findings.length, 'finding')}: ${parts.join(', ')}`
}

const NOUNS: { readonly [type in FindingType]: readonly [one: string, several: string] } = {
  MISSING_TABLE: ['missing table', 'missing tables'],
  NO_CHAINS: ['table without any chain of the proxy', 'tables without any chain of the proxy'],
  MISSING_CHAIN: ['missing chain', 'missing chains'],
  MISSING_RULE: ['missing rule', 'missing rules'],
  MISSING_JUMP: ['missing jump', 'missing jumps'],
  EXTRA_JUMP: ['extra jump', 'extra jumps'],
  CHANGED_RULE: ['changed rule', 'changed rules'],
  OUT_OF_ORDER: ['rule out of order', 'rules out of order'],
  DUPLICATE_RULE: ['duplicate rule', 'duplicate rules'],
  LEFT_OVER_CHAIN: ['chain left over', 'chains left over'],
  LEFT_OVER_RULE: ['rule left over', 'rules left over'],
  FOREIGN_RULE: ['rule of somebody else', 'rules of somebody else'],
  MARK_BIT: ['use of our mark bit by somebody else', 'uses of our mark bit by somebody else'],
  OTHER_VARIANT: ['set of rules in the other variant', 'sets of rules in the other variant'],
}

/** `IPv4 and IPv6, iptables-nft 1.8.9, 97 rules; against those at seq 128, 2026-11-21T02:24:50.504Z, node node-a`. */
function subject({ asked, node, source, read }: AuditReport): string {
  const rules = read.reduce((sum, tables) => sum + countRules(tables.tables), 0)
  const families = read.map(({ family }) => family).join(' and ')
  const whose = node === undefined ? '' : `, node ${node.name}`
  return `${families}, ${source.name}, ${countOf(rules, 'rule')}; held against those ${describeAsked(asked)}${whose}`
}

/** By whose they are, in the order of the first finding of each. */
function groupsOf(
  findings: readonly PlacedFinding[],
  report: AuditReport,
): ReadonlyMap<string, readonly PlacedFinding[]> {
  const groups = new Map<string, PlacedFinding[]>()
  for (const finding of findings) {
    const title = groupTitle(finding, report)
    groups.set(title, [...(groups.get(title) ?? []), finding])
  }
  return groups
}

function groupTitle(finding: PlacedFinding, report: AuditReport): string {
  const { owner, claims, type } = finding
  const { state } = report

  const port = (owner && state.services.get(owner)) ?? claimedPort(finding, report)
  if (port !== undefined) return titleOf(port)
  if (claims !== undefined) return claims
  return type === 'LEFT_OVER_CHAIN' || type === 'LEFT_OVER_RULE' ? 'of no service that there is' : 'of no service'
}

/** A service port that is there under the name in the comment of what should not be; undefined where there are several. */
function claimedPort({ claims, family }: PlacedFinding, { state }: AuditReport): ServicePort | undefined {
  if (claims === undefined) return undefined
  const ports = [...state.services.values()].filter((port) => port.family === family && displayName(port) === claims)
  return ports.length === 1 ? ports[0] : undefined
}

function findingLines(finding: PlacedFinding, report: AuditReport, style: Style): readonly string[] {
  const { type, expected = [], found = [] } = finding
  const cause = report.causes.get(finding)
  return [
    `  ${placeText(finding, report, style)}`,
    `    ${style.yellow(type)}: ${AUDIT_FINDINGS[type]}`,
    ...limited(expected).map((line) => `    ${style.red(`- ${line}`)}`),
    ...limited(found).map((line) => `    ${style.green(`+ ${line}`)}`),
    ...(cause === undefined ? [] : causeLines(cause, { finding, style }).map((line) => `    ${line}`)),
    `    to do: ${whatToDo(finding)}`,
  ]
}

const MOST_RULES = 5

const limited = (rules: readonly string[]): readonly string[] =>
  rules.length <= MOST_RULES
    ? rules
    : [...rules.slice(0, MOST_RULES), `... and ${countOf(rules.length - MOST_RULES, 'rule')} more`]

/** `IPv4 nat KUBE-SVC-...  spreads over its endpoints`. */
function placeText(
  { family, variant, table, chain, owner, type }: PlacedFinding,
  { dataplane, state }: AuditReport,
  style: Style,
): string {
  const port = owner && state.services.get(owner)
  const endpoints = (owner && state.endpoints.get(owner)) ?? []
  const meaning = port && dataplane.chainMeanings({ port, endpoints }).get(chain)
  const of = type === 'OTHER_VARIANT' ? `iptables-${variant ?? ''}` : table
  const name = chain === '' ? '' : ` ${style.bold(chain)}`
  return `${style.dim(`${family} ${of}`)}${name}${meaning === undefined ? '' : `  ${style.dim(meaning)}`}`
}

/** `made by seq 106  2026-...  MODIFIED EndpointSlice shop/checkout-wbn79, by kube-controller-manager: endpoint ... came`. */
function causeLines(
  { did, change: { cause }, what, behind }: FindingCause,
  { finding, style }: { readonly finding: PlacedFinding; readonly style: Style },
): readonly string[] {
  if (cause.type === 'start')
    return [finding.owner === undefined ? `${did} by ${what}` : `${did} before the log begins`]
  const { record } = cause
  const head = `${did} by ${positionText(record, style)}`
  if (record.type === 'config') return [`${head}  the effective configuration`]
  return [
    `${head}  ${record.event} ${objectName(record)}, by ${authorText(record)}: ${what}`,
    ...(behind === undefined
      ? []
      : [
          `caused by: ${positionText(behind.record, style)}  ${objectName(behind.record)}, by ${authorText(behind.record)}: ${behind.changes.join('; ')}`,
        ]),
  ]
}

const positionText = ({ seq, observedAt }: Pick<ObjectRecord, 'seq' | 'observedAt'>, style: Style): string =>
  `${style.yellow(`seq ${seq}`)}  ${formatTime(observedAt)}`

function authorText({ author, event }: ObjectRecord): string {
  if (author !== undefined) return author.manager
  return event === 'DELETED' ? 'unknown (the API does not say who deletes)' : 'unknown'
}
