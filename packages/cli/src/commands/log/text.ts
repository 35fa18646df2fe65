import { assertNever, type LogRecord, type Requester, type ObjectRecord, type SyncRecord } from '@pointsman/core'
import type { Style } from '../../output/terminal.js'
import { cutLines, cutText } from '../../output/table.js'
import { countOf, formatCount, formatDuration } from '../../output/format-text.js'
import { formatTime, jsonText } from '../../output/json.js'
import type { HistoryEntry } from './history.js'

interface RecordLook {
  readonly style: Style
  readonly isOneline: boolean
  readonly withPatch: boolean
}

/** An entry as `pointsman log` prints it, in lines; a block ends in an empty one. */
export function recordText(entry: HistoryEntry, { style, isOneline, withPatch }: RecordLook): readonly string[] {
  const { record } = entry
  const phrases = cutLines(phrasesOf(entry))
  const time = `${'estimated' in record ? '~' : ''}${formatTime(record.observedAt)}`
  if (isOneline) {
    const author = authorOf(record)
    const by = author === undefined ? '' : style.dim(` by ${author}`)
    const said = phrases.map((phrase) => emphasized(phrase, style)).join('; ')
    const line = `${style.yellow(String(record.seq))} ${style.dim(time)} ${eventOf(record, style)} ${subjectOf(record)}${by}: ${said}`
    return withPatch ? [line, ...patchLines(entry)] : [line]
  }
  const head = `${style.yellow(`seq ${record.seq}`)}  ${time}  ${eventOf(record, style)} ${style.bold(subjectOf(record))}`
  const lines = [head, ...bodyLines(record, style), ...phrases.map((phrase) => `    ${emphasized(phrase, style)}`)]
  return [...lines, ...(withPatch ? patchLines(entry) : []), '']
}

function bodyLines(record: LogRecord, style: Style): readonly string[] {
  if (record.type !== 'object') return []
  const author = authorOf(record)
  if (author !== undefined) return [`    ${style.dim('by')} ${author}`]
  return [style.dim(`    by unknown${record.event === 'DELETED' ? ': the API does not say who deletes' : ''}`)]
}

function authorOf(record: LogRecord): string | undefined {
  if (record.type !== 'object' || record.author === undefined) return undefined
  const { manager, subresource, requester } = record.author
  const name = subresource === undefined ? manager : `${manager}, ${subresource}`
  return cutText(requester === undefined ? name : `${name}${sentBy(requester, manager)}`)
}

/** ` (user admin, kubectl/v1.36.0 from 10.0.0.7)`: what the manager does not say already. */
function sentBy({ user, userAgent, sourceIPs, impersonatedBy }: Requester, manager: string): string {
  const from = sourceIPs === undefined ? '' : `from ${sourceIPs.join(', ')}`
  const client = [userAgent?.split(' ')[0] ?? '', from].filter((text) => text !== '').join(' ')
  const facts = [
    ...(user === manager ? [] : [`user ${user}`]),
    ...(impersonatedBy === undefined ? [] : [`impersonated by ${impersonatedBy}`]),
    ...(client === '' ? [] : [client]),
  ]
  return facts.length === 0 ? '' : ` (${facts.join(', ')})`
}

function eventOf(record: LogRecord, { green, red, cyan, yellow }: Style): string {
  switch (record.type) {
    case 'object':
      return { ADDED: green, MODIFIED: cyan, DELETED: red }[record.event](record.event)
    case 'sync':
      return record.error === undefined ? 'SYNC' : red('SYNC')
    case 'notice':
      return yellow('NOTICE')
    case 'bookmark':
      return 'BOOKMARK'
    case 'config':
      return 'CONFIG'
    default:
      return assertNever(record)
  }
}

function subjectOf(record: LogRecord): string {
  switch (record.type) {
    case 'object':
      return objectName(record)
    case 'bookmark':
      return record.kind
    case 'sync':
      return record.backend
    case 'config':
      return 'effective configuration'
    case 'notice':
      return record.code
    default:
      return assertNever(record)
  }
}

/** `Service shop/checkout`, `Node node-a`. */
export const objectName = ({ kind, namespace, name }: Pick<ObjectRecord, 'kind' | 'namespace' | 'name'>): string =>
  `${kind} ${namespace === '' ? '' : `${namespace}/`}${name}`

function phrasesOf({ record, changes }: HistoryEntry): readonly string[] {
  switch (record.type) {
    case 'object':
      return changes ?? []
    case 'bookmark':
      return [`resourceVersion ${record.resourceVersion}${record.initialEventsEnd ? ', the list is complete' : ''}`]
    case 'sync':
      return [syncPhrase(record)]
    case 'config':
      return [JSON.stringify(record.config)]
    case 'notice':
      return [record.message]
    default:
      return assertNever(record)
  }
}

function syncPhrase({ fromSeq, toSeq, full, changed, durationMs, rules, bytes, refused, error }: SyncRecord): string {
  const what = `seq ${fromSeq} to ${toSeq}, ${full ? 'full, ' : ''}${formatCount(changed)} service port${changed === 1 ? '' : 's'}`
  if (error !== undefined) return `${what}: failed after ${formatDuration(durationMs)}: ${error.code}: ${error.message}`
  const written = `${formatCount(rules ?? 0)} rules in force, ${formatCount(bytes ?? 0)} bytes written`
  const kept = refused === undefined ? '' : `, ${countOf(refused, 'service port')} refused`
  return `${what}, ${formatDuration(durationMs)}, ${written}${kept}`
}

// The one thing that a reader looks for: the place where nothing was left.
const emphasized = (phrase: string, style: Style): string =>
  /^endpoints: \d+ -> 0$/.test(phrase) ? style.red(phrase) : phrase

function patchLines({ patch }: HistoryEntry): readonly string[] {
  return patch === undefined ? [] : cutLines(jsonText(patch)).map((line) => `      ${line}`)
}
