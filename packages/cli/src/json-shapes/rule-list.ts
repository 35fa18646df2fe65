import { documentHead, point } from './document-head.js'
import { listOf, objectOf, oneOf, optional, required, text } from './shape.js'

/** What every rule says of itself. */
export const ruleFields = {
  table: required(oneOf('mangle', 'filter', 'nat'), 'the table'),
  chain: required(text, 'the chain'),
  rule: required(text, 'the line that iptables-save prints: `-A CHAIN ...`'),
  service: optional(
    text,
    '`namespace/name` of the Service that it is for; absent: a rule that is there whatever Services there are',
  ),
  portName: optional(text, "the Service's port; absent where that has no name"),
  protocol: optional(oneOf('TCP', 'UDP', 'SCTP'), 'of that port'),
}

/** An item of it: what `-o jsonl` prints. */
export const ruleItemShape = objectOf('Rule', ruleFields)

/** What `pointsman render -o json` and `pointsman rules -o json` print. */
export const ruleList = objectOf('RuleList', {
  ...documentHead('RuleList'),
  at: optional(point, 'absent where the answer is from `--objects`'),
  node: optional(text, 'the node that the rules are for; absent where the input has no Node'),
  family: required(oneOf('IPv4', 'IPv6'), 'of which iptables the rules are'),
  layout: required(oneOf('current'), "whose rules they are like: kube-proxy 1.36's"),
  items: required(listOf(ruleItemShape), 'the rules of every chain, in the order in which iptables-save prints them'),
})
