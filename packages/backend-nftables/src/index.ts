export { planNftables, type NftPlan } from './plan/rule-plan.js'
