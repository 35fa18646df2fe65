import {
  type BlamedRule,
  type Cause,
  type Dataplane,
  describeChange,
  type GoneRule,
  isOddsAlone,
  type ObjectRecord,
  type RuleChange,
  type ServicePort,
  whatChanged,
  whoseOdds,
} from '@pointsman/core'
import type { Style } from '../../output/terminal.js'
import { type Column, cutText, renderTable } from '../../output/table.js'
import { countOf } from '../../output/format-text.js'
import { formatTime } from '../../output/json.js'
import { objectName } from '../log/text.js'
import { titleOf } from '../rules/text.js'
import type { EditBehind } from './json.js'

interface BlameView {
  readonly dataplane: Dataplane
  readonly rules: readonly BlamedRule[]
  /** The last record's, in milliseconds since 1970 UTC: of what happened on that day only the time is shown. */
  readonly at: number | undefined
  readonly editBehind: EditBehind
}

/** The records that last changed the rules, the newest first; then a line a rule, by service port and chain. */
export function blameText({ dataplane, rules: unordered, at, editBehind }: BlameView, style: Style): readonly string[] {
  const rules = dataplane.inReadingOrder(unordered)
  const [titles = '', ...lines] = renderTable(columnsOf({ dataplane, rules, at }, style), rules, { title: style.bold })
  const table = rules.flatMap((rule, index) => [
    ...headsBefore(rule, rules[index - 1], { dataplane, style }),
    lines[index] ?? '',
  ])
  const causes = causesOf(rules.map(({ changed }) => changed.cause))
  const records = causes.slice(0, MOST_RECORDS).flatMap((cause) => causeLines(cause, { editBehind, style }))
  const older = causes.length - MOST_RECORDS
  const rest = older > 0 ? [style.dim(`and ${countOf(older, 'older record')}, which -o json tells of as well`)] : []
  const before = records.length > 0 ? [...records, ...rest, ''] : []
  return [...before, titles, ...table]
}

/** More are counted: the last ones are what people ask for. */
const MOST_RECORDS = 10

/** What took rules away, and then what they were. */
export function goneText({ dataplane, rules, title, at, editBehind }: GoneView, style: Style): readonly string[] {
  const [first] = rules
  if (first === undefined) return []
  const { cause } = first.removed
  const when = cause.type === 'start' ? '' : ` at seq ${cause.record.seq}, ${formatTime(cause.record.observedAt)}`
  return [
    `${style.bold(title)} ${style.red('is gone')}: taken away${when}: ${whatChanged(first.removed, first, dataplane)}`,
    ...causeLines(cause, { editBehind, style }),
    '',
    'Its rules were, each with the record that had last changed it:',
    ...blameText({ dataplane, rules, at, editBehind }, style),
  ]
}

interface GoneView extends BlameView {
  readonly title: string
  readonly rules: readonly GoneRule[]
}

function columnsOf(
  { dataplane, rules, at }: Omit<BlameView, 'editBehind'>,
  style: Style,
): readonly Column<BlamedRule>[] {
  const times = rules.flatMap(({ changed }) => timeOf(changed) ?? [])
  const isOneDay = at !== undefined && times.every((text) => text.startsWith(formatTime(at).slice(0, 10)))
  const time = (text = ''): string => (isOneDay ? text.slice(11, -1) : text)
  return [
    { title: 'SEQ', cell: ({ changed }) => style.yellow(seqOf(changed)), align: 'right' },
    { title: 'TIME', cell: ({ changed }) => time(timeOf(changed)) },
    { title: 'BY', cell: ({ changed }) => authorOf(changed.cause) },
    { title: 'WHAT', cell: (rule) => whatCell(rule, dataplane) },
    { title: 'RULE', cell: ({ item }) => item.text },
  ]
}

function whatCell(rule: BlamedRule, dataplane: Dataplane): string {
  if (!isOddsAlone(rule)) return whatChanged(rule.changed, rule, dataplane)
  const { cause } = rule.made
  const since = cause.type === 'start' ? 'the log begins' : `seq ${cause.record.seq}`
  return `odds: ${whoseOdds(rule.changed)} (there since ${since})`
}

const seqOf = ({ cause }: RuleChange): string => (cause.type === 'start' ? '-' : String(cause.record.seq))

const timeOf = ({ cause }: RuleChange): string | undefined =>
  cause.type === 'start' ? undefined : formatTime(cause.record.observedAt)

function authorOf(cause: Cause): string {
  if (cause.type !== 'object') return '-'
  return cause.record.author?.manager ?? 'unknown'
}

function headsBefore(
  rule: BlamedRule,
  before: BlamedRule | undefined,
  { dataplane, style }: { readonly dataplane: Dataplane; readonly style: Style },
): readonly string[] {
  const port = portOf(rule)
  const { table, chain, owner } = rule.item
  const isOther = before === undefined || before.item.owner !== owner
  if (!isOther && before.item.chain === chain && before.item.table === table) return []
  const endpoints = (rule.changed.after ?? rule.changed.before)?.endpoints ?? []
  const meaning =
    port === undefined ? '' : (dataplane.chainMeanings({ port, endpoints }).get(chain) ?? 'shared by all services')
  return [
    ...(isOther ? [style.bold(port === undefined ? 'of no service' : titleOf(port))] : []),
    `  ${style.dim(table)} ${style.bold(chain)}${meaning === '' ? '' : `  ${style.dim(meaning)}`}`,
  ]
}

const portOf = ({ changed, made }: BlamedRule): ServicePort | undefined =>
  (changed.after ?? changed.before ?? made.after)?.port

/** Each once, the newest first. */
function causesOf(causes: readonly Cause[]): readonly Cause[] {
  const bySeq = new Map(causes.map((cause) => [cause.type === 'start' ? 0 : cause.record.seq, cause]))
  return [...bySeq].toSorted(([a], [b]) => b - a).map(([, cause]) => cause)
}

interface CauseLook {
  readonly editBehind: EditBehind
  readonly style: Style
}

function causeLines(cause: Cause, { editBehind, style }: CauseLook): readonly string[] {
  if (cause.type === 'start') return []
  const { record } = cause
  const head = `${style.yellow(`seq ${record.seq}`)}  ${formatTime(record.observedAt)}`
  if (record.type === 'config') return [`${head}  the effective configuration`]
  const behind = editBehind(cause)
  return [
    `${head}  ${record.event} ${style.bold(objectName(record))}, resourceVersion ${record.resourceVersion}, by ${authorText(record)}`,
    `    ${cutText(changesOf(record, cause.type === 'object' ? cause.previous : undefined))}`,
    ...(behind === undefined
      ? []
      : [
          `    caused by: ${style.yellow(`seq ${behind.record.seq}`)}  ${formatTime(behind.record.observedAt)}  ${objectName(behind.record)}, by ${authorText(behind.record)}: ${cutText(behind.changes.join('; '))}`,
        ]),
  ]
}

function authorText({ author, event }: ObjectRecord): string {
  if (author !== undefined) return author.manager
  return event === 'DELETED' ? 'unknown: the API does not say who deletes' : 'unknown'
}

const changesOf = ({ event, object }: ObjectRecord, previous: ObjectRecord | undefined): string =>
  describeChange({ event, previous: previous?.object, object }).join('; ')
