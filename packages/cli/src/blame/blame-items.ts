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
import { ruleItem } from '../rules/rule-list.js'
import { causeFields } from './cause-fields.js'

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

const changeItem = ({ cause }: RuleChange, what: string, { oddsAlone, editBehind }: Told): object => ({
  what,
  ...(oddsAlone && { oddsAlone }),
  ...causeFields(cause, editBehind(cause)),
})
