import { isJsonObject } from '../../model/json-value.js'
import type { Json, JsonObject } from '../../model/kubernetes-object.js'
import { isAuditEvent } from './parse-audit-event.js'
import { parseBoundedJson } from './parse-documents.js'

/**
 * The events of an API audit log in one document: the event itself, the items of an `EventList` (what the webhook backend sends), and
 * either of them inside the record of a log service, as an object or as text. Undefined where there is none: then it is something else.
 */
export function unwrapAuditEvents(document: JsonObject): readonly JsonObject[] | undefined {
  const found: JsonObject[] = []
  const open: { readonly value: Json; readonly depth: number }[] = [{ value: document, depth: 0 }]
  let isList = false
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const { depth } = next
    const value = typeof next.value === 'string' ? parsedObject(next.value) : next.value
    if (Array.isArray(value))
      for (const item of (value as readonly Json[]).toReversed()) open.push({ value: item, depth: depth + 1 })
    if (!isJsonObject(value)) continue
    if (isAuditEvent(value)) found.push(value)
    else if (isAuditList(value)) {
      isList = true
      // The items of a typed list do not repeat their kind.
      const { apiVersion = 'audit.k8s.io/v1', items } = value
      if (Array.isArray(items))
        for (const item of items) if (isJsonObject(item)) found.push({ ...item, kind: 'Event', apiVersion })
    } else if (isGoogleAuditLog(value)) found.push(fromGoogleAuditLog(value, document))
    else if (depth < MOST_DEPTH && !isWatchEvent(value))
      for (const key of WRAPPERS) {
        const inner = value[key]
        if (inner !== undefined && inner !== null) open.push({ value: inner, depth: depth + 1 })
      }
  }
  return found.length > 0 || isList ? found : undefined
}

const MOST_DEPTH = 5

/**
 * Members under which log services keep the line that they were given: Google Cloud (jsonPayload, protoPayload, textPayload), CloudWatch
 * (message, @message, logEvents, events), Azure (records, properties, log), and collectors (log, message, line, body).
 */
const WRAPPERS = [
  'jsonPayload',
  'protoPayload',
  'textPayload',
  'message',
  '@message',
  'logEvents',
  'events',
  'records',
  'properties',
  'log',
  'line',
  'body',
]

const isWatchEvent = ({ type, object }: JsonObject): boolean => typeof type === 'string' && isJsonObject(object)

const isAuditList = ({ kind, apiVersion }: JsonObject): boolean =>
  kind === 'EventList' && typeof apiVersion === 'string' && apiVersion.startsWith('audit.k8s.io/')

function parsedObject(text: string): Json | undefined {
  const trimmed = text.trimStart()
  if (!trimmed.startsWith('{') || !trimmed.includes('audit')) return undefined
  try {
    return parseBoundedJson(trimmed) as Json
  } catch {
    return undefined
  }
}

/** Google Cloud writes what the API server audits in a form of its own. */
const isGoogleAuditLog = ({ '@type': type, serviceName }: JsonObject): boolean =>
  typeof type === 'string' && type.endsWith('/google.cloud.audit.AuditLog') && serviceName === 'k8s.io'

/**
 * The event of an API audit log that Google Cloud made its own form from.
 * Source: https://cloud.google.com/kubernetes-engine/docs/how-to/audit-logging,
 * https://cloud.google.com/logging/docs/reference/audit/auditlog/rest/Shared.Types/AuditLog
 */
function fromGoogleAuditLog(log: JsonObject, entry: JsonObject): JsonObject {
  const { methodName, resourceName, request, response, status } = log
  // io.k8s.discovery.v1.endpointslices.update, and with a subresource io.k8s.core.v1.nodes.status.patch
  const method = typeof methodName === 'string' ? methodName.split('.') : []
  const verb = method.at(-1)
  // discovery.k8s.io/v1/namespaces/shop/endpointslices/web-1/status
  const [group = '', apiVersion = '', ...path] = typeof resourceName === 'string' ? resourceName.split('/') : []
  const isNamespaced = path[0] === 'namespaces' && path.length > 2
  const [resource, name, subresource] = isNamespaced ? path.slice(2) : path
  const { principalEmail } = objectOf(log['authenticationInfo'])
  const { callerIp, callerSuppliedUserAgent } = objectOf(log['requestMetadata'])
  const { code } = objectOf(status)
  const withoutType = (value: Json | undefined): Json | undefined => {
    if (!isJsonObject(value)) return value
    const { '@type': type, ...rest } = value
    // Of an object, the type says what `kind` does: core.k8s.io/v1.Service.
    const kind = typeof type === 'string' ? /\.([A-Z]\w+)$/.exec(type)?.[1] : undefined
    return { ...(kind !== undefined && { kind }), ...rest }
  }
  const members: { readonly [key: string]: Json | undefined } = {
    kind: 'Event',
    apiVersion: 'audit.k8s.io/v1',
    level: response !== undefined ? 'RequestResponse' : request !== undefined ? 'Request' : 'Metadata',
    stage:
      objectOf(entry['operation'])['first'] === true && objectOf(entry['operation'])['last'] !== true
        ? 'RequestReceived'
        : 'ResponseComplete',
    verb,
    requestURI: '',
    user: { username: typeof principalEmail === 'string' ? principalEmail : 'unknown user' },
    ...(typeof callerIp === 'string' && { sourceIPs: [callerIp] }),
    ...(typeof callerSuppliedUserAgent === 'string' && { userAgent: callerSuppliedUserAgent }),
    objectRef: withoutAbsent({
      apiGroup: group === 'core' ? undefined : group,
      apiVersion,
      namespace: isNamespaced ? path[1] : undefined,
      resource,
      name,
      subresource,
    }),
    // Codes of gRPC: 0 is success.
    responseStatus: { code: typeof code === 'number' && code !== 0 ? 500 : 200 },
    requestObject: withoutType(request),
    responseObject: withoutType(response),
    stageTimestamp: entry['timestamp'],
  }
  return withoutAbsent(members)
}

function withoutAbsent(members: { readonly [key: string]: Json | undefined }): JsonObject {
  const present: { [key: string]: Json } = {}
  for (const [key, value] of Object.entries(members)) if (value !== undefined) present[key] = value
  return present
}

const objectOf = (value: Json | undefined): JsonObject => (isJsonObject(value) ? value : {})
