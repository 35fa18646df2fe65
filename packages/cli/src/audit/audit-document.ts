import type { AuditFinding } from '@pointsman/core'
import { causeFields } from '../commands/blame/json.js'
import { type Document, pointOf } from '../output/json.js'
import type { AuditReport } from './audit-report.js'
import type { FindingCause } from './find-causes.js'

/** The AuditReport of `docs/json.md`, without its items. */
export const auditHead = ({ dataplane, asked, node, read, findings }: AuditReport): Document => ({
  kind: 'AuditReport',
  ...pointOf(asked),
  ...(node && { node: node.name }),
  layout: dataplane.layouts[0],
  clean: findings.length === 0,
  tables: read.map(({ family, rules: { variant, version, count } }) => ({
    family,
    ...(variant !== undefined && { variant }),
    ...(version !== undefined && { iptables: version }),
    rules: count,
  })),
})

/** Its items, one a finding. */
export const auditItems = ({ dataplane, findings, state, causes }: AuditReport): readonly object[] =>
  findings.map((finding) => {
    const { type, family, variant, table, chain, owner, expected, found } = finding
    const port = owner && state.services.get(owner)
    const cause = causes.get(finding)
    return {
      type,
      meaning: dataplane.findings[type]?.meaning ?? type,
      family,
      ...(variant && { variant }),
      ...(table !== '' && { table }),
      ...(chain !== '' && { chain }),
      ...(port ? portFields(port) : claimFields(finding)),
      ...(expected && { expected: expected.map(({ line }) => line) }),
      ...(found && { found: found.map(({ line }) => line) }),
      ...(cause && { cause: causeItem(cause) }),
      toDo: dataplane.toDo(finding),
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

function claimFields({ claims }: AuditFinding): object {
  const [service, portName] = (claims ?? '').split(':')
  return claims === undefined ? {} : { service, ...(portName !== undefined && { portName }) }
}

const causeItem = ({ did, change: { cause }, what, behind }: FindingCause): object => ({
  did,
  what,
  ...causeFields(cause, behind),
})
