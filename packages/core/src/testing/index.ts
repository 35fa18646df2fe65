// Not here: arbitraries.ts, which would make fast-check a dependency of everybody who asks for a builder.
export * from './backend-contract.js'
export * from './state-builder.js'
export { canonicalState } from './canonical-state.js'
export * from './manifests.js'
export { describeKernel } from './kernel-test.js'
export * from './api-server/test-authority.js'
export { objectsOf, startTestApiServer } from './api-server/test-api-server.js'
export type { TestApiServer, TestApiServerOptions } from './api-server/test-api-server.js'
export type { Disturbance, Misbehaviour, MisbehaviourPlan, RequestFilter } from './api-server/misbehaviour.js'
export type { RequestKind, SeenRequest } from './api-server/request-log.js'
export {
  createToyBackend,
  createToyDataplane,
  createToyKernel,
  type ToyDataplane,
  type ToyKernel,
} from './toy-dataplane.js'
export { ToyItem } from './toy-rules.js'
export { createMemoryChangeLog, type MemoryChangeLog } from './memory-change-log.js'
