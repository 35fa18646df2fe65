import { ENDPOINT_REASONS, endpointKey, type ServicePort, SKIP_REASONS, type SkippedPort } from '@pointsman/core'
import type { Style } from '../../output/terminal.js'
import { type Column, renderTable } from '../../output/table.js'
import { type EndpointRow, portTitle, type ServiceRow, type ServicesView } from './answer.js'

interface TableLook {
  readonly style: Style
  /** A line for each endpoint, with the reason where it is not used. */
  readonly wide: boolean
}

/** The table of service ports, columns that say nothing left out, and below it what gets no rules and why. */
export function servicesTable(
  { rows, skipped }: Pick<ServicesView, 'rows' | 'skipped'>,
  look: TableLook,
): readonly string[] {
  const { style } = look
  const columns = COLUMNS.filter(({ isShown }) => isShown === undefined || rows.some(isShown)).map((column) => ({
    ...column,
    cell: (row: ServiceRow) => column.text(row, style),
  }))
  const table = rows.length === 0 ? [] : renderTable(columns, rows, { title: style.bold })
  return [...(look.wide ? withEndpoints(table, rows, style) : table), ...skippedLines(skipped, style)]
}

interface ServiceColumn extends Omit<Column<ServiceRow>, 'cell'> {
  readonly text: (row: ServiceRow, style: Style) => string
  /** Absent: always. */
  readonly isShown?: (row: ServiceRow) => boolean
}

const COLUMNS: readonly ServiceColumn[] = [
  { title: 'SERVICE', text: ({ port }) => portTitle(port) },
  { title: 'TYPE', text: ({ serviceType }) => serviceType },
  { title: 'PROTO', text: ({ port }) => port.protocol },
  { title: 'CLUSTER-IP', text: ({ port }) => endpointKey({ address: port.clusterIP, port: port.port }) },
  {
    title: 'EXTERNAL',
    text: ({ port }) => externals(port).join(','),
    isShown: ({ port }) => externals(port).length > 0,
  },
  {
    title: 'NODE-PORT',
    text: ({ port }) => (port.nodePort === 0 ? '' : String(port.nodePort)),
    isShown: ({ port }) => port.nodePort !== 0,
  },
  { title: 'ENDPOINTS', text: endpointsCell },
  // By hints, or by policy Local alone: fewer than could serve.
  { title: 'USED', text: ({ used }) => String(used), isShown: ({ used, ready, fallback }) => used < ready + fallback },
  { title: 'ON-NODE', text: ({ onNode }) => String(onNode ?? ''), isShown: ({ onNode }) => onNode !== undefined },
  { title: 'POLICY', text: ({ port }) => policies(port), isShown: ({ port }) => policies(port) !== '' },
  { title: 'AFFINITY', text: ({ port }) => affinity(port), isShown: ({ port }) => port.affinitySeconds > 0 },
  {
    title: 'SOURCES',
    text: ({ port }) => port.loadBalancerSourceRanges.join(','),
    isShown: ({ port }) => port.loadBalancerSourceRanges.length > 0,
  },
]

const externals = (port: ServicePort): readonly string[] => [
  ...port.externalIPs,
  ...port.loadBalancerVIPs,
  ...port.loadBalancerProxyIPs,
]

function endpointsCell({ endpoints, ready, fallback }: ServiceRow, style: Style): string {
  const count = `${ready}/${endpoints.length}`
  if (endpoints.length === 0) return style.red('none')
  if (fallback > 0) return style.yellow(`${count} +${fallback} terminating`)
  if (ready === 0) return style.red(count)
  return ready < endpoints.length ? style.yellow(count) : count
}

function policies({ externalTrafficPolicy, internalTrafficPolicy }: ServicePort): string {
  return [
    externalTrafficPolicy === 'Local' ? 'external=Local' : '',
    internalTrafficPolicy === 'Local' ? 'internal=Local' : '',
  ]
    .filter((text) => text !== '')
    .join(',')
}

function affinity({ affinitySeconds }: ServicePort): string {
  if (affinitySeconds === 0) return ''
  if (affinitySeconds % 3600 === 0) return `${affinitySeconds / 3600}h`
  return affinitySeconds % 60 === 0 ? `${affinitySeconds / 60}m` : `${affinitySeconds}s`
}

/** Puts the endpoints of each service port below its line. */
function withEndpoints(table: readonly string[], rows: readonly ServiceRow[], style: Style): readonly string[] {
  const [title = '', ...lines] = table
  const blocks = rows.flatMap((row, index) => [lines[index] ?? '', ...endpointLines(row.endpoints, style)])
  return rows.length === 0 ? [] : [title, ...blocks]
}

function endpointLines(endpoints: readonly EndpointRow[], style: Style): readonly string[] {
  const columns: readonly Column<EndpointRow>[] = [
    { title: '', cell: ({ endpoint }) => endpointKey(endpoint) },
    { title: '', cell: ({ endpoint }) => endpoint.pod ?? '' },
    {
      title: '',
      cell: ({ endpoint, isOnNode }) => `${endpoint.nodeName ?? ''}${isOnNode === true ? ' (this node)' : ''}`,
    },
    { title: '', cell: (row) => useCell(row, style) },
  ]
  return renderTable(columns, endpoints, { indent: '  ' }).slice(1)
}

/** `used`, or why not; of both kinds of traffic where they differ. */
export function describeUse({ cluster, local }: Pick<EndpointRow, 'cluster' | 'local'>): string {
  const isSame = cluster?.used === local?.used && cluster?.reason === local?.reason
  if (cluster === undefined || local === undefined || isSame) return useText(cluster ?? local)
  return `${useText(cluster, 'for cluster traffic')}; ${useText(local, 'for local traffic')}`
}

/** `not used for local traffic (not ready)`. */
function useText(verdict: EndpointRow['cluster'], traffic?: string): string {
  if (verdict === undefined) return 'not used'
  const { used, reason } = verdict
  const text = [used ? 'used' : 'not used', ...(traffic === undefined ? [] : [traffic])].join(' ')
  if (reason === 'READY') return text
  return traffic === undefined ? `${text}: ${ENDPOINT_REASONS[reason]}` : `${text} (${ENDPOINT_REASONS[reason]})`
}

function useCell(row: EndpointRow, style: Style): string {
  const text = describeUse(row)
  const isUsed = row.cluster?.used === true || row.local?.used === true
  return isUsed ? style.green(text) : style.yellow(text)
}

function skippedLines(skipped: readonly SkippedPort[], style: Style): readonly string[] {
  if (skipped.length === 0) return []
  const lines = skipped.map((skip) => ({ name: describeSkipped(skip), reason: SKIP_REASONS[skip.reason] }))
  const columns = [
    { title: '', cell: ({ name }: (typeof lines)[number]) => name },
    { title: '', cell: ({ reason }: (typeof lines)[number]) => style.dim(reason) },
  ]
  return ['', style.bold('No rules for'), ...renderTable(columns, lines, { indent: '  ' }).slice(1)]
}

/** `shop/web`, `shop/web:http (IPv6)`. */
const describeSkipped = ({ service, portName, family }: SkippedPort): string =>
  `${service}${portName === undefined || portName === '' ? '' : `:${portName}`}${family === undefined ? '' : ` (${family})`}`
