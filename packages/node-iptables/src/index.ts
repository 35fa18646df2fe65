export { capabilitiesOf } from './capabilities.js'
export type { Capabilities, Variant } from './capabilities.js'
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
