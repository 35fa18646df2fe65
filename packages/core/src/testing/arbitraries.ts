// Not exported from testing/index.ts: that is part of the published package, and fast-check is for our own tests alone.
export { eventSequenceArbitrary } from './event-arbitraries.js'
export { hostileObjectArbitrary } from './hostile-arbitraries.js'
export { endpointSliceArbitrary, nodeArbitrary, serviceArbitrary, validArbitrary } from './object-arbitraries.js'
