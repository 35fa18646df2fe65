// node test/support/import-and-die.mjs STEP OCCURRENCE LOG FILE...
//
// Imports as `pointsman import` does, in batches of ten, and ends its own process with SIGKILL at the given occurrence of a
// named step, or copies its log there (die-at.mjs). Prints each step as it comes, and `acknowledged N` for what was durable by then.
import { writeSync } from 'node:fs'
import { openChangeLogWriter, readRecording } from '../../packages/core/dist/io/index.js'
import { importRecording } from '../../packages/cli/dist/commands/import/import-recording.js'
import { dieAt } from './die-at.mjs'

const [step, occurrence, path, ...files] = process.argv.slice(2)
const onStep = dieAt(step, occurrence, path)
const recording = await readRecording(files, process.stdin)
const log = openChangeLogWriter(path, { durability: 'full', snapshotEvery: 40, onStep })
await importRecording({
  batches: inTens(recording.batches),
  log,
  onStep,
  onBatch: ({ events }) => writeSync(1, `acknowledged ${events}\n`),
})
onStep('before close')
log.close()
onStep('after close')

async function* inTens(batches) {
  for await (const batch of batches)
    for (let start = 0; start < batch.length; start += 10) yield batch.slice(start, start + 10)
}
