import {
  displayName,
  endpointKey,
  HINT_REASONS,
  type HintReason,
  isOfAllAddresses,
  type ServicePort,
  SKIP_REASONS,
  shortList,
} from '@pointsman/core'
import type { Style } from '../../output/terminal.js'
import { countOf, formatDuration } from '../../output/format-text.js'
import { formatTime } from '../../output/json.js'
import { type Column, renderTable } from '../../output/table.js'
import { placesText } from '../../packet/resolve-packet.js'
import { causeWords, flipChanges, flipSubject } from '../bisect/text.js'
import { objectName } from '../log/text.js'
import { percent, titleOf } from '../rules/text.js'
import type { EndpointRow } from '../services/answer.js'
import { describeUse } from '../services/text.js'
import { alsoLookAtLines } from '../../packet/also-look-at.js'
import { type Explanation, type Overlap, type PortExplanation, slicesListing } from './answer.js'
import { conclusionOf, frontText, overlapText, sendersText, verdictText } from './conclusion.js'
import type { FrontWays, SenderWay } from './front-ways.js'
import { noEndpointLines, podLines, STALE } from './no-endpoint-text.js'
import type { AnswerChange, LatestChanges } from './latest-changes.js'

/** The conclusion; each port with its ways, its endpoints and what else decides; the Pods; what changed the answer. */
export function explainText(
  explanation: Explanation,
  latest: LatestChanges | undefined,
  style: Style,
): readonly string[] {
  return [
    conclusionLine(explanation, latest, style),
    ...explanation.skipped.map((skip) => `  ${style.dim('no rules')}  ${skippedText(skip)}`),
    ...unknownNodeLines(explanation, style),
    ...explanation.ports.flatMap((port) => ['', ...portLines(port, explanation, style)]),
    ...podLines(explanation, style),
    ...(latest === undefined || latest.changes.length === 0 ? [] : ['', ...changeLines(latest, explanation, style)]),
    ...alsoLookAtLines(explanation.alsoLookAt, style),
  ]
}

function unknownNodeLines({ unknownNode }: Explanation, style: Style): readonly string[] {
  if (unknownNode === undefined) return []
  const { name, others } = unknownNode
  const known = others.length === 0 ? '' : `; the input has ${shortList(others, MOST_NODES)}`
  return [
    `  ${style.yellow(`there is no Node ${name}, nor any endpoint on it`)}${known}: under this name kube-proxy has no local endpoint (check hostnameOverride, --hostname-override)`,
  ]
}

const MOST_NODES = 3

function conclusionLine(explanation: Explanation, latest: LatestChanges | undefined, style: Style): string {
  const { reached, message } = conclusionOf(explanation)
  const paint = { always: style.green, sometimes: style.yellow, never: style.red, 'no-rules': style.yellow }[reached]
  const since = sinceWhen(latest?.changes ?? [])
  const when = since === undefined ? '' : `; since seq ${since.seq}, ${formatTime(since.observedAt)}`
  return `${style.bold(explanation.service)} ${paint(message)}${when}`
}

/** The record since which everything is served, or not everything; undefined: longer than the changes tell. */
function sinceWhen(changes: readonly AnswerChange[]): AnswerChange['flip']['record'] | undefined {
  const isServed = ({ verdict }: AnswerChange['flip']['after']): boolean => verdict === 'endpoints'
  return changes.find(({ flip: { before, after } }) => isServed(before) !== isServed(after))?.flip.record
}

const skippedText = ({ portName, family, reason }: Explanation['skipped'][number]): string =>
  `${[portName, family].filter((part) => part !== undefined && part !== '').join(' ')}${portName || family ? ': ' : ''}${SKIP_REASONS[reason]}`

function portLines(port: PortExplanation, explanation: Explanation, style: Style): readonly string[] {
  const { row } = port
  const facts = factsOf(port, explanation)
  const width = Math.max(0, ...facts.map(([name]) => name.length))
  return [
    `${style.bold(titleOf(row.port))}  ${style.dim(`${row.serviceType}, ${row.port.family}`)}`,
    ...table(WAY_COLUMNS(style), port.fronts.flatMap(wayRows), style),
    '',
    ...(row.endpoints.length === 0
      ? noEndpointLines(port, explanation, style)
      : table(endpointColumns(port, style), row.endpoints, style)),
    ...(facts.length === 0 ? [] : ['']),
    ...facts.map(([name, text]) => `  ${style.dim(name.padEnd(width))}  ${text}`),
  ]
}

const table = <Row>(columns: readonly Column<Row>[], rows: readonly Row[], style: Style): readonly string[] =>
  renderTable(columns, rows, { title: style.dim, indent: '  ' })

interface WayRow {
  readonly front: string
  /** Of senders that have one fate. */
  readonly ways: readonly SenderWay[]
  readonly isGuarded: boolean
}

const WAY_COLUMNS = (style: Style): readonly Column<WayRow>[] => [
  { title: 'FRONTEND', cell: ({ front }) => front },
  { title: 'FROM', cell: ({ ways, isGuarded }) => sendersText(ways, isGuarded ? 'others' : undefined) },
  { title: 'VERDICT', cell: ({ ways }) => waysText(ways, style) },
]

/** A line for each fate of a front, with the senders that are masqueraded. */
function wayRows({ front, address, ways }: FrontWays): readonly WayRow[] {
  const byFate = new Map<string, SenderWay[]>()
  for (const way of ways) {
    const key = JSON.stringify([way.verdict, way.reason, way.endpoints.map(endpointKey)])
    byFate.set(key, [...(byFate.get(key) ?? []), way])
  }
  return [...byFate.values()].map((same, index) => ({
    front: index === 0 ? frontText({ front, ...(address !== undefined && { address }) }) : '',
    ways: same,
    isGuarded: ways.some(({ from }) => from === 'ranges'),
  }))
}

function waysText(ways: readonly SenderWay[], style: Style): string {
  const [way] = ways
  if (way === undefined) return ''
  const { endpoints, verdict, reason } = way
  if (verdict !== 'endpoints') {
    const text = `${verdictText(way)}: ${reason}`
    return verdict === 'no-service' ? style.yellow(text) : style.red(text)
  }
  const share = endpoints.length > 1 ? ` (${percent(1 / endpoints.length)} each)` : ''
  const masqueraded = ways.filter((each) => each.endpoints.every((endpoint) => endpoint.masqueraded))
  const whose = masqueraded.length === ways.length ? '' : ` from ${sendersText(masqueraded)}`
  return `${placesText(endpoints)}${share}${masqueraded.length === 0 ? '' : `, masqueraded${whose}`}`
}

const endpointColumns = (port: PortExplanation, style: Style): readonly Column<EndpointRow>[] => [
  { title: 'ENDPOINT', cell: ({ endpoint }) => endpointKey(endpoint) },
  { title: 'POD', cell: ({ endpoint }) => endpoint.pod ?? '-' },
  {
    title: 'NODE',
    cell: ({ endpoint, isOnNode }) => `${endpoint.nodeName ?? '-'}${isOnNode === true ? ' (this node)' : ''}`,
  },
  { title: 'ZONE', cell: ({ endpoint }) => endpoint.zone ?? '-' },
  { title: 'ENDPOINTSLICE', cell: (row) => slicesText(slicesListing(port, row)) },
  {
    title: 'IN USE',
    cell: (row) => {
      const used = row.cluster?.used === true || row.local?.used === true
      return used ? style.green(describeUse(row)) : style.yellow(describeUse(row))
    },
  },
]

function slicesText(names: readonly string[]): string {
  const [first = '-', ...others] = names
  return others.length === 0 ? first : `${first} and ${others.length} more`
}

/** What else decides, where there is anything to say. */
function factsOf(
  { row: { port, endpoints }, hints, overlaps, slices }: PortExplanation,
  { healthCheck, sourceRanges }: Explanation,
): readonly (readonly [string, string])[] {
  return [
    ...policyFacts(port),
    ...(endpoints.some(({ endpoint }) => endpoint.nodeHints !== undefined || endpoint.zoneHints !== undefined)
      ? [['hints', hintsText(hints)] as const]
      : []),
    ...(port.affinitySeconds > 0
      ? [
          [
            'affinity',
            `a client keeps its endpoint until it has sent nothing for ${formatDuration(port.affinitySeconds * 1000)} (sessionAffinity ClientIP)`,
          ] as const,
        ]
      : []),
    ...sourceTexts(port, sourceRanges).map((text) => ['sources', text] as const),
    ...(port.loadBalancerProxyIPs.length > 0
      ? [
          [
            'balancer',
            `the load balancer handles ${port.loadBalancerProxyIPs.join(', ')} itself (ipMode Proxy): there are no rules for it`,
          ] as const,
        ]
      : []),
    ...(healthCheck !== undefined && port.healthCheckNodePort === healthCheck.port
      ? [
          [
            'health',
            `the health-check node port ${healthCheck.port} answers ${healthCheck.status}: ${countOf(healthCheck.localEndpoints, 'ready endpoint')} on this node`,
          ] as const,
        ]
      : []),
    ...overlaps.map((overlap) => ['overlap', overlapFact(overlap, port)] as const),
    // Without endpoints, all but these are said above.
    ...slices.findings
      .filter(({ reason }) => STALE.has(reason) || (endpoints.length > 0 && reason !== 'NO_ENDPOINTS'))
      .map(({ message }) => ['slices', message] as const),
  ]
}

function policyFacts({
  internalTrafficPolicy,
  externalTrafficPolicy,
}: ServicePort): readonly (readonly [string, string])[] {
  const local = [
    ...(internalTrafficPolicy === 'Local'
      ? ['traffic to the cluster IP uses only endpoints on this node (internalTrafficPolicy Local)']
      : []),
    ...(externalTrafficPolicy === 'Local'
      ? [
          'traffic from outside uses only endpoints on this node and keeps its source address (externalTrafficPolicy Local)',
        ]
      : []),
  ]
  return local.map((text) => ['policy', text])
}

function hintsText({ distribution, nodeHints, zoneHints }: PortExplanation['hints']): string {
  const said = (kind: string, reason: HintReason): string => `${kind} hints: ${HINT_REASONS[reason]}`
  if (distribution === 'PreferSameNode') return said('node', nodeHints)
  if (distribution === 'PreferSameZone') return said('zone', zoneHints)
  if (nodeHints === zoneHints) return `not followed: ${HINT_REASONS[nodeHints]}`
  return nodeHints === 'NO_HINTS'
    ? said('not followed: zone', zoneHints)
    : `${said('node', nodeHints)}; ${said('zone', zoneHints)}`
}

/** None where the Service has no source ranges, or no address that they could guard. */
function sourceTexts(port: ServicePort, written: Explanation['sourceRanges']): readonly string[] {
  if (port.loadBalancerSourceRanges.length > 0) return [sourcesText(port)]
  const { family, loadBalancerVIPs } = port
  if (loadBalancerVIPs.length === 0 || written.IPv4.length + written.IPv6.length === 0) return []
  const all = written[family].find(isOfAllAddresses)
  const others = written[family].filter((range) => !isOfAllAddresses(range))
  const because =
    all === undefined
      ? `the Service has no source range of ${family}`
      : `${all} is among the source ranges${others.length === 0 ? '' : `, and the others have no effect (${others.join(', ')})`}`
  return [`everyone may use ${loadBalancerVIPs.join(', ')}: ${because}`]
}

function sourcesText(port: ServicePort): string {
  const others = [
    'the cluster IP',
    ...(port.externalIPs.length > 0 ? ['external IPs'] : []),
    ...(port.nodePort !== 0 ? [`node port ${port.nodePort}`] : []),
  ]
  const vips = port.loadBalancerVIPs.length === 0 ? 'no address' : port.loadBalancerVIPs.join(', ')
  return `only ${port.loadBalancerSourceRanges.join(', ')} may use ${vips}; the source ranges do not protect ${others.join(', ')}`
}

function overlapFact(overlap: Overlap, { createdAt }: ServicePort): string {
  const { other, otherIsFirst, isDefined } = overlap
  const [older, younger] = other.createdAt === createdAt ? ['first by name', 'second by name'] : ['older', 'younger']
  const order = otherIsFirst ? `which is ${older} and comes first` : `which is ${younger} and comes after it`
  const open = isDefined ? '' : '; with kube-proxy either may come first'
  return `${overlapText(overlap)} is also claimed by ${displayName(other)}, ${order}${open}`
}

function changeLines({ changes, areMore }: LatestChanges, { service }: Explanation, style: Style): readonly string[] {
  const columns: readonly Column<AnswerChange>[] = [
    { title: 'SEQ', align: 'right', cell: ({ flip }) => style.yellow(String(flip.record.seq)) },
    { title: 'TIME', cell: ({ flip }) => formatTime(flip.record.observedAt) },
    { title: 'BY', cell: authorCell },
    { title: 'RECORD', cell: ({ flip }) => flipSubject(flip) },
    { title: 'CHANGE', cell: whatCell },
  ]
  const more = areMore ? [style.dim(`  for earlier changes: pointsman log ${service}`)] : []
  return ['What changed this answer, newest first:', ...table(columns, changes, style), ...more]
}

const MOST_PHRASES = 2

function whatCell({ flip, cause }: AnswerChange): string {
  const changes = flipChanges(flip)
  const shown = changes.slice(0, MOST_PHRASES).join('; ')
  const more = changes.length > MOST_PHRASES ? ` and ${changes.length - MOST_PHRASES} more` : ''
  const behind =
    cause.type === 'service-edit'
      ? `, after seq ${cause.edit.record.seq}, ${objectName(cause.edit.record)}: ${cause.edit.changes.join('; ')}`
      : cause.type === 'slice-edit'
        ? `, ${causeWords(cause) ?? ''}`
        : ''
  return `${shown}${more}${behind}`
}

/** Who was behind it, where that is known. */
function authorCell({ flip: { record }, cause }: AnswerChange): string {
  const decisive = cause.type === 'service-edit' ? cause.edit.record : record
  return decisive.type === 'config' ? '-' : (decisive.author?.manager ?? 'unknown')
}
