import { LAYOUTS } from '@pointsman/core'
import { DATAPLANES } from '../../dataplanes.js'
import {
  documentHead,
  type DocumentJson,
  flag,
  integer,
  type Json,
  listOf,
  objectOf,
  oneOf,
  oneOfNames,
  optional,
  point,
  required,
  text,
} from '../../output/schema.js'
import { causeFields } from '../blame/schema.js'

const cause = objectOf('Cause', {
  did: required(oneOf('made', 'removed'), 'made the rule that should be there, or removed the one that should not'),
  what: required(text, 'what changed, for people; the words may change'),
  ...causeFields,
})
export type FindingCauseJson = Json<typeof cause>

/** An item of it: what `-o jsonl` prints. */
export const finding = objectOf('Finding', {
  type: required(
    oneOfNames(...new Set(DATAPLANES.flatMap(({ findings }) => Object.keys(findings)))),
    'what it is, for a script',
  ),
  meaning: required(text, 'the same for people; the words may change'),
  detail: optional(text, 'what was recognized, for people; the words may change'),
  count: optional(
    integer,
    'how often the rule is there, or how many differences the setting explains; absent: once, or one',
  ),
  family: required(oneOf('IPv4', 'IPv6'), 'of which tables'),
  variant: optional(oneOfNames('nft', 'legacy'), 'of which iptables; absent with `--rules`'),
  table: optional(text, 'the table; absent: all of them'),
  chain: optional(text, "the chain; absent: all of the table's"),
  service: optional(
    text,
    '`namespace/name` of the Service whose rule it is, or in its comment says to be; absent: of none',
  ),
  portName: optional(text, "the Service's port; absent where that has no name"),
  protocol: optional(oneOf('TCP', 'UDP', 'SCTP'), 'of that port; absent where a comment alone says whose it is'),
  expected: optional(listOf(text), 'the rules that should be there, in order, as iptables-save prints them'),
  found: optional(listOf(text), 'the rules that are there'),
  cause: optional(cause, 'the record that the rule goes back to; absent without a log, and for what no proxy writes'),
  toDo: required(text, 'what to do, in one line for people; the words may change'),
})
export type FindingJson = Json<typeof finding>

const tables = objectOf('Tables', {
  family: required(oneOf('IPv4', 'IPv6'), 'of which iptables'),
  variant: optional(oneOfNames('nft', 'legacy'), 'of which variant; absent with `--rules`'),
  iptables: optional(text, 'its version; absent with `--rules` and in mode nftables'),
  nft: optional(text, 'the version of nft(8); absent in mode iptables'),
  rules: required(integer, "of the proxy: in its chains, and those of the kernel's chains that lead there"),
})

const note = objectOf('Note', {
  family: required(oneOf('IPv4', 'IPv6'), 'of which tables'),
  text: required(text, 'the note, for people; the words may change'),
  found: required(listOf(text), 'the rules that it is about, in their order'),
})

/** What `pointsman audit -o json` prints. */
export const auditReport = objectOf('AuditReport', {
  ...documentHead('AuditReport'),
  at: optional(point, 'what the tables were compared with; absent where that is from `--objects`'),
  node: optional(text, 'the node that the rules are for; absent where the input has no Node'),
  layout: required(
    oneOfNames(...LAYOUTS),
    "whose rules they should be like: kube-proxy 1.36's (current, kube-proxy) or 1.20's (classic), or our own (compact)",
  ),
  clean: required(flag, 'whether there is no finding'),
  tables: required(listOf(tables), 'the tables that were looked at'),
  notes: required(
    listOf(note),
    'what is not wrong and worth knowing, such as which of the Services that claim one address and port is first on this node',
  ),
  items: required(listOf(finding), 'the findings, by family and table'),
})
export type AuditReportJson = DocumentJson<typeof auditReport>
