import type { AuditFinding } from '@pointsman/core'
import { pointOf } from '../../output/json.js'
import { causeFields } from '../blame/json.js'
import type { AuditReport } from './answer.js'
import type { FindingCause } from './causes.js'
import type { AuditReportJson, FindingCauseJson, FindingJson } from './schema.js'

/** The AuditReport of `docs/json.md`, without its items. */
export const auditHead = ({
  layout,
  asked,
  node,
  read,
  findings,
  notes,
}: AuditReport): Omit<AuditReportJson, 'items'> => ({
  kind: 'AuditReport',
  at: pointOf(asked),
  node: node?.name,
  layout,
  clean: findings.length === 0,
  tables: read.map(({ family, rules: { variant, version, count } }): AuditReportJson['tables'][number] => ({
    family,
    variant,
    iptables: version,
    rules: count,
  })),
  notes: notes.map(({ family, text, found }) => ({ family, text, found: found.map(({ line }) => line) })),
})

/** Its items, one a finding. */
export const auditItems = ({ dataplane, findings, state, causes }: AuditReport): readonly FindingJson[] =>
  findings.map((finding): FindingJson => {
    const { type, family, variant, table, chain, owner, detail, count, expected, found } = finding
    const port = owner && state.services.get(owner)
    const cause = causes.get(finding)
    return {
      type,
      meaning: dataplane.findings[type]?.meaning ?? type,
      detail,
      count,
      family,
      variant: variant || undefined,
      table: table || undefined,
      chain: chain || undefined,
      ...(port ? portFields(port) : claimFields(finding)),
      expected: expected?.map(({ line }) => line),
      found: found?.map(({ line }) => line),
      cause: cause && causeItem(cause),
      toDo: dataplane.toDo(finding),
    }
  })

type OwnerJson = Pick<FindingJson, 'service' | 'portName' | 'protocol'>

const portFields = ({
  service,
  portName,
  protocol,
}: {
  readonly service: string
  readonly portName: string
  readonly protocol: FindingJson['protocol']
}): OwnerJson => ({ service, portName: portName || undefined, protocol })

function claimFields({ claims }: AuditFinding): OwnerJson {
  const [service, portName] = (claims ?? '').split(':')
  return claims === undefined ? {} : { service, portName }
}

const causeItem = ({ did, change: { cause }, what, behind }: FindingCause): FindingCauseJson => ({
  did,
  what,
  ...causeFields(cause, behind),
})
