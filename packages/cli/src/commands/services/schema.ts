import { DIAGNOSTIC_CODES, ENDPOINT_REASONS, SKIP_REASONS } from '@pointsman/core'
import {
  documentHead,
  anything,
  flag,
  integer,
  listOf,
  objectOf,
  oneOf,
  oneOfKeys,
  optional,
  point,
  required,
  text,
  type DocumentJson,
  type Json,
} from '../../output/schema.js'

const family = oneOf('IPv4', 'IPv6')
const policy = oneOf('Cluster', 'Local')

const verdict = objectOf('Verdict', {
  used: required(flag, 'whether the node sends such traffic to the endpoint'),
  reason: required(oneOfKeys(ENDPOINT_REASONS), 'why, for a script'),
  message: required(text, 'why, for a person'),
})
export type VerdictJson = Json<typeof verdict>

const endpoint = objectOf('Endpoint', {
  address: required(text, 'in canonical spelling'),
  port: required(integer, "its port, which need not be the Service's"),
  pod: optional(text, "the Pod behind it, in the Service's namespace"),
  nodeName: optional(text, 'the node it is on'),
  zone: optional(text, 'the zone it is in'),
  ready: required(flag, 'its condition; nil is true'),
  serving: required(flag, 'its condition; nil is true'),
  terminating: required(flag, 'its condition; nil is false'),
  onNode: optional(flag, 'whether it is on the node that the answer is for; absent where no node is known'),
  clusterTraffic: optional(verdict, 'for traffic that may leave the node; absent where the port has none'),
  localTraffic: optional(verdict, 'for traffic of policy Local; absent where the port has none'),
  slices: optional(listOf(text), 'the EndpointSlices that list it; only in an Explanation'),
})
export type EndpointJson = Json<typeof endpoint>

/** What is said of each service port. */
export const serviceFields = {
  namespace: required(text, 'of the Service'),
  name: required(text, 'of the Service'),
  portName: optional(text, 'of the port; absent where it has none'),
  type: required(text, '`spec.type`'),
  protocol: required(oneOf('TCP', 'UDP', 'SCTP'), 'of the port'),
  family: required(family, 'of the addresses; a port of a dual-stack Service is two items'),
  clusterIP: required(text, 'the cluster IP of the family'),
  port: required(integer, 'the port on cluster, external and load-balancer addresses'),
  nodePort: optional(integer, 'the port on node addresses'),
  healthCheckNodePort: optional(integer, 'where load balancers ask for local endpoints'),
  externalIPs: optional(listOf(text), '`spec.externalIPs` of the family'),
  loadBalancerVIPs: optional(listOf(text), 'load-balancer addresses that packets carry when they arrive'),
  loadBalancerProxyIPs: optional(listOf(text), 'load-balancer addresses of ipMode Proxy, for which no rules are made'),
  loadBalancerSourceRanges: optional(listOf(text), 'CIDRs that may use the load-balancer addresses; absent: all'),
  externalTrafficPolicy: required(policy, 'for traffic from outside'),
  internalTrafficPolicy: required(policy, 'for traffic to the cluster IP'),
  affinitySeconds: optional(integer, 'how long a client stays with its endpoint; absent: no affinity'),
  readyEndpoints: required(integer, 'endpoints that are ready'),
  totalEndpoints: required(integer, 'endpoints of any condition'),
  usedEndpoints: required(integer, 'endpoints that the node sends some traffic to'),
  endpointsOnNode: optional(integer, 'those of them on the node itself; absent where no node is known'),
  endpoints: required(listOf(endpoint), 'each endpoint, by address'),
}
export const serviceItem = objectOf('Service', serviceFields)

export const skipped = objectOf('Skipped', {
  service: required(text, '`namespace/name`'),
  portName: optional(text, 'the port; absent: all of the Service, or a port without a name'),
  family: optional(family, 'the family; absent: both'),
  reason: required(oneOfKeys(SKIP_REASONS), 'why, for a script'),
  message: required(text, 'why, for a person'),
})
export type SkippedJson = Json<typeof skipped>
export type ServiceJson = Json<typeof serviceItem>

const diagnostic = objectOf('Diagnostic', {
  code: required(oneOfKeys(DIAGNOSTIC_CODES), 'what is wrong, for a script'),
  object: required(text, '`Service shop/checkout`'),
  path: required(text, 'where in the object'),
  value: optional(anything, 'what stands there'),
  message: required(text, 'what is wrong, for a person'),
})
export type DiagnosticJson = Json<typeof diagnostic>

/** What `pointsman services -o json` prints; `-o jsonl` prints its items. */
export const serviceList = objectOf('ServiceList', {
  ...documentHead('ServiceList'),
  at: optional(point, 'absent where the answer is from `--objects`'),
  node: optional(text, 'the node that the answer is for; absent where the input has no Node'),
  items: required(
    listOf(serviceItem),
    'a service port of one family each, by namespace, name, port, protocol and family',
  ),
  skipped: required(listOf(skipped), 'Services, and ports of them, that get no rules'),
  diagnostics: required(listOf(diagnostic), 'fields that were left out, or read otherwise than written'),
})
export type ServiceListJson = DocumentJson<typeof serviceList>

/** What `pointsman services --node all -o json` prints; `-o jsonl` prints its items. */
export const servicesOfNodes = objectOf('ServicesOfNodes', {
  ...documentHead('ServicesOfNodes'),
  at: optional(point, 'absent where the answer is from `--objects`'),
  nodeCount: required(integer, 'how many Nodes the input has'),
  items: required(
    listOf(
      objectOf('ServiceOnNodes', {
        namespace: required(text, 'of the Service'),
        name: required(text, 'of the Service'),
        portName: optional(text, 'of the port; absent where it has none'),
        protocol: required(oneOf('TCP', 'UDP', 'SCTP'), 'of the port'),
        family: required(family, 'of the addresses'),
        clusterIP: required(text, 'the cluster IP of the family'),
        port: required(integer, 'the port on it'),
        readyEndpoints: required(integer, 'endpoints that are ready'),
        totalEndpoints: required(integer, 'endpoints of any condition'),
        groups: required(
          listOf(
            objectOf('NodesOfService', {
              nodes: required(listOf(text), 'the Nodes, by name'),
              clusterEndpoints: optional(
                listOf(text),
                '`address:port` of those that they use for traffic that may leave the node; empty: they do not serve it; absent: the port has none',
              ),
              localEndpoints: optional(listOf(text), 'the same for traffic of policy Local'),
            }),
          ),
          'Nodes that use the same endpoints; those that use the fewest first',
        ),
      }),
    ),
    'a service port of one family each, by namespace, name, port, protocol and family',
  ),
})
export type ServicesOfNodesJson = DocumentJson<typeof servicesOfNodes>
