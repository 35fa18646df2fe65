export { iptablesDataplane } from './dataplane.js'
export { rulesetContext, isLargeCluster, type RulesetContext, type RulesetOptions } from './ruleset/context.js'
export { CHAINS, endpointChainName, isServiceChain, serviceChainNames } from './ruleset/chain-names.js'
export { NFACCT_COUNTERS, planBase } from './ruleset/base-rules.js'
export { planRuleset, planService } from './ruleset/service-rules.js'

export * from './ruleset/ruleset.js'
export { OwnedRule, ownedRules, renderSave, savedTablesOf } from './render/owned-rules.js'
export {
  createIptablesBackend,
  type FamilyCleanup,
  type FamilyRestore,
  type IptablesBackend,
  type IptablesBackendOptions,
} from './adapter/iptables-backend.js'
export type { ForeignReference } from './adapter/read-found.js'
export { type CleanupPlan, type LeftChain, planCleanup } from './adapter/plan-cleanup.js'
export { type PreparedNode, prepareNode, type PrepareNodeOptions } from './adapter/prepare-node.js'
export { tracePacket, type TablesQuestion } from './trace/trace-packet.js'
export { countRules } from './adapter/ruleset-digest.js'
export { auditMarkBit, auditOtherVariant } from './audit/audit-others.js'
export { type AuditOptions, auditTables } from './audit/audit-tables.js'
export { readTables } from './audit/text-tables.js'
export { AUDIT_FINDINGS, type FindingType, type TableFinding } from './audit/finding.js'
export { IPTABLES_BACKEND_ERRORS, type RefusedService, ServicesRefusedError } from './adapter/refused-services.js'
