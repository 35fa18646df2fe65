import { AUDIT_FINDINGS, countRules } from '@pointsman/backend-iptables'
import { causeFields } from '../commands/blame/json.js'
import { type Document, pointOf } from '../output/json.js'
import type { AuditReport } from './audit-report.js'
import type { FindingCause } from './find-causes.js'
import type { PlacedFinding } from './find-findings.js'
import { whatToDo } from './what-to-do.js'

/** The AuditReport of `docs/json.md`, without its items. */
export const auditHead = ({ asked, node, read, findings }: AuditReport): Document => ({
  kind: 'AuditReport',
  ...pointOf(asked),
  ...(node && { node: node.name }),
  layout: 'current',
  clean: findings.length === 0,
  tables: read.map((tables) => ({
    family: tables.family,
    ...(tables.variant && { variant: tables.variant }),
    ...(tables.version !== undefined && { iptables: tables.version }),
    rules: countRules(tables.tables),
  })),
})

/** Its items, one a finding. */
export const auditItems = ({ findings, state, causes }: AuditReport): readonly object[] =>
  findings.map((finding) => {
    const { type, family, variant, table, chain, owner, expected, found } = finding
    const port = owner && state.services.get(owner)
    const cause = causes.get(finding)
    return {
      type,
      meaning: AUDIT_FINDINGS[type],
      family,
      ...(variant && { variant }),
      ...(table !== '' && { table }),
      ...(chain !== '' && { chain }),
      ...(port ? portFields(port) : claimFields(finding)),
      ...(expected && { expected }),
      ...(found && { found }),
      ...(cause && { cause: causeItem(cause) }),
      toDo: whatToDo(finding),
    }
  })

const portFields = ({
  service,
  portName,
  protocol,
}: {
  readonly service: string
  readonly portName: string
  readonly protocol: string
}): object => ({ service, ...(portName !== '' && { portName }), protocol })

function claimFields({ claims }: PlacedFinding): object {
  const [service, portName] = (claims ?? '').split(':')
  return claims === undefined ? {} : { service, ...(portName !== undefined && { portName }) }
}

const causeItem = ({ did, change: { cause }, what, behind }: FindingCause): object => ({
  did,
  what,
  ...causeFields(cause, behind),
})
