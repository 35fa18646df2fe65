import {
  type Assumption,
  endpointKey,
  oddsToNumber,
  type RulePlace,
  type Step,
  type Trace,
  type TracedEndpoint,
  type Way,
} from '@pointsman/core'
import { renderTable } from '../../output/table.js'
import type { Style } from '../../output/terminal.js'
import { type AlsoLookAt, alsoLookAtLines } from '../../packet/also-look-at.js'
import type { PacketNames } from '../../packet/names.js'
import { OUTSIDE, type ResolvedPacket } from '../../packet/resolve-packet.js'
import { isForItsDestination, oddsText, type RowOptions, type WayRow, wayRows } from './path-rows.js'

/** The conclusion first, then the way as an indented table. */
export function traceText(
  summarised: Summarised,
  { style, wide }: RowOptions & { readonly style: Style },
): readonly string[] {
  const rows = wayRows(summarised.trace.ways, { wide })
  const styled = (of: (row: WayRow) => string) => (row: WayRow) => {
    const text = of(row)
    return text === '' ? '' : STYLES[row.kind](style)(text)
  }
  const columns = [
    { title: 'ODDS', align: 'right' as const, cell: ({ odds }: WayRow) => style.cyan(odds) },
    { title: 'RULE', cell: (row: WayRow) => '  '.repeat(row.depth) + styled(({ place }) => place)(row) },
    { title: 'MATCH', cell: styled(({ asks }) => asks) },
    { title: 'ACTION', cell: styled(({ outcome }) => outcome) },
    { title: 'COMMENT', cell: ({ comment }: WayRow) => style.dim(comment) },
  ]
  const parted = rows.some(({ odds }) => odds !== '')
  const table = renderTable<WayRow>(parted ? columns : columns.slice(1), rows, { title: style.dim })
  return [...summaryText(summarised, style), '', ...table, ...alsoLookAtLines(summarised.alsoLookAt, style)]
}

const STYLES: { readonly [kind in WayRow['kind']]: (style: Style) => (text: string) => string } = {
  hook: (style) => style.bold,
  policy: () => (text) => text,
  rule: () => (text) => text,
  missed: (style) => style.dim,
  note: (style) => style.cyan,
}

export interface Summarised {
  readonly packet: ResolvedPacket
  readonly trace: Trace
  readonly assumptions: readonly Assumption[]
  readonly names: PacketNames
  readonly alsoLookAt: readonly AlsoLookAt[]
}

/** The conclusion: what becomes of the packet, who decided, where it may get to, and what was taken for granted. */
function summaryText(summarised: Summarised, style: Style): readonly string[] {
  const { packet, trace, assumptions, names } = summarised
  return [
    style.bold(packetTitle(packet, names)),
    ...trace.fates.map(({ fate, odds }) => fateLine(summarised, { fate, odds }, style)),
    ...(trace.endpoints.length === 0 ? [] : endpointTable(trace.endpoints, { names, style })),
    ...assumptions.map((assumption) => `  ${style.yellow('assumed:')} ${assumptionText(assumption)}`),
  ]
}

function assumptionText({ code, message }: Assumption): string {
  const option = OPTIONS[code]
  return option === undefined ? message : `${message} (${option} says otherwise)`
}

/** How to say what is known. */
const OPTIONS: { readonly [code in Assumption['code']]?: string } = {
  NEW_CLIENT: '--affinity',
  IN_INTERFACE: '--in-interface',
  OUT_INTERFACE: '--out-interface',
  CONNECTION: '--connection',
  NODE_ADDRESS: '--node-address',
  SOURCE_PORT: 'SOURCE:PORT',
}

/** `tcp 10.244.1.9 (shop/frontend-0) -> 10.96.50.2:80 (shop/checkout:http)`. */
export function packetTitle(packet: ResolvedPacket, names: PacketNames): string {
  const { protocol, source, destination, destinationPort: port } = packet
  const sender = source === OUTSIDE[packet.family] ? 'outside' : hostName(names, source)
  const services = names.services({ address: destination, port, protocol })
  const receiver = services.length > 0 ? services.join(', ') : hostName(names, destination)
  const named = (address: string, name: string | undefined): string =>
    name === undefined ? address : `${address} (${name})`
  return `${protocol.toLowerCase()} ${named(source, packet.from === 'node' ? 'the node itself' : sender)} -> ${named(endpointKey({ address: destination, port }), receiver)}`
}

const hostName = (names: PacketNames, address: string): string | undefined => {
  const host = names.host(address)
  return host?.pod ?? host?.node
}

type FateOdds = Trace['fates'][number]

function fateLine(summarised: Summarised, { fate, odds }: FateOdds, style: Style): string {
  const share = oddsToNumber(odds) === 1 ? '' : `${oddsText(odds)}: `
  const way = summarised.trace.ways.find(({ end }) => end.fate === fate)
  const text = way === undefined ? fate : fateText(summarised, way)
  const paint = fate === 'endpoints' ? style.green : fate === 'no-service' ? style.yellow : style.red
  return `  ${share}${paint(text)}`
}

function fateText({ trace }: Summarised, { end, steps }: Way): string {
  switch (end.fate) {
    case 'endpoints': {
      const count = trace.endpoints.length
      return count === 1 ? 'reaches 1 endpoint' : `reaches one of ${count} endpoints`
    }
    case 'rejected':
      return `is rejected with ${end.with} by ${placeText(end.by, steps)}`
    case 'dropped':
      return `is dropped without an answer by ${placeText(end.by, steps)}`
    case 'no-service': {
      const others = otherPorts(steps)
      const hint = others.length === 0 ? '' : `; rules for this address are of ${others.join(', ')}`
      return `is not for a Service: it goes on to ${endpointKey(end)} unchanged${hint}`
    }
  }
}

/** `rule 3 of filter KUBE-SERVICES, "shop/checkout:http has no endpoints"`. */
function placeText({ table, chain, number }: RulePlace, steps: readonly Step[]): string {
  if (number === undefined) return `the policy of ${table} ${chain}`
  const last = steps.findLast((step) => step.type === 'rule')
  const comment = last?.rule.comment ?? ''
  return `rule ${number} of ${table} ${chain}${comment === '' ? '' : `, "${comment}"`}`
}

/** Protocols and ports that there are rules for at the packet's destination, which failed by another condition. */
function otherPorts(steps: readonly Step[]): readonly string[] {
  const found = new Set<string>()
  for (const step of steps) {
    if (step.type !== 'passed') continue
    for (const { conditions } of step.missed) {
      if (!isForItsDestination({ conditions })) continue
      for (const { field, value } of conditions) if (field === 'port' && value !== undefined) found.add(value)
    }
  }
  return [...found].toSorted()
}

function endpointTable(
  endpoints: readonly TracedEndpoint[],
  { names, style }: { readonly names: PacketNames; readonly style: Style },
): readonly string[] {
  const columns = [
    { title: 'ODDS', align: 'right' as const, cell: ({ odds }: TracedEndpoint) => oddsText(odds) },
    { title: 'ENDPOINT', cell: (endpoint: TracedEndpoint) => endpointKey(endpoint) },
    { title: 'POD', cell: ({ address }: TracedEndpoint) => names.host(address)?.pod ?? '-' },
    { title: 'NODE', cell: ({ address }: TracedEndpoint) => names.host(address)?.node ?? '-' },
    { title: 'SEES AS SENDER', cell: ({ source }: TracedEndpoint) => senderText(source) },
  ]
  const known = columns.filter(({ title, cell }) => !OPTIONAL.has(title) || endpoints.some((one) => cell(one) !== '-'))
  return renderTable(known, endpoints, { title: style.dim, indent: '  ' })
}

const OPTIONAL = new Set(['POD', 'NODE'])

const senderText = ({ rewritten, address }: TracedEndpoint['source']): string =>
  rewritten === 'no'
    ? (address ?? '')
    : `${address ?? "an address of the node's"} (${rewritten === 'MASQUERADE' ? 'masqueraded' : 'SNAT'})`
