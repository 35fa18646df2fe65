// Running iptables.
export { createIptables, type IptablesOptions } from './create-iptables.js'
export type { ChainPlace, Iptables, Limits, RestoreOptions, RulePlace, SaveOptions } from './iptables.js'
export type { RestoreInput } from './restore-input.js'
export { capabilitiesOf } from './capabilities.js'
export type { Capabilities, Variant } from './capabilities.js'
export type { VariantChoice, VariantHints } from './detect-variant.js'
export type { Family } from './executables.js'
export { IPTABLES_ERRORS, IptablesError } from './iptables-error.js'
export type {
  IptablesErrorCode,
  IptablesErrorDetails,
  LockHolder,
  NumberedLine,
  RestoreFailure,
} from './iptables-error.js'
export { runProcess, searchPath } from './run-process.js'
export type { Run, RunRequest, RunResult } from './run-process.js'

// What others do to the tables.
export { watchChanges } from './watch/watch-changes.js'
export type { CanaryOptions, MonitorOptions, WatchOptions } from './watch/watch-changes.js'
export { ownProcesses } from './watch/own-processes.js'
export type { OwnProcesses, OwnProcessesOptions } from './watch/own-processes.js'
export type { Sleep } from './watch/sleep.js'
export type { Generation, TableChange, Watchers } from './watch/table-change.js'

// Text of iptables-save and iptables-restore, and rules as data.
export { formatSave, parseSave, parseSaveLines, saveLinesOf } from './rules/saved-tables.js'
export type { SavedChain, SavedRule, SavedTable } from './rules/saved-tables.js'
export { formatRestoreLine, parseRestoreLine } from './rules/restore-line.js'
export type { RestoreLine } from './rules/restore-line.js'
export { formatRule } from './rules/format-rule.js'
export type * from './rules/rule.js'
export { STATISTIC_CHANCES } from './rules/extensions/statistic.js'
export { addressOf, networkOf } from './rules/networks.js'
export { IPTABLES_PARSE_ERRORS, IptablesParseError } from './rules/parse-error.js'
export type { IptablesParseErrorCode, ParseErrorPlace } from './rules/parse-error.js'
export { IptablesFormatError } from './rules/format-error.js'
