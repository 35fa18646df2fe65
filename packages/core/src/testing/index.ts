// Not here: arbitraries.ts, which would make fast-check a dependency of everybody who asks for a builder.
export * from './backend-contract.js'
export * from './state-builder.js'
export { canonicalState } from './canonical-state.js'
export * from './manifests.js'
export { describeKernel } from './kernel-test.js'
export * from './api-server/test-authority.js'
