import {
  documentHead,
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
import { fate } from '../bisect/schema.js'
import { MIGRATION_REASONS } from './compare-modes.js'
import { MIGRATION_NOTES } from './notes.js'
import { SENDERS } from './packet-classes.js'

const reason = objectOf('Reason', {
  code: required(oneOfKeys(MIGRATION_REASONS), 'why, for a script'),
  message: required(text, 'the same, for a person; the words may change'),
})

const change = objectOf('Change', {
  service: optional(
    text,
    "NAMESPACE/NAME of the Service that the packets are for; absent: of an address that is no Service's",
  ),
  servicePort: optional(text, 'namespace/name:port/protocol/family; absent: no single port'),
  type: required(
    oneOf('clusterIP', 'externalIP', 'loadBalancerIP', 'nodePort', 'unusedPort', 'unallocated'),
    'what the destination is: an address of a Service, a port that the Service at the address does not have, or an address that no Service has',
  ),
  family: required(oneOf('IPv4', 'IPv6'), 'of the packets'),
  protocol: required(oneOf('TCP', 'UDP', 'SCTP'), 'of the packets; of an unused port it stands for all'),
  addresses: required(listOf(text), 'the destinations; of unallocated addresses one, which stands for all of the CIDR'),
  port: required(integer, 'the destination port; an unused port stands for all others that the Service does not have'),
  nodeAddress: optional(oneOf('primary', 'secondary', 'loopback'), 'of a node port: which address of the node it is'),
  assumed: optional(flag, 'true: whether the node has such an address is not known, and this one stands for it'),
  senders: required(
    listOf(oneOfKeys(SENDERS)),
    'who sends; `endpoint` and `remote-endpoint`: an endpoint of the Service, on this node and on another',
  ),
  changes: required(
    listOf(oneOf('verdict', 'endpoints', 'source')),
    'what differs: the verdict, where it may go, or whose address it has',
  ),
  reasons: required(listOf(reason), 'each has a part in it: without it the packets would not be treated so'),
  before: required(fate, 'in the mode that is left'),
  after: required(fate, 'in the new mode'),
})
export type ChangeJson = Json<typeof change>

const note = objectOf('Note', {
  code: required(oneOfKeys(MIGRATION_NOTES), 'what it is about, for a script'),
  message: required(text, 'the same, for a person; the words may change'),
})

const otherRule = objectOf('OtherRule', {
  table: required(text, 'its table'),
  chain: required(text, 'its chain'),
  rule: required(text, 'the rule as iptables-save prints it; of a policy the line of its chain'),
  on: required(
    oneOf('chain', 'mark', 'policy'),
    "what it depends on: it leads to a chain of the proxy's, it reads or sets the masquerade mark, or its policy refuses what the proxy's rules accept",
  ),
  what: required(text, 'the chain, or the bits of the mark'),
  program: optional(text, 'whose chain it is by its name; absent: the name says nothing'),
  message: required(text, 'what becomes of it, for a person; the words may change'),
})
export type OtherRuleJson = Json<typeof otherRule>

/** What `pointsman migrate -o json` prints. */
export const migration = objectOf('Migration', {
  ...documentHead('Migration'),
  at: optional(point, 'the point in time of the log; absent with --objects'),
  node: optional(text, 'the node whose packets are compared; absent: not known'),
  from: required(text, 'the mode that is left'),
  to: required(text, 'the new mode'),
  services: required(integer, 'Services that were compared'),
  changedServices: required(integer, 'those of them for which something changes'),
  classes: required(integer, 'classes of packets that were compared: a destination and a kind of sender each'),
  items: required(listOf(change), 'packets that are treated otherwise, by Service'),
  notes: required(listOf(note), 'what else changes or is not compared'),
  otherRules: optional(
    listOf(otherRule),
    'rules of other programs that depend on those of the old mode; absent without --rules',
  ),
})
export type MigrationJson = DocumentJson<typeof migration>
