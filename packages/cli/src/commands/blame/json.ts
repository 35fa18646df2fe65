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

export type EditBehind = (cause: Cause) => ServiceEdit | undefined

/** An item of a BlameList as `docs/json.md` has it. */
export function blameItem(
  rule: BlamedRule | GoneRule,
  { editBehind, dataplane }: { readonly editBehind: EditBehind; readonly dataplane: Dataplane },
): object {
  const { share } = rule.item
  const port = (rule.changed.after ?? rule.changed.before)?.port
  const what = (change: RuleChange): string => whatChanged(change, rule, dataplane)
  return {
    ...ruleItem(rule.item, port),
    ...(share !== undefined && { odds: share }),
    changed: changeItem(rule.changed, isOddsAlone(rule) ? whoseOdds(rule.changed) : what(rule.changed), {
      oddsAlone: isOddsAlone(rule),
      editBehind,
    }),
    ...(isOddsAlone(rule) && { made: changeItem(rule.made, what(rule.made), { oddsAlone: false, editBehind }) }),
    ...('removed' in rule && {
      removed: changeItem(rule.removed, what(rule.removed), { oddsAlone: false, editBehind }),
    }),
  }
}

interface Told {
  readonly oddsAlone: boolean
  readonly editBehind: EditBehind
}

const changeItem = ({ cause }: RuleChange, what: string, { oddsAlone, editBehind }: Told): object => ({
  what,
  ...(oddsAlone && { oddsAlone }),
  ...causeFields(cause, editBehind(cause)),
})

/** The record behind a change of a rule, and the edit behind that, as `docs/json.md` has them; none for the start of a log. */
export function causeFields(cause: Cause, behind: ServiceEdit | undefined): object {
  if (cause.type === 'start') return {}
  const { record } = cause
  const position = { seq: record.seq, time: formatTime(record.observedAt) }
  if (record.type === 'config') return position
  const { event, kind, namespace, name, resourceVersion, author } = record
  return {
    ...position,
    event,
    kind,
    ...(namespace !== '' && { namespace }),
    name,
    ...(resourceVersion !== '' && { resourceVersion }),
    ...(author && { author: authorItem(author) }),
    ...(behind && { editBehind: editItem(behind) }),
  }
}

const editItem = ({ record, changes }: ServiceEdit): object => ({
  seq: record.seq,
  time: formatTime(record.observedAt),
  namespace: record.namespace,
  name: record.name,
  ...(record.author && { author: authorItem(record.author) }),
  changes,
})
