import {
  documentHead,
  type DocumentJson,
  flag,
  integer,
  listOf,
  objectOf,
  oneOf,
  oneOfNames,
  required,
  text,
} from '../../output/schema.js'

const chain = objectOf('Chain', {
  table: required(text, 'the table'),
  chain: required(text, 'the chain'),
})

const left = objectOf('Left', {
  table: required(text, 'the table'),
  chain: required(
    text,
    'the chain: as it was where `becauseOf` is empty, which is KUBE-FIREWALL; else without its rules',
  ),
  becauseOf: required(listOf(text), 'the rules that lead to it and are not ours, as iptables-save prints them'),
})

const tables = objectOf('Tables', {
  family: required(oneOf('IPv4', 'IPv6'), 'of which tables'),
  variant: required(oneOfNames('nft', 'legacy'), 'of which variant of iptables'),
  iptables: required(text, 'its version'),
  removedRules: required(integer, "rules that were removed, the jumps from the kernel's chains included"),
  removedChains: required(listOf(chain), 'chains that were removed'),
  left: required(listOf(left), 'chains that were not'),
})

/** What `pointsman cleanup -o json` prints. */
export const cleanupSummary = objectOf('CleanupSummary', {
  ...documentHead('CleanupSummary'),
  dryRun: required(flag, 'true: nothing was changed, and this is what would be'),
  items: required(listOf(tables), 'the tables of each family and variant that was looked at'),
})
export type CleanupSummaryJson = DocumentJson<typeof cleanupSummary>
