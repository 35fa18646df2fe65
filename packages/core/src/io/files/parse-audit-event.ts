import { isJsonObject } from '../../model/json-value.js'
import { API_VERSIONS, type Json, type JsonObject, type ObjectKind } from '../../model/kubernetes-object.js'
import { printable } from '../../model/shown-text.js'
import { parseRfc3339 } from '../../model/time-formats.js'
import type { Author, ObjectEvent, Requester } from '../../model/watch-event.js'

/** One request of an API audit log that changed an object which a service proxy reads. Times in milliseconds since 1970 UTC. */
export interface AuditedRequest {
  readonly verb: string
  readonly kind: ObjectKind | 'Endpoints'
  readonly namespace: string | undefined
  readonly name: string | undefined
  readonly uid: string | undefined
  readonly subresource: string | undefined
  /** The change was committed between these two. */
  readonly receivedAt: number
  readonly completedAt: number
  readonly author: Author
  readonly effect: AuditedEffect
}

/** What a request did, as far as its level tells. */
export type AuditedEffect =
  /** The object after the request; of a deletion, its last version. */
  | { readonly type: 'object'; readonly change: ObjectEvent['type']; readonly object: JsonObject }
  /** The object is gone; `object` is no more than what names it. */
  | { readonly type: 'deleted'; readonly object: JsonObject }
  /** A patch as it was sent: JSON Patch where it is a list, else a merge patch of either sort. */
  | { readonly type: 'patch'; readonly patch: Json }
  /** The level does not hold it; `why` says so for a person. */
  | { readonly type: 'unknown'; readonly why: string }

export type ParsedRequest =
  | { readonly type: 'requests'; readonly requests: readonly AuditedRequest[] }
  /** It changed nothing, or nothing that a service proxy reads; `what` says in a word or two which kind of request it was. */
  | { readonly type: 'nothing'; readonly what: string; readonly completedAt?: number }
  | { readonly type: 'bad'; readonly cause: string }

/** Whether a document is an event of an API audit log, as opposed to one of a watch. */
export const isAuditEvent = ({ kind, apiVersion }: JsonObject): boolean =>
  kind === 'Event' && typeof apiVersion === 'string' && apiVersion.startsWith('audit.k8s.io/')

/**
 * Reads one event of an API audit log (audit.k8s.io/v1). Level RequestResponse holds the object after a request, level Request what was
 * sent, level Metadata neither.
 * Source: https://kubernetes.io/docs/reference/config-api/apiserver-audit.v1/
 */
export function auditedRequest(event: JsonObject): ParsedRequest {
  const { stage, verb } = event
  const reference = objectOf(event['objectRef'])
  const resource = textOf(reference['resource']) ?? 'no resource'
  const subresource = textOf(reference['subresource'])
  const completedAt = timeIn(event['stageTimestamp']) ?? timeIn(event['requestReceivedTimestamp'])
  const nothing = (what: string): ParsedRequest => ({
    type: 'nothing',
    what,
    ...(completedAt !== undefined && { completedAt }),
  })
  const kind = KINDS.get(`${textOf(reference['apiGroup']) ?? ''}/${resource}`) ?? KINDS.get(`/${resource}`)
  if (stage !== 'ResponseComplete') return nothing(`audit stage ${shown(stage)}`)
  if (kind === undefined) return nothing(`request for ${printable(resource, 60)}`)
  if (typeof verb !== 'string' || !CHANGING.has(verb)) return nothing(`${shown(verb)} of ${resource}`)
  // A proxy, eviction, binding or scale is a request of its own, which changes no object of this kind.
  if (subresource !== undefined && subresource !== 'status')
    return nothing(`${verb} of ${resource}/${printable(subresource, 40)}`)
  if (hasFailed(objectOf(event['responseStatus']))) return nothing(`failed ${verb} of ${resource}`)
  if (isDryRun(event)) return nothing(`dry run of ${resource}`)
  if (completedAt === undefined) return { type: 'bad', cause: 'an event of an API audit log without a time' }
  const response = objectOf(event['responseObject'])
  const base = {
    verb,
    kind,
    namespace: textOf(reference['namespace']),
    subresource,
    receivedAt: Math.min(timeIn(event['requestReceivedTimestamp']) ?? completedAt, completedAt),
    completedAt,
    author: authorOf(event, { verb, subresource }),
  }
  const request = (effect: AuditedEffect): AuditedRequest => {
    const named = effect.type === 'object' ? effect.object : response['kind'] === kind ? response : {}
    const metadata = objectOf(named['metadata'])
    return {
      ...base,
      name: textOf(reference['name']) ?? textOf(metadata['name']),
      uid: textOf(reference['uid']) ?? textOf(metadata['uid']) ?? textOf(objectOf(response['details'])['uid']),
      effect,
    }
  }
  if (verb !== 'deletecollection')
    return { type: 'requests', requests: [request(effectOf(event, { verb, kind, resource }))] }
  const items = response['kind'] === `${kind}List` || response['kind'] === 'List' ? response['items'] : undefined
  if (!Array.isArray(items))
    return { type: 'requests', requests: [request({ type: 'unknown', why: collectionUnknown(resource) })] }
  // Items of a typed list do not repeat their kind.
  const objects = items
    .filter(isJsonObject)
    .map((item): JsonObject => ({ apiVersion: apiVersionOf(response, kind), kind, ...item }))
  if (objects.length === 0) return nothing(`deletecollection of ${resource} that found none`)
  return {
    type: 'requests',
    requests: objects.map((object) => ({
      ...request({ type: 'object', change: changeOf('delete', object), object }),
      namespace: textOf(objectOf(object['metadata'])['namespace']) ?? base.namespace,
      name: textOf(objectOf(object['metadata'])['name']),
      uid: textOf(objectOf(object['metadata'])['uid']),
    })),
  }
}

/** Resources by their group, as `objectRef` names them. */
const KINDS: ReadonlyMap<string, AuditedRequest['kind']> = new Map([
  ['/services', 'Service'],
  ['/nodes', 'Node'],
  ['/endpoints', 'Endpoints'],
  ['discovery.k8s.io/endpointslices', 'EndpointSlice'],
  ['networking.k8s.io/servicecidrs', 'ServiceCIDR'],
  // Recordings that were made by hand leave the group out; no other has this resource.
  ['/endpointslices', 'EndpointSlice'],
] as const)

const CHANGING: ReadonlySet<string> = new Set(['create', 'update', 'patch', 'delete', 'deletecollection'])

const hasFailed = ({ code, status }: JsonObject): boolean =>
  status === 'Failure' || (typeof code === 'number' && code >= 300)

/** A dry run is asked for in the address, and by a deletion also in its options. */
function isDryRun(event: JsonObject): boolean {
  const { kind, dryRun } = objectOf(event['requestObject'])
  return (
    /[?&]dryRun=[^&]/.test(textOf(event['requestURI']) ?? '') ||
    (kind === 'DeleteOptions' && Array.isArray(dryRun) && dryRun.length > 0)
  )
}

interface Target {
  readonly verb: string
  readonly kind: AuditedRequest['kind']
  readonly resource: string
}

function effectOf(event: JsonObject, { verb, kind, resource }: Target): AuditedEffect {
  const { level } = event
  const response = objectOf(event['responseObject'])
  if (response['kind'] === kind) return { type: 'object', change: changeOf(verb, response), object: response }
  const unknown = (why: string): AuditedEffect => ({ type: 'unknown', why })
  const sent = event['requestObject']
  if (verb === 'delete') {
    const isAnswered = response['kind'] === 'Status' || response['kind'] === 'PartialObjectMetadata'
    if (level === 'Metadata') return unknown(levelUnknown(level, resource))
    const { finalizers } = objectOf(response['metadata'])
    const isHeld = (Array.isArray(finalizers) && finalizers.length > 0) || isForeground(event)
    if (isHeld) return unknown(`a deletion of ${resource} that waits for a finalizer, without the object after it`)
    if (level !== 'RequestResponse' || isAnswered)
      return { type: 'deleted', object: bareObject(kind, { reference: objectOf(event['objectRef']), response }) }
    return { type: 'deleted', object: bareObject(kind, { reference: objectOf(event['objectRef']), response: {} }) }
  }
  if (level !== 'RequestResponse' && level !== 'Request') return unknown(levelUnknown(level, resource))
  if (verb === 'patch' && sent !== undefined && sent !== null) return { type: 'patch', patch: sent }
  if (level === 'RequestResponse') return unknown(`an event of an API audit log without the ${kind} after the ${verb}`)
  return unknown(levelUnknown(level, resource))
}

const levelUnknown = (level: Json | undefined, resource: string): string =>
  `an API audit log of level ${shown(level)}, which does not hold the object: record ${resource} with level RequestResponse`
const collectionUnknown = (resource: string): string =>
  `an API audit log does not hold each object that a deletecollection of ${resource} deleted`

/** The object stays until what it owns is gone. */
const isForeground = (event: JsonObject): boolean =>
  objectOf(event['requestObject'])['propagationPolicy'] === 'Foreground' ||
  /[?&]propagationPolicy=Foreground/.test(textOf(event['requestURI']) ?? '')

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
  kind: AuditedRequest['kind'],
  { reference, response }: { readonly reference: JsonObject; readonly response: JsonObject },
): JsonObject {
  const { namespace, name, uid: referred } = reference
  const uid =
    textOf(objectOf(response['details'])['uid']) ?? textOf(objectOf(response['metadata'])['uid']) ?? textOf(referred)
  const metadata: { [key: string]: Json } = {}
  if (name !== undefined) metadata['name'] = name
  if (namespace !== undefined) metadata['namespace'] = namespace
  if (uid !== undefined) metadata['uid'] = uid
  return { apiVersion: apiVersionOf({}, kind), kind, metadata }
}

/** The version that a list has, which its items have as well; a List of no type has another. */
function apiVersionOf({ kind: list, apiVersion }: JsonObject, kind: AuditedRequest['kind']): string {
  if (list === `${kind}List` && typeof apiVersion === 'string') return apiVersion
  return kind === 'Endpoints' ? 'v1' : API_VERSIONS[kind]
}

/** The user, and the operation as managedFields would name it. */
function authorOf(
  event: JsonObject,
  { verb, subresource }: { readonly verb: string; readonly subresource: string | undefined },
): Author {
  const requester = requesterOf(event)
  const time = timeIn(event['requestReceivedTimestamp'])
  return {
    manager: requester.user,
    operation: verb === 'delete' || verb === 'deletecollection' ? 'Delete' : 'Update',
    ...(time !== undefined && { time }),
    ...(subresource !== undefined && { subresource }),
    requester,
  }
}

/** Who sent a request. Under impersonation the user is the one that the request was made as. */
function requesterOf(event: JsonObject): Requester {
  const sender = objectOf(event['user'])
  const impersonated = objectOf(event['impersonatedUser'])
  const senderName = textOf(sender['username'])
  const name = textOf(impersonated['username'])
  const groups = textsOf((name === undefined ? sender : impersonated)['groups'])
  const sourceIPs = textsOf(event['sourceIPs'])
  const userAgent = textOf(event['userAgent'])
  return {
    user: short(name ?? senderName ?? 'unknown user'),
    ...(groups.length > 0 && { groups }),
    ...(userAgent !== undefined && { userAgent: short(userAgent) }),
    ...(sourceIPs.length > 0 && { sourceIPs }),
    ...(name !== undefined && { impersonatedBy: short(senderName ?? 'unknown user') }),
  }
}

/** A requester is kept once for all its records; none is larger than this. */
const MOST_TEXTS = 64
const MOST_CHARACTERS = 1024

const short = (text: string): string => text.slice(0, MOST_CHARACTERS)
const textsOf = (value: Json | undefined): readonly string[] =>
  Array.isArray(value)
    ? value
        .filter((text) => typeof text === 'string')
        .slice(0, MOST_TEXTS)
        .map(short)
    : []
const objectOf = (value: Json | undefined): JsonObject => (isJsonObject(value) ? value : {})
const textOf = (value: Json | undefined): string | undefined =>
  typeof value === 'string' && value !== '' ? value : undefined
const timeIn = (value: Json | undefined): number | undefined =>
  typeof value === 'string' ? parseRfc3339(value) : undefined
const shown = (value: Json | undefined): string => (typeof value === 'string' ? printable(value, 40) : 'unknown')
