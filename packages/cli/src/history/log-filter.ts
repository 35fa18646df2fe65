import { OBJECT_KINDS } from '@pointsman/core'
import type { ChangeLogReader, LogRecord, ObjectKind, RecordFilter } from '@pointsman/core'
import { CliError } from '../errors.js'
import { didYouMean } from '../input/suggest.js'

type RecordType = LogRecord['type']
type EventType = 'ADDED' | 'MODIFIED' | 'DELETED'

/** Which records `--type` asks for: whole types, and events of objects. */
export interface WantedTypes {
  readonly types: readonly RecordType[]
  /** Absent: every event. */
  readonly events?: readonly EventType[]
}

const RECORD_TYPES: readonly RecordType[] = ['object', 'bookmark', 'sync', 'config', 'notice']
const EVENT_TYPES: readonly EventType[] = ['ADDED', 'MODIFIED', 'DELETED']

/** Without `--type` everything but bookmarks, which say nothing to people. */
export function parseTypes(given: readonly string[]): WantedTypes {
  const names = given.flatMap((text) => text.split(','))
  if (names.length === 0) return { types: RECORD_TYPES.filter((type) => type !== 'bookmark') }
  const types = new Set<RecordType>()
  const events: EventType[] = []
  for (const name of names) {
    const event = EVENT_TYPES.find((one) => one === name.toUpperCase())
    const type = RECORD_TYPES.find((one) => one === name.toLowerCase())
    if (event === undefined && type === undefined) throw unknown('--type', name, [...RECORD_TYPES, ...EVENT_TYPES])
    types.add(type ?? 'object')
    if (event !== undefined) events.push(event)
  }
  return { types: [...types], ...(events.length === 0 || names.includes('object') ? {} : { events }) }
}

/** Kinds as kubectl takes them: `Service`, `services`, `svc`. */
export function parseKinds(given: readonly string[]): readonly ObjectKind[] {
  return given
    .flatMap((text) => text.split(','))
    .map((name) => {
      const kind = OBJECT_KINDS.find((one) => spellings(one).includes(name.toLowerCase()))
      if (kind === undefined) throw unknown('--kind', name, OBJECT_KINDS)
      return kind
    })
}

const SHORT: { readonly [kind in ObjectKind]: readonly string[] } = {
  Service: ['svc'],
  EndpointSlice: ['eps'],
  Node: ['no'],
}
const spellings = (kind: ObjectKind): readonly string[] => [
  kind.toLowerCase(),
  `${kind.toLowerCase()}s`,
  ...SHORT[kind],
]

function unknown(option: string, name: string, known: readonly string[]): CliError {
  return new CliError('USAGE', `${option} ${name}: give ${known.join(', ')}${didYouMean(name, known)}`)
}

export interface ServiceQuestion {
  readonly reader: ChangeLogReader
  /** `checkout` or `shop/checkout`. */
  readonly service: string
  readonly namespace: string | undefined
}

/** Finds the Service in the log, in all its life. CliError NOT_FOUND, USAGE where several namespaces have one. */
export function serviceFilter({ reader, service, namespace }: ServiceQuestion): NonNullable<RecordFilter['object']> {
  const parts = service.split('/')
  const [first = '', second] = parts
  if (parts.length > 2 || parts.includes(''))
    throw new CliError('USAGE', `${service}: name a service as NAME or NAMESPACE/NAME`)
  const inNamespace = second === undefined ? namespace : first
  const name = second ?? first
  if (inNamespace !== undefined && holdsObject(reader, inNamespace, name)) return { namespace: inNamespace, name }
  const known = new Set<string>()
  for (const record of reader.records({ types: ['object'], kinds: ['Service'] })) {
    if (record.type === 'object') known.add(`${record.namespace}/${record.name}`)
  }
  const found = [...known].filter((full) => full.endsWith(`/${name}`) && inNamespace === undefined).sort()
  const [only] = found
  if (only !== undefined && found.length === 1) return { namespace: only.slice(0, only.indexOf('/')), name }
  if (found.length > 1) throw new CliError('USAGE', `which ${name}? the log has ${found.join(', ')}: give one of them`)
  const names = second === undefined ? [...known].map((full) => full.slice(full.indexOf('/') + 1)) : known
  throw new CliError('NOT_FOUND', `the log has no service ${service}${didYouMean(service, names)}`)
}

function holdsObject(reader: ChangeLogReader, namespace: string, name: string): boolean {
  for (const _ of reader.records({ object: { namespace, name }, limit: 1 })) return true
  return false
}
