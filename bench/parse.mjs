// parse.mjs FILE: how many lines a second are read and given to JSON.parse, and nothing else.
import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'

let lines = 0
const started = performance.now()
for await (const line of createInterface({ input: createReadStream(process.argv[2], { highWaterMark: 1 << 20 }) })) {
  JSON.parse(line)
  lines++
}
console.log(JSON.stringify({ perSecond: lines / ((performance.now() - started) / 1000) }))
