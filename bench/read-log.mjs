// read-log.mjs LOG: how many records a second come out of a log, objects included.
import { openChangeLog } from '@pointsman/core/io'

const log = openChangeLog(process.argv[2])
let records = 0
const started = performance.now()
for (const record of log.records({ limit: 200_000 })) if (record.seq > 0) records++
console.log(JSON.stringify({ perSecond: records / ((performance.now() - started) / 1000) }))
log.close()
