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
