import {
  assertNever,
  describeChange,
  type FateFlip,
  type FlipCause,
  type ObjectRecord,
  type PacketFate,
} from '@pointsman/core'
import type { Style } from '../../output/terminal.js'
import { countOf, formatDuration } from '../../output/format-text.js'
import { formatTime } from '../../output/json.js'
import { renderTable } from '../../output/table.js'
import { packetNames } from '../../packet/names.js'
import { placesText } from '../../packet/resolve-packet.js'
import { packetTitle } from '../trace/text.js'
import { objectName } from '../log/text.js'
import type { Bisection } from './answer.js'
import type { BisectQuestion } from './question.js'

/** The conclusion, the record with what is behind it, the one that fixed it; then every flip, the newest first. */
export function bisectText(found: Bisection, question: BisectQuestion, style: Style): readonly string[] {
  const { broken, mended, flips } = found
  const look = { found, style }
  const whose = question.node === undefined ? '' : `, node ${question.node.name}`
  const title = packetTitle(question.packet, packetNames(question.state))
  return [
    style.dim(`${headLine(question)}${whose}, ${question.packet.family}`),
    style.bold(title),
    `  ${conclusion(found, question, style)}`,
    ...question.assumptions.map((assumption) => `  ${style.yellow('assumed:')} ${assumption}`),
    ...(broken === undefined ? [] : ['', ...flipLines(breaks(broken) ? 'broken by' : 'changed by', broken, look)]),
    ...(mended === undefined ? [] : ['', ...flipLines('fixed by', mended, look)]),
    ...(flips.length === 0 ? [] : ['', ...flipTable(found, question, style), '']),
    style.dim(searchedLine(found)),
  ]
}

export const breaks = ({ after }: FateFlip): boolean => after.verdict !== 'endpoints'

/** Which records were looked at. */
export const headLine = ({ from, to }: Pick<BisectQuestion, 'from' | 'to'>): string =>
  `after seq ${from.seq}, up to seq ${to.seq}${to.time === undefined ? '' : `, ${formatTime(to.time)}`}`

export function conclusion(found: Bisection, question: Pick<BisectQuestion, 'from' | 'to'>, style: Style): string {
  const { broken, mended, flips, last } = found
  if (broken === undefined) {
    if (flips.length === 0) return `${fateText(last, style)} throughout: ${last.reason}`
    const since = flips.at(-1)?.record.seq ?? question.from.seq
    return last.verdict === 'endpoints'
      ? `${fateText(last, style)} since seq ${since}; it reached none before`
      : `${fateText(last, style)}, and did not reach endpoints before: ${last.reason}`
  }
  const { before, after, record } = broken
  const changed = `${pastWords(before)}${differing(before, after)} until seq ${record.seq}, and then ${paintOf(after, style)(pastWords(after))}`
  if (after.verdict === 'endpoints') {
    const again = mended === undefined ? '' : `, and from seq ${mended.record.seq} on the same as before`
    return `${changed}${differing(after, before)}${again}`
  }
  const end = mended?.record.observedAt ?? question.to.time ?? record.observedAt
  const lasted = formatDuration(end - record.observedAt)
  if (mended !== undefined)
    return `${changed}: ${after.reason}; ${style.green('fixed')} ${lasted} later, at seq ${mended.record.seq}`
  const span = end === record.observedAt ? '' : ` ${lasted} later`
  return `${changed}: ${after.reason}; ${style.red('still broken')}${span}`
}

/** ` (10.244.1.9:8080)`, where the counts say nothing of the difference. */
const differing = (fate: PacketFate, other: PacketFate): string =>
  fate.verdict === other.verdict && fate.endpoints.length === other.endpoints.length ? ` (${fatePlaces(fate)})` : ''

const fateText = (fate: PacketFate, style: Style): string => paintOf(fate, style)(fateWords(fate))

const paintOf = ({ verdict }: PacketFate, { red, green, yellow }: Style): Style['red'] =>
  verdict === 'endpoints' ? green : verdict === 'no-service' ? yellow : red

/** Where it may get to, and whether as whom it is. */
function fatePlaces({ endpoints }: PacketFate): string {
  const masqueraded = endpoints.filter((endpoint) => endpoint.masqueraded).length
  const whose =
    masqueraded === 0 ? '' : masqueraded === endpoints.length ? ', masqueraded' : `, ${masqueraded} masqueraded`
  return `${placesText(endpoints)}${whose}`
}

interface FlipLook {
  readonly found: Pick<Bisection, 'causeOf'>
  readonly style: Style
}

export function flipLines(label: string, flip: FateFlip, { found, style }: FlipLook): readonly string[] {
  const cause = found.causeOf(flip)
  const words = causeWords(cause)
  const behind = cause.type === 'service-edit' ? cause.edit : undefined
  return [
    ...recordLines(label, { record: flip.record, title: flipSubject(flip), changes: flipChanges(flip) }, style),
    ...(words === undefined ? [] : [`${pad('caused by')}${words}`]),
    ...(behind === undefined
      ? []
      : recordLines(
          'caused by',
          { record: behind.record, title: objectName(behind.record), changes: behind.changes },
          style,
        )),
  ]
}

interface ToldRecord {
  readonly record: FateFlip['record']
  readonly title: string
  readonly changes: readonly string[]
}

function recordLines(label: string, { record, title, changes }: ToldRecord, style: Style): readonly string[] {
  const what =
    record.type === 'config'
      ? style.bold(title)
      : `${record.event} ${style.bold(title)}, resourceVersion ${record.resourceVersion}, by ${authorText(record)}`
  return [
    `${pad(label)}${style.yellow(`seq ${record.seq}`)}  ${formatTime(record.observedAt)}  ${what}`,
    ...changes.map((change) => `${pad('')}    ${change}`),
  ]
}

const pad = (label: string): string => label.padEnd('changed by  '.length)

function authorText({ author, event }: ObjectRecord): string {
  if (author !== undefined) return author.manager
  return event === 'DELETED' ? 'unknown: the API does not say who deletes' : 'unknown'
}

/** More are counted: they are all in `-o json`. */
const MOST_FLIPS = 20

function flipTable({ flips, causeOf }: Bisection, { exact }: BisectQuestion, style: Style): readonly string[] {
  const newest = flips.toReversed()
  const shown = newest.slice(0, MOST_FLIPS)
  const left = newest.length - shown.length
  const columns = [
    { title: 'SEQ', align: 'right' as const, cell: ({ record }: FateFlip) => style.yellow(String(record.seq)) },
    { title: 'TIME', cell: ({ record }: FateFlip) => formatTime(record.observedAt) },
    { title: 'BY', cell: (flip: FateFlip) => authorCell(flip, causeOf(flip)) },
    { title: 'RECORD', cell: flipSubject },
    {
      title: 'THE PACKET',
      cell: ({ after }: FateFlip) =>
        `${fateText(after, style)}${exact && after.endpoints.length > 0 ? `: ${fatePlaces(after)}` : ''}`,
    },
  ]
  const title = `Its verdict changed ${flips.length === 1 ? 'once' : `${flips.length} times`}, newest first:`
  const more = left === 0 ? [] : [`  ${style.dim(`and ${countOf(left, 'earlier change')}: -o json has them all`)}`]
  return [title, ...renderTable(columns, shown, { title: style.dim, indent: '  ' }), ...more]
}

/** Who was behind it, where that is known. */
function authorCell({ record }: FateFlip, cause: ReturnType<Bisection['causeOf']>): string {
  const decisive = cause.type === 'service-edit' ? cause.edit.record : record
  if (decisive.type === 'config') return '-'
  return decisive.author?.manager ?? 'unknown'
}

const MOST_SERVICES = 4
/** So many take a while. */
const MANY = 50_000

export function searchedLine({ candidates, services }: Pick<Bisection, 'candidates' | 'services'>): string {
  const whose =
    services.length === 0
      ? 'no Service had this destination'
      : `${services.length > MOST_SERVICES ? `${services.length} Services` : services.join(', ')}, its EndpointSlices and the Node`
  const many = candidates > MANY ? '; --good and --bad narrow it down' : ''
  return `${countOf(candidates, 'record')} could affect it: ${whose}${many}`
}

/** `reaches 2 endpoints`, `is rejected`. */
function fateWords({ verdict, endpoints }: Pick<PacketFate, 'verdict' | 'endpoints'>): string {
  switch (verdict) {
    case 'endpoints':
      return endpoints.length === 1 ? 'reaches 1 endpoint' : `reaches ${endpoints.length} endpoints`
    case 'rejected':
      return 'is rejected'
    case 'dropped':
      return 'is dropped'
    case 'no-service':
      return 'is not for a Service'
    default:
      return assertNever(verdict)
  }
}

/** `reached 2 endpoints`, `was rejected`. */
const pastWords = (fate: PacketFate): string =>
  fateWords(fate)
    .replace(/^reaches/, 'reached')
    .replace(/^is/, 'was')

/** `EndpointSlice shop/checkout-wbn79`, `the effective configuration`. */
export const flipSubject = ({ record }: Pick<FateFlip, 'record'>): string =>
  record.type === 'config' ? 'the effective configuration' : objectName(record)

interface Told {
  readonly record: FateFlip['record']
  readonly previous?: FateFlip['previous'] | undefined
}

/** What the record changed, in phrases. */
export function flipChanges({ record, previous }: Told): readonly string[] {
  if (record.type === 'config') return []
  return describeChange({ event: record.event, previous, object: record.object })
}

/** What there is to say of a cause beside its record; undefined: the record says it. */
export function causeWords(cause: FlipCause): string | undefined {
  switch (cause.type) {
    case 'itself':
    case 'service-edit':
      return undefined
    case 'slice-edit':
      return 'the EndpointSlice itself was edited: no controller manages it, or its service-name label changed'
    case 'pods-gone':
      return `the pods were removed, ${NO_EDIT}`
    case 'not-ready':
      return `the pods are no longer ready, ${NO_EDIT}`
    case 'port-gone':
      return `the pods no longer have the port, ${NO_EDIT}`
    case 'hints':
      return `topology hints, zones or nodes of the endpoints changed, ${NO_EDIT}`
    case 'ready':
      return `the pods became ready, ${NO_EDIT}`
    case 'pods-came':
      return `pods were added, ${NO_EDIT}`
    default:
      return assertNever(cause)
  }
}

const NO_EDIT = 'and the Service was not edited: the log does not show the reason'
