import { isJsonObject } from '../../model/json-value.js'
import type { Json, JsonObject, KubernetesObject, ObjectKind } from '../../model/kubernetes-object.js'
import { isObjectName, isPortName } from '../../model/names.js'
import type { Pseudonyms } from './redactor.js'

export interface Redaction extends Pseudonyms {
  /** The pseudonym of an address or a network; undefined for any other text. */
  address(text: string): string | undefined
}

/**
 * An object as `keepObject` gives it, redacted by what is known of each place in it: the fields of the API, the words and
 * the numbers that a field may have, the keys in `KNOWN_KEYS`. All else gets a pseudonym, names of unknown fields included.
 */
export const redactObject = (object: KubernetesObject, redaction: Redaction): KubernetesObject =>
  // Its kind is a known one, and its name a text before and after.
  OBJECTS[object.kind](object, redaction) as KubernetesObject

export const redactManager = (manager: string, redaction: Redaction): string => textOf(manager, redaction)
export const redactOperation = (operation: string, redaction: Redaction): string =>
  wordOf(operation, OPERATIONS, redaction)
export const redactSubresource = (subresource: string, redaction: Redaction): string =>
  wordOf(subresource, SUBRESOURCES, redaction)
export const redactVersion = (version: string, redaction: Redaction): string => wordOf(version, VERSION, redaction)

/** What a place in an object may hold, and what becomes of it. */
type Rule = (value: Json, redaction: Redaction) => Json

const textOf = (text: string, redaction: Redaction): string => redaction.address(text) ?? redaction.name(text)

const wordOf = (text: string, words: RegExp, redaction: Redaction): string =>
  words.test(text) ? text : textOf(text, redaction)

/** A label, annotation or taint key, a finalizer: `prefix/name`. */
function keyOf(key: string, redaction: Redaction): string {
  if (KNOWN_KEYS.has(key)) return key
  const slash = key.indexOf('/')
  if (slash < 0) return textOf(key, redaction)
  const prefix = key.slice(0, slash)
  const known = KNOWN_PREFIXES.has(prefix) ? prefix : textOf(prefix, redaction)
  return `${known}/${textOf(key.slice(slash + 1), redaction)}`
}

/** Of a place that is not known: each text and each field's name gets a pseudonym, and each number becomes 0. */
function hidden(value: Json, redaction: Redaction): Json {
  if (typeof value === 'string') return textOf(value, redaction)
  if (typeof value === 'number') return 0
  if (Array.isArray(value)) return value.map((item: Json) => hidden(item, redaction))
  if (!isJsonObject(value)) return value
  return membersOf(value, (key, item) => [textOf(key, redaction), hidden(item, redaction)])
}

function membersOf(value: JsonObject, member: (key: string, item: Json) => readonly [string, Json]): JsonObject {
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, item]) => (item === undefined ? [] : [member(key, item)])),
  )
}

const texts =
  (redact: (text: string, redaction: Redaction) => string): Rule =>
  (value, redaction) =>
    typeof value === 'string' ? redact(value, redaction) : hidden(value, redaction)

/** Texts of the words stay. */
const words = (known: RegExp): Rule => texts((text, redaction) => wordOf(text, known, redaction))

/** One that the model refuses is refused in its redacted form as well. */
const names = (isValid: (text: string) => boolean): Rule =>
  texts((text, redaction) => redaction.address(text) ?? `${redaction.name(text)}${isValid(text) ? '' : '_'}`)

/** A whole number up to `most` stays; any other becomes one that is as wrong. */
const numbers =
  (most: number): Rule =>
  (value, redaction) => {
    if (typeof value !== 'number') return hidden(value, redaction)
    return Number.isInteger(value) && value >= 0 && value <= most ? value : most + 1
  }

const each =
  (rule: Rule): Rule =>
  (value, redaction) =>
    Array.isArray(value) ? value.map((item: Json) => rule(item, redaction)) : hidden(value, redaction)

/** The fields that are known; `object` may as well be missing or of a wrong type. */
const fields = (known: Readonly<Record<string, Rule>>): Rule => {
  const rules = new Map(Object.entries(known))
  return (value, redaction) => {
    if (!isJsonObject(value)) return hidden(value, redaction)
    return membersOf(value, (field, item) => {
      const rule = rules.get(field)
      return rule === undefined ? [textOf(field, redaction), hidden(item, redaction)] : [field, rule(item, redaction)]
    })
  }
}

/** Labels and their like: their keys are people's, not the API's. */
const map: Rule = (value, redaction) => {
  if (!isJsonObject(value)) return hidden(value, redaction)
  return membersOf(value, (key, item) => [keyOf(key, redaction), (VALUES.get(key) ?? text)(item, redaction)])
}

const text = texts(textOf)
const key = texts(keyOf)
const objectName = names(isObjectName)
const portName = names(isPortName)
const uid = texts((value, redaction) => redaction.uid(value))
const digest = texts((value, redaction) => redaction.digest(value))
const time = words(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z$/)
const VERSION = /^\d{1,20}$/
const version = words(VERSION)
const port = numbers(65_535)
const count = numbers(2 ** 31 - 1)
const kind = words(/^(?:Service|EndpointSlice|Node|Pod|Endpoints|ServiceCIDR)$/)
const apiVersion = words(/^(?:v1|apps\/v1|(?:discovery|networking)\.k8s\.io\/v1(?:beta1)?)$/)
const protocol = words(/^(?:TCP|UDP|SCTP)$/)
const policy = words(/^(?:Cluster|Local)$/)
const clusterIP = words(/^None$/)
/** The API server lets blanks around a range pass. */
const sourceRange = texts((range, redaction) => redaction.address(range.trim()) ?? redaction.name(range))
const targetPort: Rule = (value, redaction) =>
  typeof value === 'number' ? port(value, redaction) : portName(value, redaction)
const OPERATIONS = /^(?:Update|Apply)$/
const SUBRESOURCES = /^(?:status|scale)$/

/** Values that components of Kubernetes give these labels and annotations. */
const VALUES: ReadonlyMap<string, Rule> = new Map([
  ['kubernetes.io/service-name', objectName],
  ['kubernetes.io/os', words(/^(?:linux|windows)$/)],
  ['kubernetes.io/arch', words(/^(?:amd64|arm64|arm|ppc64le|s390x|riscv64)$/)],
  ['endpoints.kubernetes.io/last-change-trigger-time', time],
  ['endpoints.kubernetes.io/over-capacity', words(/^(?:truncated|warning)$/)],
  [
    'endpointslice.kubernetes.io/managed-by',
    words(/^(?:endpointslice-controller|endpointslicemirroring-controller)\.k8s\.io$/),
  ],
  ['service.kubernetes.io/topology-mode', words(/^(?:Auto|Disabled)$/i)],
  ['service.kubernetes.io/topology-aware-hints', words(/^(?:auto|disabled)$/i)],
])

const metadata = fields({
  annotations: map,
  creationTimestamp: time,
  deletionGracePeriodSeconds: count,
  deletionTimestamp: time,
  finalizers: each(key),
  generateName: text,
  generation: count,
  labels: map,
  managedFields: each(
    fields({
      apiVersion,
      fieldsDigest: digest,
      fieldsType: words(/^FieldsV1$/),
      manager: text,
      operation: words(OPERATIONS),
      subresource: words(SUBRESOURCES),
      time,
    }),
  ),
  name: objectName,
  namespace: objectName,
  ownerReferences: each(
    fields({ apiVersion, blockOwnerDeletion: hidden, controller: hidden, kind, name: objectName, uid }),
  ),
  resourceVersion: version,
  uid,
})

const targetRef = fields({
  apiVersion,
  fieldPath: text,
  kind,
  name: objectName,
  namespace: objectName,
  resourceVersion: version,
  uid,
})
const endpointPort = fields({ appProtocol: key, name: portName, port, protocol })
const subsetAddress = fields({ hostname: text, ip: text, nodeName: objectName, targetRef })

const OBJECTS: { readonly [kind in ObjectKind]: Rule } = {
  Service: fields({
    apiVersion,
    kind,
    metadata,
    spec: fields({
      allocateLoadBalancerNodePorts: hidden,
      clusterIP,
      clusterIPs: each(clusterIP),
      externalIPs: each(text),
      externalName: text,
      externalTrafficPolicy: policy,
      healthCheckNodePort: port,
      internalTrafficPolicy: policy,
      ipFamilies: each(words(/^IPv[46]$/)),
      ipFamilyPolicy: words(/^(?:SingleStack|PreferDualStack|RequireDualStack)$/),
      loadBalancerClass: key,
      loadBalancerIP: text,
      loadBalancerSourceRanges: each(sourceRange),
      ports: each(fields({ appProtocol: key, name: portName, nodePort: port, port, protocol, targetPort })),
      publishNotReadyAddresses: hidden,
      selector: map,
      sessionAffinity: words(/^(?:None|ClientIP)$/),
      sessionAffinityConfig: fields({ clientIP: fields({ timeoutSeconds: count }) }),
      topologyKeys: each(key),
      trafficDistribution: words(/^(?:PreferClose|PreferSameZone|PreferSameNode)$/),
      type: words(/^(?:ClusterIP|NodePort|LoadBalancer|ExternalName)$/),
    }),
    status: fields({
      conditions: each(
        fields({
          lastTransitionTime: time,
          message: text,
          observedGeneration: count,
          reason: words(/^LoadBalancerMixedProtocolNotSupported$/),
          status: words(/^(?:True|False|Unknown)$/),
          type: words(/^LoadBalancerPortsError$/),
        }),
      ),
      loadBalancer: fields({
        ingress: each(
          fields({
            hostname: text,
            ip: text,
            ipMode: words(/^(?:VIP|Proxy)$/),
            ports: each(fields({ error: key, port, protocol })),
          }),
        ),
      }),
    }),
  }),
  EndpointSlice: fields({
    addressType: words(/^(?:IPv4|IPv6|FQDN)$/),
    apiVersion,
    endpoints: each(
      fields({
        addresses: each(text),
        conditions: fields({ ready: hidden, serving: hidden, terminating: hidden }),
        hints: fields({ forNodes: each(fields({ name: objectName })), forZones: each(fields({ name: text })) }),
        nodeName: objectName,
        targetRef,
        zone: text,
      }),
    ),
    kind,
    metadata,
    ports: each(endpointPort),
    // Of one that stands for an Endpoints (`sliceOfEndpoints`).
    subsets: each(
      fields({
        addresses: each(subsetAddress),
        notReadyAddresses: each(subsetAddress),
        ports: each(endpointPort),
      }),
    ),
  }),
  Node: fields({
    apiVersion,
    kind,
    metadata,
    spec: fields({
      podCIDR: text,
      podCIDRs: each(text),
      taints: each(
        fields({ effect: words(/^(?:NoSchedule|PreferNoSchedule|NoExecute)$/), key, timeAdded: time, value: text }),
      ),
    }),
    status: fields({
      addresses: each(
        fields({ address: text, type: words(/^(?:InternalIP|ExternalIP|Hostname|InternalDNS|ExternalDNS)$/) }),
      ),
    }),
  }),
  ServiceCIDR: fields({
    apiVersion,
    kind,
    metadata,
    spec: fields({ cidrs: each(text) }),
    status: fields({
      conditions: each(
        fields({
          lastTransitionTime: time,
          message: text,
          observedGeneration: count,
          reason: words(/^Terminating$/),
          status: words(/^(?:True|False|Unknown)$/),
          type: words(/^Ready$/),
        }),
      ),
    }),
  }),
}

const NAMES_BY_PREFIX: Readonly<Record<string, string>> = {
  'kubernetes.io':
    'service-name cluster-service name hostname os arch description change-cause ' +
    // Application protocols.
    'h2c ws wss',
  'app.kubernetes.io': 'component created-by instance managed-by name part-of version',
  'applyset.kubernetes.io': 'id part-of',
  'addonmanager.kubernetes.io': 'mode',
  'config.kubernetes.io': 'local-config',
  'kubectl.kubernetes.io': 'last-applied-configuration restartedAt default-container',
  'service.kubernetes.io': 'headless service-proxy-name topology-mode topology-aware-hints load-balancer-cleanup',
  'service.alpha.kubernetes.io': 'tolerate-unready-endpoints',
  'service.beta.kubernetes.io':
    'load-balancer-source-ranges external-traffic healthcheck-nodeport azure-load-balancer-internal ' +
    'aws-load-balancer-type aws-load-balancer-internal aws-load-balancer-scheme aws-load-balancer-name ' +
    'aws-load-balancer-backend-protocol aws-load-balancer-proxy-protocol aws-load-balancer-nlb-target-type ' +
    'aws-load-balancer-cross-zone-load-balancing-enabled aws-load-balancer-connection-idle-timeout ' +
    'aws-load-balancer-ssl-cert aws-load-balancer-ssl-ports aws-load-balancer-target-group-attributes',
  'endpoints.kubernetes.io': 'last-change-trigger-time over-capacity managed-by',
  'endpointslice.kubernetes.io': 'managed-by skip-mirror',
  'control-plane.alpha.kubernetes.io': 'leader',
  'topology.kubernetes.io': 'zone region',
  'failure-domain.beta.kubernetes.io': 'zone region',
  'beta.kubernetes.io': 'os arch instance-type',
  'node-role.kubernetes.io': 'control-plane master',
  'node.kubernetes.io':
    'instance-type windows-build exclude-from-external-load-balancers exclude-disruption not-ready unreachable ' +
    'unschedulable memory-pressure disk-pressure network-unavailable pid-pressure out-of-service',
  'node.cloudprovider.kubernetes.io': 'uninitialized shutdown',
  'alpha.service-controller.kubernetes.io': 'exclude-balancer',
  'k8s.io': 'initial-events-end',
}

/**
 * Keys that the Kubernetes documentation or its components give a meaning and that hold no name of anybody's: labels,
 * annotations, taints, finalizers and application protocols on Services, EndpointSlices and Nodes.
 * Source: https://kubernetes.io/docs/reference/labels-annotations-taints/
 */
const KNOWN_KEYS: ReadonlySet<string> = new Set([
  ...Object.entries(NAMES_BY_PREFIX).flatMap(([prefix, names]) => names.split(' ').map((name) => `${prefix}/${name}`)),
  // kube-proxy's health check looks at the first of these taints of the cluster autoscaler.
  'ToBeDeletedByClusterAutoscaler',
  'DeletionCandidateOfClusterAutoscaler',
  'foregroundDeletion',
  'orphan',
])

/** A prefix alone says nothing either, whatever name follows it. */
const KNOWN_PREFIXES: ReadonlySet<string> = new Set([...Object.keys(NAMES_BY_PREFIX), 'node-restriction.kubernetes.io'])
