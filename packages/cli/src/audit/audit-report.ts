import type { AuditFinding, Dataplane, FamilyRules, NodeInfo, State } from '@pointsman/core'
import type { AskedObjects } from '../input/asked-objects.js'
import type { FindingCause } from './find-causes.js'
import type { TableSource } from './table-source.js'

/** All that an audit has to say. */
export interface AuditReport {
  readonly dataplane: Dataplane
  readonly asked: AskedObjects
  readonly state: Pick<State, 'services' | 'endpoints'>
  readonly node: NodeInfo | undefined
  readonly source: Pick<TableSource, 'name'>
  readonly read: readonly FamilyRules[]
  readonly findings: readonly AuditFinding[]
  readonly causes: ReadonlyMap<AuditFinding, FindingCause>
}
