import { type AuditFinding, displayName, type ObjectRecord, type RuleItem, type ServicePort } from '@pointsman/core'
import { describeAsked } from '../../input/open-input.js'
import { countOf, formatCount } from '../../output/format-text.js'
import { formatTime } from '../../output/json.js'
import type { Style } from '../../output/terminal.js'
import { objectName } from '../log/text.js'
import { titleOf } from '../rules/text.js'
import type { AuditReport } from './answer.js'
import { type FindingCause, isLeftOver } from './causes.js'

/** What an audit found: the conclusion, what was compared, and then each finding, by service port. */
export function auditText(report: AuditReport, style: Style): readonly string[] {
  const { findings } = report
  const shown = findings.slice(0, MOST_FINDINGS)
  const more = findings.length - shown.length
  const groups = groupsOf(shown, report)
  return [
    style.bold(findings.length === 0 ? style.green('the rules are as they should be') : style.red(conclusion(report))),
    style.dim(subject(report)),
    ...(hasRules(findings) ? [style.dim('- expected, + found')] : []),
    ...[...groups].flatMap(([title, group]) => [
      '',
      style.bold(title),
      ...group.flatMap((finding) => findingLines(finding, report, style)),
    ]),
    ...(more > 0 ? ['', `and ${countOf(more, 'finding')} more: -o json has them all`] : []),
    ...noteLines(report, style),
  ]
}

const MOST_FINDINGS = 40

const MOST_NOTES = 10

/** What is not wrong and worth knowing. */
function noteLines({ notes }: AuditReport, style: Style): readonly string[] {
  const shown = notes.slice(0, MOST_NOTES)
  const more = notes.length - shown.length
  return [
    ...shown.flatMap(({ family, text, found }) => [
      '',
      `${style.bold('note:')} ${style.dim(family)} ${text}`,
      ...limited(found).map((line) => `    ${line}`),
    ]),
    ...(more > 0 ? ['', `and ${countOf(more, 'note')} more: -o json has them all`] : []),
  ]
}

const hasRules = (findings: readonly AuditFinding[]): boolean =>
  findings.some(({ expected, found }) => expected !== undefined || found !== undefined)

/** `3 findings: 2 missing rules, 1 chain left over`. */
function conclusion({ dataplane, findings }: AuditReport): string {
  const counts = new Map<string, number>()
  for (const { type } of findings) counts.set(type, (counts.get(type) ?? 0) + 1)
  const parts = [...counts].map(
    ([type, count]) => `${formatCount(count)} ${dataplane.findings[type]?.nouns[count === 1 ? 0 : 1] ?? type}`,
  )
  return `${countOf(findings.length, 'finding')}: ${parts.join(', ')}`
}

/** `IPv4 and IPv6, iptables-nft 1.8.9, 97 rules; compared with those expected at seq 128, 2026-11-21T02:24:50.504Z, node node-a`. */
function subject({ dataplane, layout, asked, node, source, read, findings }: AuditReport): string {
  const rules = read.reduce((sum, { rules: { count } }) => sum + count, 0)
  const families = read.map(({ family }) => family).join(' and ')
  const whose = node === undefined ? '' : `, node ${node.name}`
  const isCompared = !findings.some(({ type }) => dataplane.findings[type]?.comparesNothing === true)
  return `${families}, ${source.name}, ${countOf(rules, 'rule')}; ${isCompared ? 'compared' : 'not compared'} with those ${layout === dataplane.layouts[0] ? '' : `of layout ${layout}${layout === 'classic' ? ' (kube-proxy 1.20)' : ''} `}expected ${describeAsked(asked)}${whose}`
}

/** By whose they are, in the order of the first finding of each. */
function groupsOf(
  findings: readonly AuditFinding[],
  report: AuditReport,
): ReadonlyMap<string, readonly AuditFinding[]> {
  const groups = new Map<string, AuditFinding[]>()
  for (const finding of findings) {
    const title = groupTitle(finding, report)
    groups.set(title, [...(groups.get(title) ?? []), finding])
  }
  return groups
}

function groupTitle(finding: AuditFinding, report: AuditReport): string {
  const { owner, claims } = finding
  const { dataplane, state } = report
  const port = (owner && state.services.get(owner)) ?? claimedPort(finding, report)
  if (port !== undefined) return titleOf(port)
  if (claims !== undefined) return claims
  if (finding.table === '') return 'all rules'
  return isLeftOver(finding, dataplane) ? 'of Services that no longer exist' : 'of no service'
}

/** A service port that is there under the name in the comment of what should not be; undefined where there are several. */
function claimedPort({ claims, family }: AuditFinding, { state }: AuditReport): ServicePort | undefined {
  if (claims === undefined) return undefined
  const ports = [...state.services.values()].filter((port) => port.family === family && displayName(port) === claims)
  return ports.length === 1 ? ports[0] : undefined
}

function findingLines(finding: AuditFinding, report: AuditReport, style: Style): readonly string[] {
  const { type, detail, expected = [], found = [] } = finding
  const { dataplane } = report
  const cause = report.causes.get(finding)
  return [
    `  ${placeText(finding, report, style)}`,
    `    ${style.yellow(type)}: ${dataplane.findings[type]?.meaning ?? type}${countText(finding)}`,
    ...(detail === undefined ? [] : [`    ${detail}`]),
    ...limited(expected).map((line) => `    ${style.red(`- ${line}`)}`),
    ...limited(found).map((line) => `    ${style.green(`+ ${line}`)}`),
    ...(cause === undefined ? [] : causeLines(cause, { finding, style }).map((line) => `    ${line}`)),
    `    to do: ${dataplane.toDo(finding)}`,
  ]
}

/** ` (4 times)`, ` (explains 12 differences)`. */
function countText({ count, table }: AuditFinding): string {
  if (count === undefined) return ''
  return table === '' ? ` (explains ${countOf(count, 'difference')})` : ` (${formatCount(count)} times)`
}

const MOST_RULES = 5

const limited = (items: readonly RuleItem[]): readonly string[] => {
  const lines = items.slice(0, MOST_RULES).map(({ line }) => line)
  const more = items.length - lines.length
  return more === 0 ? lines : [...lines, `... and ${countOf(more, 'rule')} more`]
}

/** `IPv4 nat KUBE-SVC-...  spreads over its endpoints`. */
function placeText(
  { family, variant, table, chain, owner }: AuditFinding,
  { dataplane, state }: AuditReport,
  style: Style,
): string {
  const port = owner && state.services.get(owner)
  const endpoints = (owner && state.endpoints.get(owner)) ?? []
  const meaning = port && dataplane.chainMeanings({ port, endpoints }).get(chain)
  const of = table === '' ? [dataplane.mode, ...(variant === undefined ? [] : [variant])].join('-') : table
  const name = chain === '' ? '' : ` ${style.bold(chain)}`
  return `${style.dim(`${family} ${of}`)}${name}${meaning === undefined ? '' : `  ${style.dim(meaning)}`}`
}

/** `made by seq 106  2026-...  MODIFIED EndpointSlice shop/checkout-wbn79, by kube-controller-manager: endpoint ... came`. */
function causeLines(
  { did, change: { cause }, what, behind }: FindingCause,
  { finding, style }: { readonly finding: AuditFinding; readonly style: Style },
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
