import type { IncomingMessage } from 'node:http'
import { isJsonObject } from '../../model/json-value.js'
import type { Json, JsonObject } from '../../model/kubernetes-object.js'
import { type StatusBody, statusBody } from './status-body.js'

/** Events of events.k8s.io/v1 by `namespace/name`, in the order in which they came. */
export type EventStore = Map<string, JsonObject>

export const createEventStore = (): EventStore => new Map()

const PATH = /^\/apis\/events\.k8s\.io\/v1\/namespaces\/([^/]+)\/events(?:\/([^/]+))?$/

/** What of Events a path leads to; undefined: none. */
export function eventNameIn(path: string): { readonly namespace: string; readonly name?: string } | undefined {
  const [, namespace, name] = PATH.exec(path) ?? []
  return namespace === undefined ? undefined : { namespace, ...(name !== undefined && { name }) }
}

type Written =
  | { readonly type: 'written'; readonly code: 200 | 201; readonly event: JsonObject }
  | { readonly type: 'status'; readonly status: StatusBody }

const refused = (code: number, message: string): Written => ({ type: 'status', status: statusBody(code, message) })

/** Creates an Event, or patches its series, with the rules that an API server has for events.k8s.io/v1 (pkg/apis/core/validation/events.go). */
export async function writeEvent(
  events: EventStore,
  message: IncomingMessage,
  { method, path }: { readonly method: string; readonly path: string },
): Promise<Written> {
  const { namespace = '', name } = eventNameIn(path) ?? {}
  let text = ''
  for await (const chunk of message) text += String(chunk)
  const type = message.headers['content-type']
  const body: unknown = JSON.parse(text)
  if (!isJsonObject(body)) return refused(400, 'no object')
  const object = body
  if (method === 'POST' && name === undefined) {
    if (type !== 'application/json') return refused(415, `unsupported media type ${type}`)
    const faults = faultsOf(object, namespace)
    if (faults.length > 0) return refused(422, `Event is invalid: ${faults.join(', ')}`)
    const key = `${namespace}/${textAt(object, 'metadata', 'name')}`
    if (events.has(key)) return refused(409, `events.events.k8s.io "${key}" already exists`)
    events.set(key, object)
    return { type: 'written', code: 201, event: object }
  }
  if (method === 'PATCH' && name !== undefined) {
    if (type !== 'application/strategic-merge-patch+json') return refused(415, `unsupported media type ${type}`)
    const before = events.get(`${namespace}/${name}`)
    if (before === undefined) return refused(404, `events.events.k8s.io "${name}" not found`)
    const { series, ...rest } = object
    if (Object.keys(rest).length > 0) return refused(422, 'Event is invalid: field is immutable')
    const event = { ...before, series: { ...(before['series'] as JsonObject | undefined), ...(series as JsonObject) } }
    const faults = faultsOf(event, namespace)
    if (faults.length > 0) return refused(422, `Event is invalid: ${faults.join(', ')}`)
    events.set(`${namespace}/${name}`, event)
    return { type: 'written', code: 200, event }
  }
  return refused(405, 'the server does not allow this method on the requested resource')
}

/** RFC 3339 with exactly six digits, as metav1.MicroTime is parsed. */
const MICRO_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(?:Z|[+-]\d\d:\d\d)$/
const SUBDOMAIN = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/
const FIELDS = new Set(
  'apiVersion kind metadata eventTime series reportingController reportingInstance action reason regarding related note type'.split(
    ' ',
  ),
)

function faultsOf(event: JsonObject, namespace: string): readonly string[] {
  const text = (field: string): string => textAt(event, field)
  const name = textAt(event, 'metadata', 'name')
  // Of an object that has no namespace, Events are in `default` or `kube-system`.
  const about = textAt(event, 'regarding', 'namespace')
  const isPlaced = about === '' ? ['default', 'kube-system'].includes(namespace) : about === namespace
  const { series } = event
  const count = isJsonObject(series) ? series['count'] : undefined
  return [
    text('apiVersion') === 'events.k8s.io/v1' && text('kind') === 'Event' ? '' : 'apiVersion, kind',
    textAt(event, 'metadata', 'namespace') === namespace ? '' : 'metadata.namespace',
    name.length <= 253 && SUBDOMAIN.test(name) ? '' : 'metadata.name',
    isPlaced ? '' : 'regarding.namespace: does not match event.namespace',
    MICRO_TIME.test(text('eventTime')) ? '' : 'eventTime',
    /^[\w.-]+$/.test(text('reportingController')) ? '' : 'reportingController',
    ...['reportingInstance', 'action', 'reason'].map((field) =>
      text(field) !== '' && text(field).length <= 128 ? '' : field,
    ),
    Buffer.byteLength(text('note')) <= 1024 ? '' : 'note: can have at most 1024 bytes',
    ['Normal', 'Warning'].includes(text('type')) ? '' : 'type',
    series === undefined ||
    (typeof count === 'number' && count >= 2 && MICRO_TIME.test(textAt(event, 'series', 'lastObservedTime')))
      ? ''
      : 'series',
    ...Object.keys(event).map((field) => (FIELDS.has(field) ? '' : `unknown field ${field}`)),
  ].filter((fault) => fault !== '')
}

function textAt(object: JsonObject, ...path: readonly string[]): string {
  const value = path.reduce<Json | undefined>((at, name) => (isJsonObject(at) ? at[name] : undefined), object)
  return typeof value === 'string' ? value : ''
}
