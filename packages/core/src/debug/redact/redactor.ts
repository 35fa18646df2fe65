import { isJsonObject } from '../../model/is-json-object.js'
import type { Json, JsonObject, KubernetesObject } from '../../model/kubernetes-object.js'
import type { Author } from '../../model/watch-event.js'
import { pseudonymsFrom } from './pseudonyms.js'
import type { KeyedHash, Pseudonyms } from './pseudonyms.js'
import { addressRedactor } from './redact-address.js'

/** Replaces names and addresses consistently: see `createRedactor`. */
export interface Redactor {
  object(object: KubernetesObject): KubernetesObject
  author(author: Author): Author
}

/**
 * Takes every name and address out of objects, and leaves what a service proxy decides by. Every text becomes a
 * pseudonym (the same text the same one) unless it is known to say nothing: the API's own words (`ClusterIP`, `TCP`),
 * times, versions, label keys of Kubernetes' own domains, and the names in `KEPT_NAMES`. Addresses and networks keep how
 * they lie in each other. Numbers, ports among them, are kept.
 */
export function createRedactor(hash: KeyedHash): Redactor {
  const pseudonyms = pseudonymsFrom(hash)
  const redactAddress = addressRedactor((text) => ((hash(`bit:${text}`)[0] ?? 0) & 1) === 1)
  const redaction: Redaction = { ...pseudonyms, text: (text) => redactAddress(text) ?? pseudonyms.name(text) }
  return {
    // Kind and metadata.name are texts before and after.
    object: (object) => redactFields(object, redaction) as KubernetesObject,
    author: (author) => ({
      ...author,
      manager: redaction.text(author.manager),
      operation: redactText('operation', author.operation, redaction),
      ...(author.subresource === undefined
        ? {}
        : { subresource: redactText('subresource', author.subresource, redaction) }),
    }),
  }
}

interface Redaction extends Pseudonyms {
  /** The pseudonym of an address or of a name. */
  text(text: string): string
}

function redactFields(fields: JsonObject, redaction: Redaction): JsonObject {
  return Object.fromEntries(
    Object.entries(fields).map(([field, value]) => [
      redactField(field, redaction),
      redactValue(field, value, redaction),
    ]),
  )
}

/** Fields of the API are plain words; anything else is a name that stands where a field should. */
const redactField = (field: string, redaction: Redaction): string =>
  /^[a-z][A-Za-z0-9]*$/.test(field) ? field : redactKey(field, redaction)

function redactValue(field: string, value: Json | undefined, redaction: Redaction): Json | undefined {
  if (typeof value === 'string') return redactText(field, value, redaction)
  if (Array.isArray(value)) return value.map((item: Json) => redactValue(field, item, redaction) ?? null)
  if (!isJsonObject(value)) return value
  return MAPS.has(field) ? redactMap(value, redaction) : redactFields(value, redaction)
}

/** Their keys are people's, not the API's. */
const MAPS: ReadonlySet<string> = new Set(['labels', 'annotations', 'selector', 'matchLabels', 'nodeSelector'])

function redactMap(map: JsonObject, redaction: Redaction): JsonObject {
  return Object.fromEntries(
    Object.entries(map).map(([key, value]) => [redactKey(key, redaction), redactMapValue(value, redaction)]),
  )
}

function redactMapValue(value: Json | undefined, redaction: Redaction): Json | undefined {
  if (typeof value !== 'string') return redactValue('', value, redaction)
  // The controllers of Kubernetes name themselves so.
  return isKubernetesDomain(value) || TIME.test(value) ? value : redaction.text(value)
}

/** A label, annotation or taint key, a finalizer: `domain/name`, of which Kubernetes' own are kept. */
function redactKey(key: string, redaction: Redaction): string {
  if (KEPT_KEYS.has(key)) return key
  const slash = key.indexOf('/')
  if (slash < 0) return isKubernetesDomain(key) ? key : redaction.text(key)
  const domain = key.slice(0, slash)
  return isKubernetesDomain(domain) ? key : `${redaction.text(domain)}/${redaction.text(key.slice(slash + 1))}`
}

/** kube-proxy's health check looks at this taint of the cluster autoscaler. */
const KEPT_KEYS: ReadonlySet<string> = new Set(['ToBeDeletedByClusterAutoscaler'])

const isKubernetesDomain = (text: string): boolean => /^(?:[a-z0-9-]+\.)*(?:kubernetes|k8s)\.io$/.test(text)

function redactText(field: string, text: string, redaction: Redaction): string {
  if (field === 'uid') return redaction.uid(text)
  if (field === 'fieldsDigest') return redaction.digest(text)
  if (KEYS.has(field)) return redactKey(text, redaction)
  return isWord(field, text) ? text : redaction.text(text)
}

const KEYS: ReadonlySet<string> = new Set(['key', 'finalizers', 'appProtocol', 'loadBalancerClass'])

/** Whether the text is one of the API's own words in this field. */
const isWord = (field: string, text: string): boolean => WORDS.get(field)?.test(text) === true
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z$/
const POLICY = /^(?:Cluster|Local)$/
const FAMILY = /^IPv[46]$/

const WORDS: ReadonlyMap<string, RegExp> = new Map([
  ['kind', /^(?:Service|EndpointSlice|Node|Pod|Endpoints)$/],
  ['apiVersion', /^(?:(?:apps|[a-z.]+\.k8s\.io)\/)?v[1-9](?:(?:alpha|beta)[1-9])?$/],
  ['type', /^(?:ClusterIP|NodePort|LoadBalancer|ExternalName|InternalIP|ExternalIP|Hostname|InternalDNS|ExternalDNS)$/],
  ['protocol', /^(?:TCP|UDP|SCTP)$/],
  ['clusterIP', /^None$/],
  ['clusterIPs', /^None$/],
  ['sessionAffinity', /^(?:None|ClientIP)$/],
  ['externalTrafficPolicy', POLICY],
  ['internalTrafficPolicy', POLICY],
  ['trafficDistribution', /^(?:PreferClose|PreferSameZone|PreferSameNode)$/],
  ['ipFamilies', FAMILY],
  ['ipFamilyPolicy', /^(?:SingleStack|PreferDualStack|RequireDualStack)$/],
  ['ipMode', /^(?:VIP|Proxy)$/],
  ['addressType', /^(?:IPv4|IPv6|FQDN)$/],
  ['effect', /^(?:NoSchedule|PreferNoSchedule|NoExecute)$/],
  ['operation', /^(?:Update|Apply)$/],
  ['subresource', /^(?:status|scale)$/],
  ['fieldsType', /^FieldsV1$/],
  ['resourceVersion', /^\d+$/],
  ['time', TIME],
  ['timeAdded', TIME],
  ['creationTimestamp', TIME],
  ['deletionTimestamp', TIME],
  ['lastTransitionTime', TIME],
])
