import { isJsonObject } from '../../model/json-value.js'
import { API_VERSIONS, type Json, type JsonObject, type ObjectKind } from '../../model/kubernetes-object.js'
import { printable } from '../../model/shown-text.js'
import { parseRfc3339 } from '../../model/time-formats.js'
import type { Author, ObjectEvent } from '../../model/watch-event.js'

/** What one request of an API audit log did to an object that a service proxy reads. */
export type AuditedRequest =
  | {
      readonly type: 'change'
      readonly change: ObjectEvent['type']
      readonly object: JsonObject
      /** It is a deletion, and `object` is no more than what names it. */
      readonly isBare?: true
      readonly observedAt: number
      readonly author: Author
    }
  /** It changed nothing, or nothing that a service proxy reads; `what` says in a word or two which kind of request it was. */
  | { readonly type: 'nothing'; readonly what: string }
  | { readonly type: 'bad'; readonly cause: string }

/** Whether a document is an event of an API audit log, as opposed to one of a watch. */
export const isAuditEvent = ({ kind, apiVersion }: JsonObject): boolean =>
  (kind === 'Event' || kind === 'EventList') && typeof apiVersion === 'string' && apiVersion.startsWith('audit.k8s.io/')

/**
 * Reads one event of an API audit log (audit.k8s.io/v1). Objects are in those of level RequestResponse alone; a request of another
 * level that changed an object which a service proxy reads cannot be used, and says so.
 * Source: https://kubernetes.io/docs/reference/config-api/apiserver-audit.v1/
 */
export function auditedRequest(event: JsonObject): AuditedRequest {
  if (event['kind'] === 'EventList')
    return bad('a list of an API audit log: give its items, one a line (jq -c .items[])')
  const { stage, verb, level } = event
  const reference = objectOf(event['objectRef'])
  const resource = textOf(reference['resource']) ?? 'no resource'
  const kind = KINDS.get(`${textOf(reference['apiGroup']) ?? ''}/${resource}`) ?? KINDS.get(`/${resource}`)
  if (stage !== 'ResponseComplete') return nothing(`audit stage ${shown(stage)}`)
  if (kind === undefined) return nothing(`request for ${printable(resource, 60)}`)
  if (typeof verb !== 'string' || !CHANGING.has(verb)) return nothing(`${shown(verb)} of ${resource}`)
  const code = objectOf(event['responseStatus'])['code']
  if (typeof code === 'number' && code >= 400) return nothing(`failed ${verb} of ${resource}`)
  if (/[?&]dryRun=/.test(textOf(event['requestURI']) ?? '')) return nothing(`dry run of ${resource}`)
  if (level !== 'RequestResponse')
    return bad(
      `an API audit log of level ${shown(level)}, which does not hold the object: record ${resource} with level RequestResponse`,
    )
  if (verb === 'deletecollection')
    return bad(`an API audit log does not hold each object that a deletecollection of ${resource} deleted`)
  const observedAt = timeIn(event['stageTimestamp']) ?? timeIn(event['requestReceivedTimestamp'])
  if (observedAt === undefined) return bad('an event of an API audit log without a time')
  const author = authorOf(event, { verb, subresource: textOf(reference['subresource']) })
  const response = objectOf(event['responseObject'])
  if (response['kind'] === kind)
    return { type: 'change', change: changeOf(verb, response), object: response, observedAt, author }
  if (verb !== 'delete') return bad(`an event of an API audit log without the ${kind} after the ${verb}`)
  const object = bareObject(kind, { reference, response })
  return { type: 'change', change: 'DELETED', object, isBare: true, observedAt, author }
}

/** Resources by their group, as `objectRef` names them. */
const KINDS: ReadonlyMap<string, ObjectKind> = new Map([
  ['/services', 'Service'],
  ['/nodes', 'Node'],
  ['discovery.k8s.io/endpointslices', 'EndpointSlice'],
  ['networking.k8s.io/servicecidrs', 'ServiceCIDR'],
  // Recordings that were made by hand leave the group out; no other has this resource.
  ['/endpointslices', 'EndpointSlice'],
])

const CHANGING: ReadonlySet<string> = new Set(['create', 'update', 'patch', 'delete', 'deletecollection'])

/**
 * An object that a finalizer holds is changed by its deletion, and gone with the request that takes the last finalizer away.
 * Source: https://kubernetes.io/docs/concepts/overview/working-with-objects/finalizers/
 */
function changeOf(verb: string, object: JsonObject): ObjectEvent['type'] {
  const { deletionTimestamp, finalizers, deletionGracePeriodSeconds } = objectOf(object['metadata'])
  const isHeld = Array.isArray(finalizers) && finalizers.length > 0
  const isEnding = typeof deletionTimestamp === 'string' && (deletionGracePeriodSeconds ?? 0) === 0
  if (verb === 'delete') return isHeld ? 'MODIFIED' : 'DELETED'
  if (isEnding && !isHeld) return 'DELETED'
  return verb === 'create' ? 'ADDED' : 'MODIFIED'
}

/** Of a deletion that was answered with a Status: its name, and its uid. */
function bareObject(
  kind: ObjectKind,
  { reference, response }: { readonly reference: JsonObject; readonly response: JsonObject },
): JsonObject {
  const { namespace, name, uid: referred } = reference
  const uid = textOf(objectOf(response['details'])['uid']) ?? textOf(referred)
  const metadata: { [key: string]: Json } = {}
  if (name !== undefined) metadata['name'] = name
  if (namespace !== undefined) metadata['namespace'] = namespace
  if (uid !== undefined) metadata['uid'] = uid
  return { apiVersion: API_VERSIONS[kind], kind, metadata }
}

function authorOf(
  event: JsonObject,
  { verb, subresource }: { readonly verb: string; readonly subresource: string | undefined },
): Author {
  const user = textOf(objectOf(event['impersonatedUser'])['username']) ?? textOf(objectOf(event['user'])['username'])
  const time = timeIn(event['requestReceivedTimestamp'])
  return {
    manager: user ?? 'unknown user',
    operation: verb === 'delete' ? 'Delete' : 'Update',
    ...(time !== undefined && { time }),
    ...(subresource !== undefined && { subresource }),
  }
}

const objectOf = (value: Json | undefined): JsonObject => (isJsonObject(value) ? value : {})
const textOf = (value: Json | undefined): string | undefined =>
  typeof value === 'string' && value !== '' ? value : undefined
const timeIn = (value: Json | undefined): number | undefined =>
  typeof value === 'string' ? parseRfc3339(value) : undefined
const shown = (value: Json | undefined): string => (typeof value === 'string' ? printable(value, 40) : 'unknown')
const nothing = (what: string): AuditedRequest => ({ type: 'nothing', what })
const bad = (cause: string): AuditedRequest => ({ type: 'bad', cause })
