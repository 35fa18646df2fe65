import type { Dataplane, ForeignReference, IpFamily, PlannedInput, RuleTool, SyncResult } from '@pointsman/core'
import type { Flows } from '../../machine/open-machine.js'
import { countOf, formatCount, formatDuration } from '../../output/format-text.js'
import { refusedItem, toolJson } from '../../output/json.js'
import {
  documentHead,
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
  type DocumentJson,
} from '../../output/schema.js'
import type { Style } from '../../output/terminal.js'

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
  variant: optional(oneOfNames('nft', 'legacy'), 'the variant of iptables; absent in mode nftables'),
  iptables: optional(text, 'its version; absent in mode nftables'),
  nft: optional(text, 'the version of nft(8); absent in mode iptables'),
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
type ApplySummaryJson = DocumentJson<typeof applySummary>

/** Where rules went, or would go. */
export interface Target {
  readonly node: string | undefined
  readonly tool: RuleTool
  readonly families: readonly IpFamily[]
  /** Service ports of these families. */
  readonly servicePorts: number
}

export interface Applied extends Target {
  readonly result: SyncResult
  readonly durationMs: number
  readonly left: readonly ForeignReference[]
  readonly flows: Readonly<Flows>
}

export function appliedText({ result, durationMs, flows, ...target }: Applied, style: Style): readonly string[] {
  const refused = result.refused.length
  const kept =
    refused === 0 ? '' : `, of which ${formatCount(refused)} kept ${refused === 1 ? 'its' : 'their'} previous rules`
  const amount = `${countOf(result.rules, 'rule')} for ${countOf(target.servicePorts, 'service port')}${kept}`
  const where = `${target.families.join(' and ')} with ${target.tool.name}`
  const time = formatDuration(durationMs)
  const done =
    result.bytes === 0 && refused === 0
      ? `${style.bold('nothing to do')}: all ${amount} are there already, in ${where}; checked in ${time}`
      : `${style.bold(`applied ${amount}`)} to ${where}: ${countOf(result.bytes, 'byte')} restored in ${time}`
  const deleted =
    flows.deleted === 0 ? [] : [`deleted ${countOf(flows.deleted, 'UDP flow')} that nothing serves any more`]
  return [done, ...deleted]
}

/** Chains of one service that are kept for a rule of another program, in sentences. Those of all services are always there. */
export const leftTexts = (
  left: readonly ForeignReference[],
  dataplane: Pick<Dataplane, 'isServiceChain'>,
): readonly string[] =>
  left
    .filter(({ chain }) => dataplane.isServiceChain(chain))
    .map(
      ({ table, line, chain }) =>
        `${chain} in ${table} stays whatever becomes of its service, because of a rule that is not ours: ${line}`,
    )

type TargetJson = Pick<ApplySummaryJson, 'node' | 'families' | 'variant' | 'iptables' | 'servicePorts'>

const targetItem = ({ node, tool, families, servicePorts }: Target): TargetJson => ({
  node,
  families,
  ...toolJson(tool),
  servicePorts,
})

export const appliedDocument = (applied: Applied): ApplySummaryJson => ({
  kind: 'ApplySummary',
  dryRun: false,
  ...targetItem(applied),
  rules: applied.result.rules,
  bytes: applied.result.bytes,
  digest: applied.result.digest,
  durationMs: Math.round(applied.durationMs),
  flows: applied.flows,
  left: applied.left.map(({ table, chain, line }) => ({ table, chain, rule: line })),
  refused: applied.result.refused.length === 0 ? undefined : applied.result.refused.map(refusedItem),
})

export const dryRunDocument = (target: Target, restores: readonly PlannedInput[]): ApplySummaryJson => ({
  kind: 'ApplySummary',
  dryRun: true,
  ...targetItem(target),
  restores: restores.map(({ family, lines }) => ({ family, lines: [...lines] })),
})

/** What would be given to the tool, one family after the other. */
export function* dryRunLines(restores: readonly PlannedInput[]): Generator<string, void, undefined> {
  for (const { family, command, lines } of restores) {
    yield lines.length === 0 ? `# ${family}: nothing to restore` : `# ${family}: ${command}`
    yield* lines
  }
}
