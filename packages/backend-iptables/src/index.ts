export { rulesetContext, isLargeCluster, type RulesetContext, type RulesetOptions } from './ruleset/context.js'
export { CHAINS, endpointChainName, isServiceChain, serviceChainNames } from './ruleset/chain-names.js'
export { NFACCT_COUNTERS } from './ruleset/nfacct-counters.js'
export { planBase } from './ruleset/plan-base.js'
export { planRuleset } from './ruleset/plan-ruleset.js'
export { planService } from './ruleset/plan-service.js'
export * from './ruleset/ruleset.js'
export { ownedRules, type OwnedRule } from './render/owned-rules.js'
export { renderSave } from './render/render-save.js'
export { savedTablesOf } from './render/saved-tables-of.js'
export {
  createIptablesBackend,
  type FamilyCleanup,
  type FamilyDrift,
  type FamilyRestore,
  type IptablesBackend,
  type IptablesBackendOptions,
} from './adapter/iptables-backend.js'
export type { FamilySyncReport, TableCounts } from './adapter/family-sync-report.js'
export type { ForeignReference } from './adapter/read-found.js'
export { type CleanupPlan, type LeftChain, planCleanup } from './adapter/plan-cleanup.js'
export { type PreparedNode, prepareNode, type PrepareNodeOptions } from './adapter/prepare-node.js'
export { CONNTRACK_ERRORS, ConntrackError, type ConntrackErrorCode } from './conntrack/conntrack-error.js'
export {
  type ConntrackHook,
  type ConntrackHookOptions,
  type ConntrackReport,
  createConntrackHook,
  type FamilyFlows,
} from './conntrack/conntrack-hook.js'
export { type Flow, type FlowTuple, isTranslated } from './conntrack/flow.js'
export { parseConntrack } from './conntrack/parse-conntrack.js'
export { type FlowRules, planFlowDeletions } from './conntrack/plan-flow-deletions.js'
export { type ServedFronts, servedFrontsOf, type ServedFrontsInput } from './conntrack/served-fronts.js'
export { udpFrontsOf } from './conntrack/udp-fronts.js'
export { type Odds, toNumber as oddsToNumber } from './trace/odds.js'
export { tracePacket, type TraceQuestion } from './trace/trace-packet.js'
export * from './trace/trace.js'
export * from './trace/trace-error.js'
export type { AffinityEntry, Connection, Surroundings, TracedPacket } from './trace/traced-packet.js'
export { type ChainOwner, isEndpointChain, ownerOfChain } from './blame/owner-of-chain.js'
export * from './blame/rule-change.js'
export { createRuleHistory, type RuleHistory, type RuleHistoryOptions } from './blame/rule-history.js'
export { bareIdentityOf, identityOf, oddsOf } from './blame/rule-identity.js'
export { type FrontWay, frontWays } from './ruleset/front-ways.js'
export { type Blame, type BlameQuestion, blameRules } from './blame/blame-rules.js'
export { findChain, type FoundChain } from './blame/find-chain.js'
export { whatChanged, whoseOdds } from './blame/what-changed.js'
export { countRules } from './adapter/count-rules.js'
export { auditMarkBit } from './audit/audit-mark-bit.js'
export { auditOtherVariant } from './audit/audit-other-variant.js'
export { type AuditOptions, auditTables } from './audit/audit-tables.js'
export { readTables } from './audit/text-tables.js'
export { AUDIT_FINDINGS, type AuditFinding, type FindingType } from './audit/finding.js'
export { type ChainDifference, diffRules, type RuleDifference } from './diff/diff-rules.js'
export { diffRulesAt, type RulesAt } from './diff/diff-rules-at.js'
export { IPTABLES_BACKEND_ERRORS, type RefusedService, ServicesRefusedError } from './adapter/services-refused-error.js'
