import fc from 'fast-check'

/** fast-check's own number of runs; a soak has twenty times as many. */
const NUM_RUNS = 100

const soak = process.env['POINTSMAN_SOAK'] === '1'
const seed = process.env['POINTSMAN_SEED']

// No time limit: how much was tried must not depend on how busy the machine is.
fc.configureGlobal({
  numRuns: soak ? 20 * NUM_RUNS : NUM_RUNS,
  ...(seed === undefined || seed === '' ? {} : { seed: Number(seed) }),
})
