import { isJsonObject } from '../../model/json-value.js'
import { bareObject, excessOfObject } from '../../model/keep-object.js'
import {
  API_VERSIONS,
  OBJECT_KINDS,
  type Json,
  type JsonObject,
  type KubernetesObject,
  type ObjectKind,
} from '../../model/kubernetes-object.js'
import { messageOf } from '../../model/language.js'
import { printable } from '../../model/shown-text.js'
import { asCurrentVersion, isEndpoints, sliceOfEndpoints } from '../../model/slice-forms.js'
import { parseRfc3339 } from '../../model/time-formats.js'
import { type Author, type BookmarkEvent, type ObjectEvent, requesterFrom } from '../../model/watch-event.js'
import { auditedRequest, type AuditedRequest } from './parse-audit-event.js'
import { parseBoundedJson } from './parse-documents.js'
import { unwrapAuditEvents } from './unwrap-audit-events.js'

type Untimed<Event> = Omit<Event, 'observedAt'> & { readonly observedAt?: number }

/** What one document of a recording is. */
export type ParsedEvent =
  | { readonly type: 'event'; readonly event: Untimed<ObjectEvent> | Untimed<BookmarkEvent> }
  /** A request of an API audit log; with the event that it made, where the log holds the object after it. */
  | { readonly type: 'request'; readonly request: AuditedRequest; readonly event?: Omit<ObjectEvent, 'observedAt'> }
  /** An event of a kind that no service proxy reads, or a request that changed nothing. */
  | { readonly type: 'passed-over'; readonly kind: string; readonly observedAt?: number }
  /** A watch's ERROR event: its Status. */
  | { readonly type: 'watch-error'; readonly message: string; readonly code?: number; readonly observedAt?: number }
  | { readonly type: 'bad'; readonly cause: string }

/** How a recording is read. */
export interface RecordingOptions {
  /** Endpoints objects count in place of EndpointSlices, which are passed over: for layout `classic`. Default: the reverse. */
  readonly endpoints?: boolean | undefined
}

/** Reads one document of a recording: a watch event, or what one document of an API audit log holds. Never throws. */
export function parseRecorded(text: string, options: RecordingOptions = {}): readonly ParsedEvent[] {
  let value: unknown
  try {
    value = parseBoundedJson(text)
  } catch (error) {
    return [bad(`not JSON: ${short(messageOf(error))}`)]
  }
  if (!isJsonObject(value)) return [bad('not a JSON object')]
  const audited = unwrapAuditEvents(value)
  return audited === undefined
    ? [parseWatchEvent(value, options)]
    : audited.flatMap((event) => parseAuditEvent(event, options))
}

/**
 * Reads one watch event as a recording (`{"observedAt","type","object"}`, and `author` and `estimated` as an export writes
 * them) or as `kubectl get --watch --output-watch-events -o json` prints it. Never throws.
 */
function parseWatchEvent(value: JsonObject, { endpoints = false }: RecordingOptions): ParsedEvent {
  const { type, object: given, observedAt } = value
  if (typeof type !== 'string' || !isJsonObject(given)) return bad(causeOfNoEvent(value))
  if (endpoints && given['kind'] === 'EndpointSlice') return { type: 'passed-over', kind: 'EndpointSlice' }
  const object = endpoints && isEndpoints(given) ? sliceOfEndpoints(given) : given
  const time = typeof observedAt === 'string' ? parseRfc3339(observedAt) : undefined
  if (observedAt !== undefined && time === undefined) return bad(`observedAt is no RFC 3339 time: ${shown(observedAt)}`)
  const timed = {
    ...(time !== undefined && { observedAt: time }),
    ...(value['estimated'] === true && { estimated: true as const }),
  }
  switch (type) {
    case 'ADDED':
    case 'MODIFIED':
    case 'DELETED':
      return parseObjectEvent(type, object, { ...timed, ...authorOf(value['author']) })
    case 'BOOKMARK':
      return parseBookmark(object, timed)
    case 'ERROR':
      return parseStatus(object, time)
    default:
      return bad(`unknown watch event type ${shown(type)}`)
  }
}

/** What the requests of one event of an API audit log did, as a watch would show it. */
function parseAuditEvent(value: JsonObject, options: RecordingOptions): readonly ParsedEvent[] {
  const parsed = auditedRequest(value)
  if (parsed.type === 'bad') return [parsed]
  if (parsed.type === 'nothing') {
    const { what: kind, completedAt } = parsed
    return [{ type: 'passed-over', kind, ...(completedAt !== undefined && { observedAt: completedAt }) }]
  }
  const { endpoints = false } = options
  return parsed.requests.map((request): ParsedEvent => {
    const { verb, kind, effect, completedAt } = request
    if (kind === (endpoints ? 'EndpointSlice' : 'Endpoints'))
      return { type: 'passed-over', kind: `${verb} of ${kind}`, observedAt: completedAt }
    if (effect.type !== 'object') return { type: 'request', request }
    const made = eventOfObject(effect.change, effect.object, {}, options)
    if (made.type !== 'event' || made.event.type === 'BOOKMARK') return made
    return { type: 'request', request, event: made.event }
  })
}

/** An event of an object as the API gives it; an Endpoints as the EndpointSlice that it stands for, where those are asked for. */
export function eventOfObject(
  type: ObjectEvent['type'],
  given: JsonObject,
  extras: Extras,
  { endpoints = false }: RecordingOptions,
): ParsedEvent {
  return parseObjectEvent(type, endpoints && isEndpoints(given) ? sliceOfEndpoints(given) : given, extras)
}

type Extras = Pick<Untimed<ObjectEvent>, 'observedAt' | 'estimated' | 'author' | 'isBare'>

function parseObjectEvent(type: ObjectEvent['type'], given: JsonObject, extras: Extras): ParsedEvent {
  const object = asCurrentVersion(given)
  const kind = kindOf(object)
  if (kind === undefined) return passedOver(object)
  if (!isKubernetesObject(object)) return bad(`the ${kind} has no metadata.name`)
  const excess = excessOfObject(object)
  if (excess === undefined) return { type: 'event', event: { type, object, ...extras } }
  // Whatever it was, it is gone.
  if (type === 'DELETED') return { type: 'event', event: { type, object: bareObject(object), ...extras } }
  return bad(`OBJECT_UNREADABLE: ${labelOf(object)} is not used: ${excess}`)
}

function parseBookmark(object: JsonObject, timed: Extras): ParsedEvent {
  const kind = kindOf(object)
  if (kind === undefined) return passedOver(object)
  const metadata = isJsonObject(object['metadata']) ? object['metadata'] : {}
  const { resourceVersion, annotations } = metadata
  const initialEventsEnd = isJsonObject(annotations) && annotations['k8s.io/initial-events-end'] === 'true'
  const position = typeof resourceVersion === 'string' ? resourceVersion : ''
  return { type: 'event', event: { type: 'BOOKMARK', kind, resourceVersion: position, initialEventsEnd, ...timed } }
}

function parseStatus(status: JsonObject, time: number | undefined): ParsedEvent {
  const { message, code } = status
  return {
    type: 'watch-error',
    message: typeof message === 'string' && message !== '' ? short(message) : 'the watch ended with an error',
    ...(typeof code === 'number' && { code }),
    ...(time !== undefined && { observedAt: time }),
  }
}

/** The kind of an object that a service proxy reads. Other groups have kinds of the same name: a Knative Service is none of ours. */
export function kindOf(object: JsonObject): ObjectKind | undefined {
  const kind = OBJECT_KINDS.find((known) => known === object['kind'])
  if (kind === undefined) return undefined
  const { apiVersion } = object
  return apiVersion === undefined || apiVersion === API_VERSIONS[kind] ? kind : undefined
}

function passedOver(object: JsonObject): ParsedEvent {
  const { kind, apiVersion } = object
  if (typeof kind !== 'string' || kind === '') return bad('the object has no kind')
  const isOurs = OBJECT_KINDS.some((known) => known === kind)
  return {
    type: 'passed-over',
    kind: isOurs && typeof apiVersion === 'string' ? `${kind} (${short(apiVersion)})` : short(kind),
  }
}

/** Whether an object is of a kind that a service proxy reads, and has a name. */
export function isKubernetesObject(object: JsonObject): object is KubernetesObject {
  const { metadata } = object
  if (kindOf(object) === undefined || !isJsonObject(metadata)) return false
  const { name, namespace } = metadata
  return typeof name === 'string' && name !== '' && (namespace === undefined || typeof namespace === 'string')
}

/** The author that an export writes beside an event: manager, operation, time (RFC 3339), subresource. */
function authorOf(value: Json | undefined): { readonly author?: Author } {
  if (!isJsonObject(value)) return {}
  const { manager, operation, time, subresource } = value
  const requester = requesterFrom(value['requester'])
  if (typeof manager !== 'string' || typeof operation !== 'string') return {}
  const at = typeof time === 'string' ? parseRfc3339(time) : undefined
  return {
    author: {
      manager,
      operation,
      ...(at !== undefined && { time: at }),
      ...(typeof subresource === 'string' && { subresource }),
      ...(requester !== undefined && { requester }),
    },
  }
}

function causeOfNoEvent(value: JsonObject): string {
  if (value['kind'] !== undefined && value['type'] === undefined)
    return 'an object, not a watch event: record with --watch --output-watch-events, or use --objects'
  return 'not a watch event: "type" and "object" are required'
}

const bad = (cause: string): ParsedEvent => ({ type: 'bad', cause })
/** Lists and objects are not spelt out: they may be of any size and depth. */
const shown = (value: Json): string =>
  typeof value !== 'object' || value === null
    ? short(JSON.stringify(value))
    : Array.isArray(value)
      ? 'a list'
      : 'an object'

/** What an object is called by. */
interface Labelled {
  readonly kind: string
  readonly metadata: { readonly namespace?: string; readonly name: string }
}

/** `Service shop/checkout`, fit for a message whatever it is called. */
export const labelOf = ({ kind, metadata: { namespace, name } }: Labelled): string =>
  // Cut before they are put together: a name may be a quarter of a gigabyte.
  short(`${kind} ${namespace === undefined ? '' : `${namespace.slice(0, 200)}/`}${name.slice(0, 201)}`)

// Causes end up in the log as well: no line of a hundred megabytes.
const short = (text: string): string => printable(text, 200)
