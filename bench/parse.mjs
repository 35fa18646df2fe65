// parse.mjs FILE: how many lines are read and given to JSON.parse, and nothing else, a second and a second of processor time.
import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'

let lines = 0
const started = performance.now()
for await (const line of createInterface({ input: createReadStream(process.argv[2], { highWaterMark: 1 << 20 }) })) {
  JSON.parse(line)
  lines++
}
const { user, system } = process.cpuUsage()
const seconds = (performance.now() - started) / 1000
console.log(JSON.stringify({ perSecond: lines / seconds, perProcessorSecond: lines / ((user + system) / 1e6) }))
