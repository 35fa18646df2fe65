import { LAYOUTS } from '@pointsman/core'
import { ruleFields } from '../rules/schema.js'
import {
  documentHead,
  author,
  flag,
  integer,
  listOf,
  number,
  objectOf,
  oneOf,
  optional,
  point,
  required,
  text,
  time,
  type DocumentJson,
  type Json,
} from '../../output/schema.js'

const event = oneOf('ADDED', 'MODIFIED', 'DELETED')
const condition = oneOf('ready', 'not ready', 'terminating, still serving', 'terminating')

const object = objectOf('Object', {
  event: required(event, 'from the one point to the other'),
  kind: required(oneOf('Service', 'EndpointSlice', 'Node', 'ServiceCIDR'), 'of the object'),
  namespace: optional(text, 'absent for a Node'),
  name: required(text, 'of the object'),
  recreated: optional(flag, 'true where it was deleted and made again in between'),
  changes: required(listOf(text), 'what differs, in phrases for people; the words may change'),
  seq: optional(
    integer,
    'its last record between the points; absent where the second point is not the later, and where more than 200 objects differ',
  ),
  time: optional(time, 'when that was observed'),
  author: optional(author, 'who made that change; absent where it is not known'),
})

const endpoint = objectOf('Endpoint', {
  event: required(event, 'from the one point to the other'),
  address: required(text, 'in canonical spelling'),
  port: required(integer, 'its port'),
  pod: optional(text, "the Pod behind it, in the Service's namespace"),
  nodeName: optional(text, 'the node it is on'),
  before: optional(condition, 'its condition at the first point; absent: it was not there'),
  after: optional(condition, 'its condition at the second point; absent: it is not there'),
})
export type EndpointDifferenceJson = Json<typeof endpoint>

const endpoints = objectOf('Endpoints', {
  event: required(event, 'whether the service port itself came or went'),
  service: required(text, '`namespace/name` of the Service'),
  portName: optional(text, 'the port; absent where that has no name'),
  protocol: required(oneOf('TCP', 'UDP', 'SCTP'), 'of the port'),
  usedBefore: required(integer, 'endpoints that the node sent some traffic to at the first point'),
  usedAfter: required(integer, 'and at the second'),
  endpoints: required(listOf(endpoint), 'those that differ, by address'),
})
export type PortDifferenceJson = Json<typeof endpoints>

const rule = objectOf('Rule', {
  event: required(oneOf('ADDED', 'DELETED', 'ODDS'), '`ODDS`: nothing of it but its odds differs'),
  ...ruleFields,
  oddsBefore: optional(number, 'ODDS: the share of the packets that got to it, 0 to 1'),
  oddsAfter: optional(number, 'ODDS: and at the second point'),
})
export type RuleDifferenceJson = Json<typeof rule>

/** What `pointsman diff -o json` prints. */
export const diff = objectOf('Diff', {
  ...documentHead('Diff'),
  at: required(point, 'the second point'),
  from: required(point, 'the first point'),
  node: optional(text, 'the node that endpoints are used by and rules are for; absent where the input has no Node'),
  family: required(oneOf('IPv4', 'IPv6'), 'of the endpoints and rules'),
  layout: required(
    oneOf(...LAYOUTS),
    "whose rules they are like: kube-proxy 1.36's (current, kube-proxy) or 1.20's (classic), or our own (compact)",
  ),
  objects: required(listOf(object), 'objects that differ, Services first, then EndpointSlices, then Nodes'),
  endpoints: required(listOf(endpoints), 'service ports whose endpoints differ'),
  rules: required(listOf(rule), 'rules that differ, by service port and chain, with their comments'),
})
export type DiffJson = DocumentJson<typeof diff>
