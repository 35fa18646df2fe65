import { editBehind } from '../blame/schema.js'
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

const packet = objectOf('Packet', {
  protocol: required(oneOf('TCP', 'UDP', 'SCTP'), 'the protocol'),
  family: required(oneOf('IPv4', 'IPv6'), 'the family of its addresses'),
  source: required(text, 'the sender'),
  sourcePort: optional(integer, 'absent: any'),
  destination: required(text, 'where it is sent to'),
  destinationPort: required(integer, 'the port there'),
  from: required(oneOf('node', 'pod', 'outside'), 'the node itself, a pod of this node, or anybody else'),
})

const endpoint = objectOf('FateEndpoint', {
  address: required(text, 'where it may get to'),
  port: required(integer, 'the port there'),
  odds: required(number, '0 to 1, of getting there'),
  masqueraded: required(flag, "whether the endpoint sees the node's address in place of the sender's"),
})

/** What is said of what becomes of a packet. */
export const fateFields = {
  fate: required(oneOf('endpoints', 'rejected', 'dropped', 'no-service'), 'what becomes of the packet'),
  reason: required(text, 'why, for a person; the words may change'),
  endpoints: required(listOf(endpoint), 'where it may get to; empty unless `fate` is `endpoints`'),
}
export const fate = objectOf('Fate', fateFields)

const cause = objectOf('Cause', {
  type: required(
    oneOf('itself', 'service-edit', 'slice-edit', 'pods-gone', 'not-ready', 'port-gone', 'hints', 'ready', 'pods-came'),
    'what is behind the record; `itself`: nothing, the Service, the Node or the configuration was changed',
  ),
  message: optional(text, 'what the log holds of it and what it does not, for a person'),
  edit: optional(editBehind, 'service-edit: the change of the Service'),
})
export type FateJson = Json<typeof fate>

export const flip = objectOf('Flip', {
  seq: required(integer, 'of the record after which the fate was another'),
  time: required(time, 'when it was observed'),
  event: optional(
    oneOf('ADDED', 'MODIFIED', 'DELETED'),
    'of an object; absent for the configuration, as the next five',
  ),
  kind: optional(oneOf('Service', 'EndpointSlice', 'Node', 'ServiceCIDR'), 'of the object'),
  namespace: optional(text, 'of the object: absent for a Node'),
  name: optional(text, 'of the object'),
  resourceVersion: optional(text, 'of the object'),
  author: optional(author, 'who changed the object; absent where it is not known; the API does not say who deletes'),
  changes: required(listOf(text), 'what changed, in phrases for people; the words may change'),
  before: required(fate, 'the fate before the record'),
  after: required(fate, 'the fate after it'),
  cause: required(cause, 'what is behind it'),
})
export type FlipJson = Json<typeof flip>

/** What `pointsman bisect -o json` prints. */
export const bisection = objectOf('Bisection', {
  ...documentHead('Bisection'),
  at: required(point, 'the last record that counts: `--bad`'),
  from: required(point, 'the record after which changes count: `--good`, else the one that ended the first lists'),
  node: optional(text, 'the node that the packet is on; absent where the input has no Node'),
  packet: required(packet, 'the packet, in addresses'),
  exact: required(flag, 'whether other endpoints, odds and masquerading are another fate'),
  broken: optional(flip, 'the latest record after which the fate was no longer as it should be; absent: there is none'),
  mended: optional(flip, 'the first later record that restored the verdict; absent: no record has'),
  first: required(fate, 'the fate at `from`'),
  last: required(fate, 'the fate at `at`'),
  flips: required(listOf(flip), 'every change of the fate in between, the oldest first'),
  services: required(listOf(text), '`namespace/name` of the Services that have or had the destination'),
  candidates: required(integer, 'records in between that could touch the packet: each was looked at'),
  assumptions: required(listOf(text), 'what was taken for granted, for a person'),
})
export type BisectionJson = DocumentJson<typeof bisection>

const nodes = objectOf('BisectedNodes', {
  nodes: required(listOf(text), 'the Nodes, by name'),
  broken: optional(flip, 'as in a Bisection, of the first of these Nodes'),
  mended: optional(flip, 'as in a Bisection'),
  first: required(fate, 'the fate at `from`'),
  last: required(fate, 'the fate at `at`'),
})

/** What `pointsman bisect --node all -o json` prints. */
export const bisectionOfNodes = objectOf('BisectionOfNodes', {
  ...documentHead('BisectionOfNodes'),
  at: required(point, 'the last record that counts: `--bad`'),
  from: required(point, 'the record after which changes count: `--good`, else the one that ended the first lists'),
  packet: required(text, 'the packet, as it was written'),
  exact: required(flag, 'whether other endpoints, odds and masquerading are another fate'),
  nodeCount: required(integer, 'how many Nodes there are at `at`'),
  groups: required(
    listOf(nodes),
    'Nodes whose path was broken and fixed by the same records; those where it still is come first',
  ),
  services: required(listOf(text), '`namespace/name` of the Services that have or had the destination'),
  candidates: required(integer, 'records in between that could touch the packet: each was looked at'),
  assumptions: required(listOf(text), 'what was taken for granted, for a person'),
})
export type BisectionOfNodesJson = DocumentJson<typeof bisectionOfNodes>
