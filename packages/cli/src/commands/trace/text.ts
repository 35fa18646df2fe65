import {
  type Assumption,
  endpointKey,
  oddsToNumber,
  type End,
  type EndOdds,
  type RulePlace,
  type Step,
  type Trace,
  type TraceCase,
  type TracedEndpoint,
  type Way,
} from '@pointsman/core'
import { renderTable } from '../../output/table.js'
import type { Style } from '../../output/terminal.js'
import { type AlsoLookAt, alsoLookAtLines } from '../../packet/also-look-at.js'
import type { PacketNames } from '../../packet/names.js'
import { OUTSIDE, type ResolvedPacket } from '../../packet/resolve-packet.js'
import { certaintyOf, dependencesOf } from './answer.js'
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
    ...(trace.cases === undefined
      ? trace.fates.map(({ fate, odds }) => fateLine(summarised, { fate, odds }, style))
      : caseLines(summarised, { cases: trace.cases, style })),
    ...(trace.endpoints.length === 0 ? [] : endpointTable(trace.endpoints, { names, style })),
    ...assumptions.map((assumption) => `  ${style.yellow('assumed:')} ${assumptionText(assumption)}`),
    ...hintLines(summarised, style),
  ]
}

/** The verdict in each case: an if for each unknown fact. */
function caseLines(
  summarised: Summarised,
  { cases, style }: { readonly cases: readonly TraceCase[]; readonly style: Style },
): readonly string[] {
  const { trace } = summarised
  const things = dependencesOf(trace)
  const count = things.length === 1 ? 'one thing' : `${things.length} things`
  const [only] = cases
  const head = `  ${style.yellow(`depends on ${count} that neither the rules nor the input say`)}`
  if (only !== undefined && cases.length === 1) {
    const some = things.slice(0, MOST_THINGS).map(({ text }) => text)
    const more = things.length - some.length
    return [
      `${head}, too many to tell case by case`,
      `    whether ${some.join(', or ')}${more > 0 ? `, and ${more} more` : ''}`,
      ...only.ends.slice(0, MOST_THINGS).map(({ end }) => `    perhaps it ${endText(summarised, end)}`),
    ]
  }
  const lines = [...branchLines(summarised, { cases, depth: 2, at: 0 })]
  const shown = lines.slice(0, MOST_CASE_LINES)
  const more = lines.length - shown.length
  return [`${head}:`, ...shown, ...(more > 0 ? [`    and ${more} more: -o json tells them`] : [])]
}

const MOST_THINGS = 5
const MOST_CASE_LINES = 24

/** Cases that have the first `at` conditions in common. */
function* branchLines(
  summarised: Summarised,
  start: { readonly cases: readonly TraceCase[]; readonly depth: number; readonly at: number },
): Generator<string> {
  const waiting = [{ ...start, word: 'if' as 'if' | 'else if' }]
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const { cases, depth, at, word } = next
    const indent = '  '.repeat(depth)
    const [first] = cases
    const asked = first?.when[at]
    if (first === undefined) continue
    if (asked === undefined) {
      yield `${indent}${word === 'if' ? '' : 'else: '}${caseText(first, summarised)}`
      continue
    }
    const [yes, no] = [true, false].map((holds) => cases.filter(({ when }) => when[at]?.holds === holds))
    const [single, ...others] = yes ?? []
    waiting.push({ cases: no ?? [], depth, at: at + 1, word: 'else if' })
    if (single !== undefined && others.length === 0 && single.when.length === at + 1)
      yield `${indent}${word} ${asked.text}: ${caseText(single, summarised)}`
    else {
      yield `${indent}${word} ${asked.text}:`
      waiting.push({ cases: yes ?? [], depth: depth + 1, at: at + 1, word: 'if' })
    }
  }
}

/** The verdict in one case, for a person: each end with its odds. */
export function caseText({ ends }: Pick<TraceCase, 'ends'>, summarised: Summarised): string {
  const reached = ends.filter(({ end }) => end.fate === 'endpoints')
  const others = ends.filter(({ end }) => end.fate !== 'endpoints')
  const share = (odds: EndOdds['odds'], text: string): string =>
    ends.length === 1 ? text : `${oddsText(odds)} ${text}`
  const places = reached.slice(0, MOST_THINGS).map(({ end, odds }) => share(odds, endText(summarised, end)))
  const more = reached.length - places.length
  return [
    ...places,
    ...(more > 0 ? [`${more} more endpoints`] : []),
    ...others.map(({ end, odds }) => share(odds, endText(summarised, end))),
  ].join(', ')
}

function endText({ trace }: Summarised, end: End): string {
  switch (end.fate) {
    case 'endpoints': {
      const { rewritten } = end.source
      return `reaches ${placeKey(end)}${rewritten === 'no' ? '' : rewritten === 'MASQUERADE' ? ', masqueraded' : ', SNAT'}`
    }
    case 'rejected':
    case 'dropped': {
      const steps = trace.ways.find((way) => JSON.stringify(way.end) === JSON.stringify(end))?.steps ?? []
      const how = end.fate === 'rejected' ? `rejected with ${end.with}` : 'dropped without an answer'
      return `is ${how} by ${placeText(end.by, steps)}`
    }
    case 'no-service':
      return `goes on to ${placeKey(end)} unchanged`
    case 'depends':
      return decidesText(end)
  }
}

/** Of a protocol without ports, the address alone. */
const placeKey = ({ address, port }: { readonly address: string; readonly port: number }): string =>
  port === 0 ? address : endpointKey({ address, port })

const decidesText = (end: Extract<End, { readonly fate: 'depends' }>): string =>
  end.on === 'IPVS' ? `depends on IPVS: IPVS decides about ${placeKey(end)}` : `depends on ${end.on}`

/** The options that say what the verdict depends on, and what decides besides the rules. */
function hintLines({ trace, assumptions }: Summarised, style: Style): readonly string[] {
  if (certaintyOf(trace, assumptions) !== 'depends') return []
  const options = [...new Set(dependencesOf(trace).flatMap(({ option }) => option?.split(', ') ?? []))]
  const hints = options.length === 0 ? [] : [`  ${style.dim(`say what is known with ${options.join(', ')}`)}`]
  const isIpvs =
    trace.ways.some(({ end }) => end.fate === 'depends' && end.on === 'IPVS') ||
    trace.cases?.some(({ when }) => when.some(({ text }) => text.endsWith('on kube-ipvs0'))) === true
  if (!isIpvs) return hints
  return [
    "  these are rules of kube-proxy's ipvs mode: IPVS decides where packets for Services go (`ipvsadm -Ln` lists its virtual servers)",
    ...hints,
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
  NODE_ADDRESS: '--interface-address',
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
  return `${protocol.toLowerCase()} ${named(source, packet.from === 'node' ? 'the node itself' : sender)} -> ${named(placeKey({ address: destination, port }), receiver)}`
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
    case 'depends':
      return decidesText(end)
    case 'no-service': {
      const refused = refusedText(steps)
      if (refused !== undefined)
        return `${refused}, marked for dropping, and dropped by nothing on its way: it goes on to ${placeKey(end)} unchanged`
      const unasked = steps.find((step) => step.type === 'unasked' && step.rules !== undefined)
      if (unasked?.type === 'unasked') {
        const isOwn = steps.some((step) => step.type === 'routing' && step.to === 'node')
        return `is not for a Service: ${unasked.rules ?? ''}; it goes on to ${placeKey(end)} unchanged${isOwn ? ', where the node itself answers' : ''}`
      }
      const others = otherPorts(steps)
      const hint =
        others.length === 0
          ? ''
          : `; rules for this address are of ${others.join(', ')}${end.port === 0 ? ': no rule of a Service is for icmp, so that nothing answers a ping to a cluster IP' : ''}`
      return `is not for a Service: it goes on to ${placeKey(end)} unchanged${hint}`
    }
  }
}

/** What refused a packet by marking it for a kubelet to drop, as layout classic does; undefined: nothing did. */
function refusedText(steps: readonly Step[]): string | undefined {
  const marking = steps.findIndex(
    (step) => step.type === 'rule' && step.chain === MARK_DROP && step.effect.type === 'mark',
  )
  const step = steps
    .slice(0, Math.max(marking, 0))
    .findLast((each) => each.type === 'rule' && each.effect.type === 'jump' && each.effect.chain === MARK_DROP)
  if (step?.type !== 'rule') return undefined
  const isLetIn = steps.some(
    (each) =>
      each.type === 'rule' &&
      each.chain === step.chain &&
      each.effect.type === 'jump' &&
      !each.effect.chain.startsWith('KUBE-MARK-'),
  )
  const isByRanges = step.chain.startsWith('KUBE-FW-') && !isLetIn
  const isByPolicy = step.chain.startsWith('KUBE-XLB-')
  const why = isByRanges ? ' (none of its source ranges has the source)' : isByPolicy ? ' (no local endpoints)' : ''
  const comment = step.rule.comment === '' ? '' : `, "${step.rule.comment}"`
  const by = isByRanges || isByPolicy ? `the service port${why}, by ` : ''
  return `is refused by ${by}rule ${step.number} of ${step.table} ${step.chain}${comment}`
}

const MARK_DROP = 'KUBE-MARK-DROP'

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
    {
      title: 'ODDS',
      align: 'right' as const,
      cell: ({ odds, atLeast }: TracedEndpoint) => (atLeast === undefined ? oddsText(odds) : 'depends'),
    },
    { title: 'ENDPOINT', cell: (endpoint: TracedEndpoint) => placeKey(endpoint) },
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
