import { LAYOUTS } from '@pointsman/core'
import {
  documentHead,
  integer,
  listOf,
  number,
  objectOf,
  oneOf,
  oneOfNames,
  optional,
  point,
  required,
  text,
  type DocumentJson,
  type Json,
} from '../../output/schema.js'

/** What every rule says of itself. */
export const ruleFields = {
  table: required(oneOfNames('mangle', 'filter', 'nat'), 'the table'),
  chain: required(text, 'the chain'),
  rule: required(text, 'the line that iptables-save prints: `-A CHAIN ...`'),
  service: optional(
    text,
    '`namespace/name` of the Service that it is for; absent: a rule that does not depend on Services',
  ),
  portName: optional(text, "the Service's port; absent where that has no name"),
  protocol: optional(oneOf('TCP', 'UDP', 'SCTP'), 'of that port'),
}

/** An item of it: what `-o jsonl` prints. */
export const ruleItem = objectOf('Rule', ruleFields)

const endpoint = objectOf('Endpoint', {
  address: required(text, 'in canonical spelling'),
  port: required(integer, 'its port'),
  odds: required(number, 'the share of the packets that it gets, 0 to 1'),
})
export type EndpointShareJson = Json<typeof endpoint>
export type RuleJson = Json<typeof ruleItem>

const front = objectOf('Front', {
  type: required(oneOf('clusterIP', 'externalIP', 'loadBalancerIP', 'nodePort'), 'what it is to the Service'),
  service: required(text, '`namespace/name` of the Service'),
  portName: optional(text, "the Service's port; absent where that has no name"),
  protocol: required(oneOf('TCP', 'UDP', 'SCTP'), 'of that port'),
  address: optional(text, "absent for a node port: the node's own"),
  port: required(integer, 'that packets are sent to'),
  chain: optional(text, 'the chain of the service port that it is handed to; absent: none'),
  endpoints: required(listOf(endpoint), 'where its packets go'),
  refused: optional(oneOf('rejected', 'dropped'), 'what becomes of them where there are no such endpoints'),
  sourceRanges: optional(listOf(text), 'sources that are let in; absent: all'),
  endpointsFromNode: optional(
    listOf(endpoint),
    'where those of the node itself go, and with a pod CIDR known those of pods; absent: where all go',
  ),
})
export type FrontJson = Json<typeof front>

/** What `pointsman render -o json` and `pointsman rules -o json` print. */
export const ruleList = objectOf('RuleList', {
  ...documentHead('RuleList'),
  at: optional(point, 'absent where the answer is from `--objects`'),
  node: optional(text, 'the node that the rules are for; absent where the input has no Node'),
  family: required(oneOf('IPv4', 'IPv6'), 'of which iptables the rules are'),
  layout: required(
    oneOf(...LAYOUTS),
    "whose rules they are like: kube-proxy 1.36's (current, kube-proxy) or 1.20's (classic), or our own (compact)",
  ),
  fronts: optional(listOf(front), 'where the addresses of a Service lead; absent where no Service was asked about'),
  items: required(listOf(ruleItem), 'the rules that were asked about, in the order in which iptables-save prints them'),
})
export type RuleListJson = DocumentJson<typeof ruleList>
