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
import { ruleItem } from '../rules/rule-list.js'
import { causeFields } from './cause-fields.js'

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
