// node test/support/replay-and-die.mjs STEP OCCURRENCE LOG RECORD
//
// Replays as `pointsman replay --record` does and ends its own process with SIGKILL at the given occurrence of a named step.
import { writeSync } from 'node:fs'
import { createMockBackend } from '../../packages/backend-mock/dist/index.js'
import { DEFAULT_PROXY_CONFIG, replay, resumedWriter } from '../../packages/core/dist/index.js'
import { openChangeLog, openChangeLogWriter } from '../../packages/core/dist/io/index.js'
import { dieAt } from './die-at.mjs'

const [step, occurrence, path, record] = process.argv.slice(2)
const onStep = dieAt(step, occurrence, record)
const config = { ...DEFAULT_PROXY_CONFIG, nodeName: 'node-a' }
const log = openChangeLog(path)
const recording = openChangeLogWriter(record, { durability: 'full', snapshotEvery: 40, onStep })
const mock = createMockBackend({ config })
const backend = {
  ...mock,
  name: mock.name,
  async sync(request, signal) {
    onStep('before sync')
    const result = await mock.sync(request, signal)
    onStep('after sync')
    return result
  },
}
const writer = resumedWriter(recording)
const recordTo = {
  get head() {
    return writer.head
  },
  lastObservedAt: writer.lastObservedAt,
  async append(entries) {
    onStep('before append')
    const outcomes = await writer.append(entries)
    writeSync(1, `acknowledged ${recording.head}\n`)
    onStep('after commit')
    return outcomes
  },
}
await replay({ log, config, backend, recordTo })
onStep('before close')
recording.close()
onStep('after close')
