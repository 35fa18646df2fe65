import {
  displayName,
  endpointKey,
  type Front,
  HINT_REASONS,
  type HintReason,
  isOfAllAddresses,
  type ServicePort,
  SKIP_REASONS,
} from '@pointsman/core'
import type { Style } from '../../output/terminal.js'
import { formatDuration } from '../../output/format-text.js'
import { formatTime } from '../../output/json.js'
import { type Column, renderTable } from '../../output/table.js'
import { placesText } from '../../packet/resolve-packet.js'
import { causeWords, flipChanges, flipSubject } from '../bisect/text.js'
import { objectName } from '../log/text.js'
import { percent, titleOf } from '../rules/text.js'
import type { EndpointRow } from '../services/answer.js'
import { describeUse } from '../services/text.js'
import type { Explanation, FrontWays, Overlap, PortExplanation, Sender, SenderWay } from './answer.js'
import type { AnswerChange, LatestChanges } from './latest-changes.js'

/** The conclusion; each port with its ways, its endpoints and what else decides; then what changed the answer. */
export function explainText(
  explanation: Explanation,
  latest: LatestChanges | undefined,
  style: Style,
): readonly string[] {
  return [
    conclusionLine(explanation, latest, style),
    ...explanation.skipped.map((skip) => `  ${style.dim('no rules')}  ${skippedText(skip)}`),
    ...explanation.ports.flatMap((port) => ['', ...portLines(port, explanation, style)]),
    ...(latest === undefined || latest.changes.length === 0 ? [] : ['', ...changeLines(latest, explanation, style)]),
  ]
}

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
      ? [`  ${style.red('no endpoint is listed')}: ${noEndpointText(explanation)}`]
      : table(endpointColumns(style), row.endpoints, style)),
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
  { title: 'SENT TO', cell: ({ front }) => front },
  { title: 'FROM', cell: ({ ways, isGuarded }) => sendersText(ways, isGuarded ? 'others' : undefined) },
  { title: 'WHAT BECOMES OF IT', cell: ({ ways }) => waysText(ways, style) },
]

/** A line for each fate that a front has, whoever has it; who is masqueraded is said in it. */
function wayRows({ front, address, ways }: FrontWays): readonly WayRow[] {
  const byFate = new Map<string, SenderWay[]>()
  for (const way of ways) {
    const key = JSON.stringify([way.verdict, way.reason, way.endpoints.map(endpointKey)])
    byFate.set(key, [...(byFate.get(key) ?? []), way])
  }
  return [...byFate.values()].map((same, index) => ({
    front: index === 0 ? frontText({ front, address }) : '',
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

const endpointColumns = (style: Style): readonly Column<EndpointRow>[] => [
  { title: 'ENDPOINT', cell: ({ endpoint }) => endpointKey(endpoint) },
  { title: 'POD', cell: ({ endpoint }) => endpoint.pod ?? '-' },
  {
    title: 'NODE',
    cell: ({ endpoint, isOnNode }) => `${endpoint.nodeName ?? '-'}${isOnNode === true ? ' (this node)' : ''}`,
  },
  { title: 'ZONE', cell: ({ endpoint }) => endpoint.zone ?? '-' },
  {
    title: 'IN USE',
    cell: (row) => {
      const used = row.cluster?.used === true || row.local?.used === true
      return used ? style.green(describeUse(row)) : style.yellow(describeUse(row))
    },
  },
]

function noEndpointText({ selector }: Explanation): string {
  if (selector === undefined || selector === null)
    return 'the Service has no selector, so that whoever made it has to list them'
  const text = Object.entries(selector)
    .map(([name, value]) => `${name}=${String(value)}`)
    .toSorted()
    .join(',')
  return `either no pod has the labels ${text}, or none has the port`
}

/** What else decides, where there is anything to say. */
function factsOf(
  { row: { port, endpoints }, hints, overlaps }: PortExplanation,
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
            `a client stays with its endpoint until it has been silent for ${formatDuration(port.affinitySeconds * 1000)} (ClientIP)`,
          ] as const,
        ]
      : []),
    ...sourceTexts(port, sourceRanges).map((text) => ['sources', text] as const),
    ...(port.loadBalancerProxyIPs.length > 0
      ? [['balancer', `${port.loadBalancerProxyIPs.join(', ')} is left to the load balancer (ipMode Proxy)`] as const]
      : []),
    ...(healthCheck !== undefined && port.healthCheckNodePort === healthCheck.port
      ? [
          [
            'health',
            `load balancers that ask port ${healthCheck.port} hear ${healthCheck.status}: ${healthCheck.localEndpoints} ready on this node`,
          ] as const,
        ]
      : []),
    ...overlaps.map((overlap) => ['overlap', overlapText(overlap)] as const),
  ]
}

function policyFacts({
  internalTrafficPolicy,
  externalTrafficPolicy,
}: ServicePort): readonly (readonly [string, string])[] {
  const local = [
    ...(internalTrafficPolicy === 'Local'
      ? ['what is sent to the cluster IP stays on its node (internalTrafficPolicy Local)']
      : []),
    ...(externalTrafficPolicy === 'Local'
      ? ['what comes from outside stays on this node, its sender untouched (externalTrafficPolicy Local)']
      : []),
  ]
  return local.map((text) => ['policy', text])
}

function hintsText({ distribution, nodeHints, zoneHints }: PortExplanation['hints']): string {
  const said = (kind: string, reason: HintReason): string => `of ${kind}: ${HINT_REASONS[reason]}`
  if (distribution === 'PreferSameNode') return said('nodes', nodeHints)
  if (distribution === 'PreferSameZone') return said('zones', zoneHints)
  if (nodeHints === zoneHints) return `not followed: ${HINT_REASONS[nodeHints]}`
  return nodeHints === 'NO_HINTS'
    ? said('zones, not followed', zoneHints)
    : `${said('nodes', nodeHints)}; ${said('zones', zoneHints)}`
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
  return `guard ${vips}: ${port.loadBalancerSourceRanges.join(', ')} may; they do not cover ${others.join(', ')}`
}

const overlapText = ({ front, other, otherIsFirst }: Overlap): string =>
  `${front.address === undefined ? `node port ${front.port}` : endpointKey({ address: front.address, port: front.port })} is also ${displayName(other)}'s, ${
    otherIsFirst ? 'which is older and comes first' : 'which is younger and comes after it'
  }`

function changeLines({ changes, areMore }: LatestChanges, { service }: Explanation, style: Style): readonly string[] {
  const columns: readonly Column<AnswerChange>[] = [
    { title: 'SEQ', align: 'right', cell: ({ flip }) => style.yellow(String(flip.record.seq)) },
    { title: 'TIME', cell: ({ flip }) => formatTime(flip.record.observedAt) },
    { title: 'BY', cell: authorCell },
    { title: 'RECORD', cell: ({ flip }) => flipSubject(flip) },
    { title: 'WHAT', cell: whatCell },
  ]
  const more = areMore ? [style.dim(`  earlier ones: pointsman log ${service}`)] : []
  return ['What changed this answer, the newest first:', ...table(columns, changes, style), ...more]
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

/** The answer in a word, and in a sentence. */
interface Conclusion {
  /** Whether everything, something, or nothing that is sent to the Service reaches an endpoint. */
  readonly reached: 'always' | 'sometimes' | 'never' | 'no-rules'
  readonly message: string
}

export function conclusionOf({ ports }: Pick<Explanation, 'ports'>): Conclusion {
  if (ports.length === 0) return { reached: 'no-rules', message: 'has no rules' }
  const fronts = ports.flatMap((port) => port.fronts)
  const ways = fronts.flatMap(({ decisive }) => decisive)
  const failing = fronts.filter(({ decisive }) => decisive.some(isFailing))
  const [first] = failing
  const used = new Set(ways.flatMap((way) => way.endpoints.map(({ address, port }) => `${address} ${port}`))).size
  const counted = used === 1 ? '1 endpoint' : `${used} endpoints`
  if (first === undefined) return { reached: 'always', message: `is served by ${counted}` }
  const missing = failureText(first)
  if (ways.every(isFailing)) return { reached: 'never', message: `is not served: everything is ${missing}` }
  const more = failing.length === 1 ? '' : `, and so on for ${failing.length - 1} more`
  return {
    reached: 'sometimes',
    message: `is served by ${counted}, but what comes from ${sendersText(first.decisive.filter(isFailing))} to ${frontText(first)} is ${missing}${more}`,
  }
}

const isFailing = ({ verdict }: SenderWay): boolean => verdict !== 'endpoints'

function failureText({ decisive }: FrontWays): string {
  const way = decisive.find(isFailing)
  return way === undefined ? '' : `${verdictText(way)}: ${way.reason}`
}

const FRONTS: { readonly [type in Front['type']]: string } = {
  clusterIP: 'cluster IP',
  externalIP: 'external IP',
  loadBalancerIP: 'load balancer',
  nodePort: 'node port',
}

/** `node port 192.168.55.10:30080`. */
const frontText = ({ front: { type, port }, address }: Pick<FrontWays, 'front' | 'address'>): string =>
  `${FRONTS[type]} ${endpointKey({ address, port })}`

/** `anybody`, `pods and the node`; `others` beside source ranges. */
function sendersText(ways: readonly SenderWay[], everybody = 'anybody'): string {
  const senders = new Set(ways.map(({ from }) => from))
  const names = ORDER.filter((sender) => senders.has(sender)).map((sender) => NAMES[sender])
  if (names.length === 3 && !senders.has('ranges')) return everybody
  return names.join(', ').replace(/, ([^,]*)$/, ' and $1')
}

const NAMES: { readonly [sender in Sender]: string } = {
  ranges: 'the source ranges',
  pod: 'pods',
  node: 'the node',
  outside: 'outside',
}
const ORDER = ['ranges', 'pod', 'node', 'outside'] as const

const verdictText = ({ verdict }: Pick<SenderWay, 'verdict'>): string =>
  verdict === 'no-service' ? 'not for a Service' : verdict
