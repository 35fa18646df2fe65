import fc from 'fast-check'

/** fast-check's own number of runs; a soak has twenty times as many, and `npm run test:quick` a tenth. */
const NUM_RUNS = 100

/** What CI tries is the same each time, so that a change is what makes it fail; a soak tries something new each time. */
const SEED = 20_261_121

const soak = process.env['POINTSMAN_SOAK'] === '1'
const quick = process.env['POINTSMAN_QUICK'] === '1'
const seed = process.env['POINTSMAN_SEED'] || (soak ? undefined : SEED)

// No time limit: how much was tried must not depend on how busy the machine is.
fc.configureGlobal({
  numRuns: soak ? 20 * NUM_RUNS : quick ? NUM_RUNS / 10 : NUM_RUNS,
  ...(seed === undefined ? {} : { seed: Number(seed) }),
  // A planted bug is to be noticed; the smallest case of it is nobody's question.
  ...(process.env['POINTSMAN_FIRST_FAILURE'] === '1' ? { endOnFailure: true } : {}),
})
