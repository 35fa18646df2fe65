import {
  type BlamedRule,
  type Cause,
  type GoneRule,
  isOddsAlone,
  oddsOf,
  type RuleChange,
  whatChanged,
  whoseOdds,
} from '@pointsman/backend-iptables'
import type { ServiceEdit } from '@pointsman/core'
import { STATISTIC_CHANCES } from 'node-iptables'
import { authorItem } from '../history/record-item.js'
import { formatTime } from '../output/json.js'
import { ruleItem } from '../rules/rule-list.js'

export type EditBehind = (cause: Cause) => ServiceEdit | undefined

/** An item of a BlameList as `docs/json.md` has it. */
export function blameItem(rule: BlamedRule | GoneRule, editBehind: EditBehind): object {
  const odds = oddsOf(rule.rule)
  const port = (rule.changed.after ?? rule.changed.before)?.port
  return {
    ...ruleItem(rule, port),
    ...(odds && { odds: odds.chances / STATISTIC_CHANCES }),
    changed: changeItem(rule.changed, isOddsAlone(rule) ? whoseOdds(rule.changed) : whatChanged(rule.changed, rule), {
      oddsAlone: isOddsAlone(rule),
      editBehind,
    }),
    ...(isOddsAlone(rule) && {
      made: changeItem(rule.made, whatChanged(rule.made, rule), { oddsAlone: false, editBehind }),
    }),
    ...('removed' in rule && {
      removed: changeItem(rule.removed, whatChanged(rule.removed, rule), { oddsAlone: false, editBehind }),
    }),
  }
}

interface Told {
  readonly oddsAlone: boolean
  readonly editBehind: EditBehind
}

function changeItem({ cause }: RuleChange, what: string, { oddsAlone, editBehind }: Told): object {
  const head = { what, ...(oddsAlone && { oddsAlone }) }
  if (cause.type === 'start') return head
  const { record } = cause
  const position = { seq: record.seq, time: formatTime(record.observedAt), ...head }
  if (record.type === 'config') return position
  const { event, kind, namespace, name, resourceVersion, author } = record
  const behind = editBehind(cause)
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
