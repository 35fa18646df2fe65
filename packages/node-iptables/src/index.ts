export { capabilitiesOf } from './capabilities.js'
export type { Capabilities, Variant } from './capabilities.js'
export { createIptables, type IptablesOptions } from './create-iptables.js'
export type { VariantChoice, VariantHints } from './detect-variant.js'
export type { Family } from './executables.js'
export type { ChainPlace, Iptables, Limits, RestoreOptions, RulePlace, SaveOptions } from './iptables.js'
export { IPTABLES_ERRORS, IptablesError } from './iptables-error.js'
export type {
  IptablesErrorCode,
  IptablesErrorDetails,
  LockHolder,
  RestoreFailure,
  RestoreLine,
} from './iptables-error.js'
export { runProcess } from './run-process.js'
export type { Run, RunRequest, RunResult } from './run-process.js'
export { ownProcesses } from './watch/own-processes.js'
export type { OwnProcesses, OwnProcessesOptions } from './watch/own-processes.js'
export type { Sleep } from './watch/sleep.js'
export type { Generation, TableChange, Watchers } from './watch/table-change.js'
export { watchChanges } from './watch/watch-changes.js'
export type { CanaryOptions, MonitorOptions, WatchOptions } from './watch/watch-changes.js'
