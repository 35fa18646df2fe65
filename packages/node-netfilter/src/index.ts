export {
  generation,
  watchGenerations,
  type Generation,
  type GenerationNow,
  type GenerationWatch,
  type GenerationWatchOptions,
} from './generations.js'

export {
  NETFILTER_ERRORS,
  NetfilterError,
  type NetfilterErrorCode,
  type NetfilterErrorDetails,
} from './netfilter-error.js'

export {
  deleteFlows,
  listFlows,
  type ConntrackCallOptions,
  type FlowFilter,
  type FlowTuple,
  type TrackedFlow,
} from './conntrack.js'

export { addressBytes, addressText, type Family } from './addresses.js'

export { hasTable, ruleHandles, type ChainPlace, type TablePlace } from './tables.js'

export {
  commitElements,
  findElement,
  readElements,
  type CommitOptions,
  type ElementChange,
  type SetElement,
  type SetPlace,
  type SetVerdict,
} from './set-elements.js'
