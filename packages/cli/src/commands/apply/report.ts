import type { Dataplane, ForeignReference, IpFamily, PlannedInput, RuleTool, SyncResult } from '@pointsman/core'
import type { Flows } from '../../machine/open-machine.js'
import { countOf, formatCount, formatDuration } from '../../output/format-text.js'
import { refusedItem, toolJson } from '../../output/json.js'
import type { Style } from '../../output/terminal.js'
import type { ApplySummaryJson } from './schema.js'

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

/** Chains of one service that are kept for a rule of somebody else, in sentences. Those of all services are always there. */
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
