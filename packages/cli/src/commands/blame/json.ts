import {
  type BlamedRule,
  type Cause,
  type Dataplane,
  type GoneRule,
  isOddsAlone,
  type RuleChange,
  type ServiceEdit,
  whatChanged,
  whoseOdds,
} from '@pointsman/core'
import { formatTime } from '../../output/json.js'
import { authorItem } from '../log/json.js'
import { ruleItem } from '../rules/json.js'
import type { BlameItemJson, CauseJson, ChangeJson, EditJson } from './schema.js'

export type EditBehind = (cause: Cause) => ServiceEdit | undefined

/** An item of a BlameList as `docs/json.md` has it. */
export function blameItem(
  rule: BlamedRule | GoneRule,
  { editBehind, dataplane }: { readonly editBehind: EditBehind; readonly dataplane: Dataplane },
): BlameItemJson {
  const { share } = rule.item
  const port = (rule.changed.after ?? rule.changed.before)?.port
  const what = (change: RuleChange): string => whatChanged(change, rule, dataplane)
  return {
    ...ruleItem(rule.item, port),
    odds: share,
    changed: changeItem(rule.changed, isOddsAlone(rule) ? whoseOdds(rule.changed) : what(rule.changed), {
      oddsAlone: isOddsAlone(rule),
      editBehind,
    }),
    made: isOddsAlone(rule) ? changeItem(rule.made, what(rule.made), { oddsAlone: false, editBehind }) : undefined,
    removed:
      'removed' in rule ? changeItem(rule.removed, what(rule.removed), { oddsAlone: false, editBehind }) : undefined,
  }
}

interface Told {
  readonly oddsAlone: boolean
  readonly editBehind: EditBehind
}

const changeItem = ({ cause }: RuleChange, what: string, { oddsAlone, editBehind }: Told): ChangeJson => ({
  what,
  oddsAlone: oddsAlone || undefined,
  ...causeFields(cause, editBehind(cause)),
})

/** The record behind a change of a rule, and the edit behind that, as `docs/json.md` has them; none for the start of a log. */
export function causeFields(cause: Cause, behind: ServiceEdit | undefined): CauseJson {
  if (cause.type === 'start') return {}
  const { record } = cause
  const position = { seq: record.seq, time: formatTime(record.observedAt) }
  if (record.type === 'config') return position
  const { event, kind, namespace, name, resourceVersion, author } = record
  return {
    ...position,
    event,
    kind,
    namespace: namespace || undefined,
    name,
    resourceVersion: resourceVersion || undefined,
    author: author && authorItem(author),
    editBehind: behind && editItem(behind),
  }
}

export const editItem = ({ record, changes }: ServiceEdit): EditJson => ({
  seq: record.seq,
  time: formatTime(record.observedAt),
  namespace: record.namespace,
  name: record.name,
  author: record.author && authorItem(record.author),
  changes,
})
