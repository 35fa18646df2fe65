// Running iptables.
export { createIptables, type IptablesOptions } from './create-iptables.js'
export {
  type ChainPlace,
  type Iptables,
  type Limits,
  type RestoreOptions,
  type RulePlace,
  type SaveOptions,
  capabilitiesOf,
  type Capabilities,
  type Variant,
} from './iptables.js'
export type { RestoreInput } from './restore-input.js'
export { type VariantChoice, type VariantHints, type Family } from './detect-variant.js'

export {
  IPTABLES_ERRORS,
  IptablesError,
  type IptablesErrorCode,
  type IptablesErrorDetails,
  type LockHolder,
  type NumberedLine,
  type RestoreFailure,
} from './iptables-error.js'

export { runProcess, searchPath, type Run, type RunRequest, type RunResult } from './run-process.js'

// What others do to the tables.
export {
  watchChanges,
  type CanaryOptions,
  type MonitorOptions,
  type WatchOptions,
  type Sleep,
  type Generation,
  type Listening,
  type TableChange,
  type Watchers,
} from './watch/watch-changes.js'

export {
  hasNftTable,
  nftGeneration,
  ownProcesses,
  processMatchHere,
  type OwnProcesses,
  type OwnProcessesOptions,
} from './watch/watch-generations.js'

export { endOrphans, type Orphan } from './orphans.js'

export { createWitness, type TableWitness, type Witness } from './watch/table-witness.js'

export { watchFirewalld, type FirewalldReload, type FirewalldWatchOptions } from './watch/watch-firewalld.js'
export { BUS_ERRORS, BusError, type BusErrorCode } from './watch/system-bus.js'

// Text of iptables-save and iptables-restore, and rules as data.
export {
  formatSave,
  parseSave,
  parseSaveLines,
  saveLinesOf,
  type SavedChain,
  type SavedRule,
  type SavedTable,
} from './rules/saved-tables.js'

export { formatRestoreLine, parseRestoreLine, type RestoreLine } from './rules/restore-line.js'
export { formatRule, IptablesFormatError } from './rules/format-rule.js'
export type * from './rules/rule.js'
export { STATISTIC_CHANCES } from './rules/extensions/matches.js'
export { addressOf, networkOf } from './rules/networks.js'
export {
  IPTABLES_PARSE_ERRORS,
  IptablesParseError,
  type IptablesParseErrorCode,
  type ParseErrorPlace,
} from './rules/parse-rule.js'
