import { type FamilyRestore, type ForeignReference, isServiceChain } from '@pointsman/backend-iptables'
import type { IpFamily, SyncResult } from '@pointsman/core'
import type { Iptables } from 'node-iptables'
import type { Flows } from '../machine/open-backend.js'
import { describeIptables } from '../machine/open-iptables.js'
import type { Style } from '../output/colour.js'
import { countOf, formatDuration } from '../output/duration.js'
import type { Document } from '../output/json.js'

/** Where rules went, or would go. */
export interface Target {
  readonly node: string | undefined
  readonly iptables: Pick<Iptables, 'capabilities'>
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
  const amount = `${countOf(result.rules, 'rule')} for ${countOf(target.servicePorts, 'service port')}`
  const where = `${target.families.join(' and ')} with ${describeIptables(target.iptables)}`
  const time = formatDuration(durationMs)
  const done =
    result.bytes === 0
      ? `${style.bold('nothing to do')}: all ${amount} are there already, in ${where}; checked in ${time}`
      : `${style.bold(`applied ${amount}`)} to ${where}: ${countOf(result.bytes, 'byte')} restored in ${time}`
  const deleted =
    flows.deleted === 0 ? [] : [`deleted ${countOf(flows.deleted, 'UDP flow')} that nothing serves any more`]
  return [done, ...deleted]
}

/** Chains of one service that are kept for a rule of somebody else, in sentences. Those of all services are always there. */
export const leftTexts = (left: readonly ForeignReference[]): readonly string[] =>
  left
    .filter(({ chain }) => isServiceChain(chain))
    .map(
      ({ table, from, rule, chain }) =>
        `${chain} in ${table} stays whatever becomes of its service, because of a rule that is not ours: -A ${from} ${rule}`,
    )

const targetItem = ({ node, iptables, families, servicePorts }: Target): object => ({
  ...(node !== undefined && { node }),
  families,
  variant: iptables.capabilities.variant,
  iptables: iptables.capabilities.version,
  servicePorts,
})

export const appliedDocument = (applied: Applied): Document => ({
  kind: 'ApplySummary',
  dryRun: false,
  ...targetItem(applied),
  rules: applied.result.rules,
  bytes: applied.result.bytes,
  digest: applied.result.digest,
  durationMs: Math.round(applied.durationMs),
  flows: applied.flows,
  left: applied.left.map(({ table, chain, from, rule }) => ({ table, chain, rule: `-A ${from} ${rule}` })),
})

export const dryRunDocument = (target: Target, restores: readonly FamilyRestore[]): Document => ({
  kind: 'ApplySummary',
  dryRun: true,
  ...targetItem(target),
  restores: restores.map(({ family, lines }) => ({ family, lines: [...lines] })),
})

/** What would be given to iptables-restore, one family after the other. */
export function* dryRunLines(target: Target, restores: readonly FamilyRestore[]): Generator<string, void, undefined> {
  const { variant } = target.iptables.capabilities
  for (const { family, lines } of restores) {
    let count = 0
    for (const line of lines) {
      if (count === 0)
        yield `# ${family}: ${family === 'IPv4' ? 'iptables' : 'ip6tables'}-${variant}-restore --noflush --counters`
      count += 1
      yield line
    }
    if (count === 0) yield `# ${family}: nothing to restore`
  }
}
