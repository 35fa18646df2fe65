import type { PointJson } from '../../output/schema.js'
import { fateItem } from '../bisect/json.js'
import { type Difference, MIGRATION_REASONS } from './compare-modes.js'
import type { Migration } from './command.js'
import type { OtherRule } from './other-rules.js'
import type { ChangeJson, MigrationJson, OtherRuleJson } from './schema.js'

/** A Migration as `docs/json.md` has it. */
export function migrationDocument(
  { from, to, node, comparison, notes, otherRules }: Migration,
  at: PointJson | undefined,
): MigrationJson {
  return {
    kind: 'Migration',
    at,
    node,
    from,
    to,
    services: comparison.services,
    changedServices: comparison.changed.size,
    classes: comparison.classes,
    items: comparison.differences.map(changeItem),
    notes: notes.map(({ code, message }) => ({ code, message })),
    otherRules: otherRules?.map(otherRuleItem),
  }
}

const changeItem = ({ target, addresses, senders, before, after, changes, reasons }: Difference): ChangeJson => ({
  service: target.service,
  servicePort: target.servicePort,
  type: target.type,
  family: target.family,
  protocol: target.protocol,
  addresses,
  port: target.port,
  nodeAddress: target.of,
  assumed: target.assumed,
  senders,
  changes,
  reasons: reasons.map((code) => ({ code, message: MIGRATION_REASONS[code] })),
  before: fateItem(before),
  after: fateItem(after),
})

const otherRuleItem = ({ table, chain, line, on, what, program, message }: OtherRule): OtherRuleJson => ({
  table,
  chain,
  rule: line,
  on,
  what,
  program,
  message,
})
