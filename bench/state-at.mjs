// state-at.mjs LOG: milliseconds to the state at 20 points spread over a log by chance (the same ones each time).
import { buildState } from '@pointsman/core'
import { openChangeLog } from '@pointsman/core/io'

const log = openChangeLog(process.argv[2])
const { lastSeq } = log.info()
let random = 7
const times = Array.from({ length: 20 }, () => {
  random = (Math.imul(random, 1_664_525) + 1_013_904_223) >>> 0
  const started = performance.now()
  const { objects, seq } = log.objectsAt(1 + Math.floor((random / 2 ** 32) * lastSeq))
  const { state } = buildState({ objects, seq })
  if (state.services.size === 0 && seq > 20_000) throw new Error(`no services at ${seq}`)
  return performance.now() - started
}).sort((a, b) => a - b)
console.log(JSON.stringify({ median: times[9], slowest: times[19] }))
log.close()
