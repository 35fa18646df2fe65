import { ASSUMPTION_CODES, DEPENDENCE_CODES } from '@pointsman/core'
import {
  documentHead,
  type DocumentJson,
  flag,
  integer,
  type Json,
  listOf,
  number,
  objectOf,
  oneOf,
  oneOfKeys,
  optional,
  point,
  required,
  text,
} from '../../output/schema.js'
import { alsoLookAtList } from '../explain/schema.js'

const fate = oneOf('endpoints', 'rejected', 'dropped', 'no-service', 'depends')
const hook = oneOf('PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING')

const packet = objectOf('Packet', {
  protocol: required(oneOf('TCP', 'UDP', 'SCTP', 'ICMP'), 'the protocol; ICMP: an echo request'),
  family: required(oneOf('IPv4', 'IPv6'), 'the family of its addresses'),
  source: required(text, 'the sender'),
  sourcePort: optional(integer, 'absent: any'),
  destination: required(text, 'where it is sent to'),
  destinationPort: required(integer, 'the port there; 0: the protocol has none'),
  from: required(oneOf('node', 'pod', 'outside'), 'the node itself, a pod of this node, or anybody else'),
  inInterface: optional(text, 'by which it arrives; absent: not known, or none'),
  state: required(oneOf('NEW', 'ESTABLISHED', 'INVALID'), 'the conntrack state of the packet'),
})

const fateOdds = objectOf('FateOdds', {
  fate: required(fate, 'what becomes of it'),
  odds: required(number, '0 to 1; where the verdict depends on unknown facts, the highest of any case'),
  atLeast: optional(number, 'the lowest of any case; absent: the odds are the same in all'),
})

const endpoint = objectOf('TraceEndpoint', {
  address: required(text, 'where it gets to'),
  port: required(integer, 'the port there'),
  odds: required(number, '0 to 1, of getting there; where that depends on unknown facts, the highest of any case'),
  atLeast: optional(number, 'the lowest of any case; absent: the odds are the same in all'),
  pod: optional(text, '`namespace/name` of the pod that has the address'),
  node: optional(text, 'the Node that it is on'),
  source: required(
    objectOf('SeenSource', {
      rewritten: required(oneOf('no', 'MASQUERADE', 'SNAT'), 'whether the sender’s address is rewritten, and by what'),
      address: optional(text, 'what the endpoint sees; absent: it is not known which address of the node'),
    }),
    'whose address the endpoint sees',
  ),
})

const assumption = objectOf('Assumption', {
  code: required(oneOfKeys(ASSUMPTION_CODES), 'what it is about, for a script'),
  message: required(text, 'what was taken for granted, for a person'),
})

const supposition = objectOf('Supposition', {
  code: required(oneOfKeys(DEPENDENCE_CODES), 'what it is about, for a script'),
  text: required(text, 'the fact, for a person: `it arrives by eth0`'),
  holds: required(flag, 'whether it is so in this case'),
})

const dependence = objectOf('Dependence', {
  code: required(oneOfKeys(DEPENDENCE_CODES), 'what it is about, for a script'),
  text: required(text, 'the fact, for a person: `it arrives by eth0`, or what decides: `IPVS`'),
  option: optional(text, 'the option of `trace` that says it'),
})

const place = objectOf('Place', {
  table: required(text, 'the table'),
  chain: required(text, 'the chain'),
  number: optional(integer, 'of the rule in its chain, from 1; absent: the policy of the chain'),
})

const condition = objectOf('Condition', {
  text: required(text, 'in iptables’ words'),
  holds: required(flag, 'whether it holds'),
  because: required(text, 'the fact that decides, for a person'),
  assumed: required(flag, 'whether the fact is taken for granted'),
  supposed: optional(flag, 'true: the fact is unknown, and both possibilities are followed; it holds on this way only'),
  open: optional(flag, 'true: the fact is unknown and does not matter: the packet continues unchanged either way'),
})
export type ConditionJson = Json<typeof condition>

const effect = objectOf('Effect', {
  type: required(
    oneOf(
      'jump',
      'goto',
      'return',
      'accept',
      'drop',
      'reject',
      'mark',
      'dnat',
      'snat',
      'untracked',
      'hand-over',
      'continue',
    ),
    'what the rule does; the fields below belong to some of these',
  ),
  chain: optional(text, 'jump, goto: where to'),
  rules: optional(integer, 'jump, goto: how many rules are there'),
  with: optional(text, 'reject: the answer to the sender'),
  from: optional(integer, 'mark: before'),
  to: optional(integer, 'mark: after'),
  by: optional(oneOf('MASQUERADE', 'SNAT'), 'snat: by what'),
  address: optional(text, 'dnat, snat: the new address; absent: it is not known which of the node'),
  port: optional(integer, 'dnat: the new port'),
  what: optional(text, 'continue: the target that lets it go on; hand-over: what decides about it'),
  outcome: optional(
    oneOf('accept', 'drop', 'continue', 'end'),
    'hand-over: how it decides on this way; end: the way ends here',
  ),
})
export type EffectJson = Json<typeof effect>

const missed = objectOf('MissedRule', {
  number: required(integer, 'of the rule in its chain, from 1'),
  rule: required(text, 'the line that iptables-save prints'),
  conditions: required(listOf(condition), 'its conditions, those that hold included'),
})

const step = objectOf('Step', {
  type: required(
    oneOf('table', 'unasked', 'passed', 'rule', 'policy', 'routing', 'conntrack', 'again', 'joined'),
    'what it is: a table is consulted, or is not; rules are passed that do not match; a rule matches; a chain’s policy; the kernel decides where it goes on; conntrack rewrites it; in a long trace, a chain does with the packet again what it did before; ways that came to the same packet go on as one',
  ),
  hook: optional(hook, 'table, unasked'),
  table: optional(text, 'table, unasked, passed, rule, policy, again, joined'),
  chain: optional(
    text,
    'passed, rule, policy, again, joined; table, unasked: the base chain, where it has a name of its own',
  ),
  depth: optional(integer, 'passed, rule, again, joined: 0 in a built-in chain, 1 in one that it jumps to'),
  rules: optional(integer, 'table: how many rules its chain has'),
  reason: optional(text, 'unasked: the rule that is the reason, and one that would match, for a person'),
  policy: optional(text, 'table, policy'),
  because: optional(text, 'unasked, routing: why, for a person'),
  to: optional(oneOf('node', 'forward', 'out'), 'routing: where to'),
  number: optional(integer, 'rule: its number in its chain, from 1'),
  rule: optional(text, 'rule: the line that iptables-save prints'),
  conditions: optional(listOf(condition), 'rule: its conditions'),
  odds: optional(number, 'rule, passed: the odds of matching, or of passing; absent where no chance is in it'),
  effect: optional(effect, 'rule, conntrack: what becomes of the packet'),
  first: optional(integer, 'passed: the number of the first rule'),
  last: optional(integer, 'passed: the number of the last'),
  missed: optional(
    listOf(missed),
    'passed: those that nearly matched, and all in small chains; every one with --every-rule',
  ),
})
export type StepJson = Json<typeof step>

const way = objectOf('Way', {
  odds: required(number, '0 to 1, of going this way in the cases that it belongs to'),
  when: optional(
    listOf(listOf(supposition)),
    'the cases in which the packet takes this way: those in which all suppositions of one of the lists hold; empty: too many to list; absent: all cases',
  ),
  fate: required(fate, 'where it ends'),
  on: optional(text, 'depends: what decides: `IPVS`'),
  address: optional(text, 'endpoints, no-service, depends: where it gets to, or is sent to'),
  port: optional(integer, 'endpoints, no-service, depends: the port there'),
  rejectedWith: optional(text, 'rejected: the answer to the sender'),
  by: optional(place, 'rejected, dropped, depends: by which rule'),
  steps: required(listOf(step), 'every table, chain and rule that it meets, in order'),
})
export type WayJson = Json<typeof way>

const traceCase = objectOf('TraceCase', {
  when: required(
    listOf(supposition),
    'all of these hold in it; empty: there are too many cases to list, and this one stands for all of them',
  ),
  fate: required(fate, 'the most likely outcome in it'),
  fates: required(listOf(fateOdds), 'every possible outcome in it, the likeliest first'),
  endpoints: required(listOf(endpoint), 'where it may arrive in it, by address and port'),
  reason: required(text, 'the verdict in it, for a person'),
})

const answerFields = {
  packet: required(packet, 'the packet, in addresses'),
  services: optional(listOf(text), 'the Services that have its destination: `namespace/name:port`'),
  certainty: required(
    oneOf('known', 'assumed', 'depends'),
    'whether the verdict follows from the rules and the input; from what is in `assumptions` as well; or depends on what is in `dependsOn`',
  ),
  fate: required(
    fate,
    'the most likely outcome, nearly always the only one; depends: it is not known, or something other than the rules decides',
  ),
  fates: required(listOf(fateOdds), 'everything that may become of it, the likeliest first'),
  endpoints: required(listOf(endpoint), 'where it may get to, by address and port'),
  assumptions: required(
    listOf(assumption),
    'facts that rules test and the input does not give, with the value that was assumed',
  ),
  dependsOn: required(listOf(dependence), 'unknown facts that the verdict depends on; empty: none'),
  cases: optional(
    listOf(traceCase),
    'the verdict in each case of `dependsOn`: the cases exclude each other; absent: it is the same in all',
  ),
  ways: required(listOf(way), 'each way that it can take; more than one where rules leave it to chance'),
  alsoLookAt: optional(
    alsoLookAtList,
    'what else affects the traffic and is not in the rules; absent: nothing that applies',
  ),
}

/** What `pointsman trace -o json` prints. */
export const trace = objectOf('Trace', {
  ...documentHead('Trace'),
  at: optional(point, 'absent where the rules are not those of a log'),
  node: optional(text, 'the node that the packet is on; absent where it is not known'),
  ...answerFields,
  otherFamily: optional(
    objectOf('OtherFamily', answerFields),
    'the same in IPv6, where the packet is for `localhost`, which is 127.0.0.1 and ::1; absent: it is for one address',
  ),
})
export type TraceJson = DocumentJson<typeof trace>

const nodeGroup = objectOf('NodeGroup', {
  nodes: required(listOf(text), 'the Nodes, by name'),
  packet: required(
    objectOf('NodePacket', {
      protocol: required(oneOf('TCP', 'UDP', 'SCTP', 'ICMP'), 'the protocol; ICMP: an echo request'),
      family: required(oneOf('IPv4', 'IPv6'), 'the family of its addresses'),
      source: required(text, 'the sender, on the first of the nodes'),
      destination: required(text, 'where it is sent to'),
      destinationPort: required(integer, 'the port there; 0: the protocol has none'),
    }),
    'the packet, in addresses',
  ),
  certainty: required(oneOf('known', 'assumed', 'depends'), 'as in a Trace'),
  fate: required(fate, 'the most likely outcome'),
  fates: required(
    listOf(
      objectOf('NodeFate', {
        fate: required(fate, 'what becomes of it'),
        odds: required(number, '0 to 1; where the verdict depends on unknown facts, the highest of any case'),
      }),
    ),
    'everything that may become of it, the likeliest first',
  ),
  endpoints: required(
    listOf(
      objectOf('NodeEndpoint', {
        address: required(text, 'where it gets to'),
        port: required(integer, 'the port there'),
        odds: required(number, '0 to 1, of getting there'),
      }),
    ),
    'where it may get to, by address and port',
  ),
})

/** What `pointsman trace --node all -o json` prints. */
export const traceOfNodes = objectOf('TraceOfNodes', {
  ...documentHead('TraceOfNodes'),
  at: optional(point, 'absent where the answer is from `--objects`'),
  packet: required(text, 'the packet, as it was written'),
  nodeCount: required(integer, 'how many Nodes the input has'),
  groups: required(listOf(nodeGroup), 'Nodes with the same answer; those where the packet reaches nothing first'),
})
export type TraceOfNodesJson = DocumentJson<typeof traceOfNodes>
