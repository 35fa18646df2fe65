import {
  documentHead,
  type DocumentJson,
  flag,
  integer,
  listOf,
  objectOf,
  oneOf,
  oneOfNames,
  optional,
  refusedServicePort,
  required,
  text,
} from '../../output/schema.js'

const family = oneOf('IPv4', 'IPv6')

const restore = objectOf('Restore', {
  family: required(family, 'of which iptables-restore'),
  lines: required(listOf(text), 'its input, a line each'),
})

const flows = objectOf('Flows', {
  listed: required(integer, 'that were looked at'),
  deleted: required(integer, 'of these, those that were deleted, because nothing serves them any more'),
})

const left = objectOf('Left', {
  table: required(text, 'the table'),
  chain: required(text, 'a chain of ours'),
  rule: required(text, 'the rule that leads to it and is not ours, as iptables-save prints it'),
})

/** What `pointsman apply -o json` prints. */
export const applySummary = objectOf('ApplySummary', {
  ...documentHead('ApplySummary'),
  dryRun: required(flag, 'true: nothing was changed, and the fields from `rules` to `left` are absent'),
  node: optional(text, 'the node that the rules are for; absent where the objects have no Node'),
  families: required(listOf(family), 'the families that were written'),
  variant: required(oneOfNames('nft', 'legacy'), 'the variant of iptables'),
  iptables: required(text, 'its version'),
  servicePorts: required(integer, 'service ports of these families'),
  rules: optional(integer, "the proxy's rules in force now"),
  bytes: optional(integer, 'bytes that were restored; 0 where all was as it should be'),
  digest: optional(text, 'of what is in force: equal states and configurations give equal digests'),
  durationMs: optional(integer, 'how long it took'),
  flows: optional(flows, 'UDP flows, as conntrack(8) has them; both 0 where that is not installed'),
  left: optional(listOf(left), 'chains that are kept, needed or not, because rules of others lead to them'),
  refused: optional(listOf(refusedServicePort), 'service ports that kept their previous rules; absent where none did'),
  restores: optional(listOf(restore), 'of a dry run: what would be restored, a family after the other'),
})
export type ApplySummaryJson = DocumentJson<typeof applySummary>
