export { type Effort } from './effort.js'
export { allOf, anyOf, assumed, claimed, type Finding, known, negatedIf } from './finding.js'
export { type BaseChain, type NodeRules, type OtherProxy } from './hooks.js'
export * from './judge-fields.js'
export * from './networks.js'
export {
  ALL_BITS,
  isOwnAddress,
  knownMark,
  type Mark,
  mixedMark,
  type OriginalTuple,
  type PacketState,
  type PartialWay,
  setBits,
  startOf,
} from './packet-state.js'
export {
  ALWAYS,
  type Case,
  type Claim,
  type Evaluated,
  evaluateInCases,
  type InCases,
  truthIn,
  type When,
} from './suppositions.js'
export { HookedRules, traceTogether } from './together.js'
export { tracePacket } from './trace-packet.js'
export * from './translate.js'
export {
  type ChainPlace,
  type Meeting,
  type Met,
  NFT_DEPTH,
  type RuleSystem,
  walkChain,
  type WalkContext,
} from './walk-chain.js'
