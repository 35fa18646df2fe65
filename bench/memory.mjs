// memory.mjs: MB of a process that holds the state of 10,000 services of 5 endpoints, restored from a log.
// memory.mjs LOG: the measured process. Without LOG it writes one, in this process, and measures in another.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createStateFold } from '@pointsman/core'
import { openChangeLog, openChangeLogWriter } from '@pointsman/core/io'

const mb = (bytes) => Math.round(bytes / 2 ** 20)
const file = process.argv.at(2)
if (file === undefined) await measureInAnother()
else measure(file)

function measure(file) {
  gc()
  const empty = mb(process.memoryUsage().rss)
  const fold = restore(file)
  gc()
  if (fold.state.services.size !== 10_000) throw new Error('not the state that was meant')
  const { rss, heapUsed } = process.memoryUsage()
  console.log(
    JSON.stringify({ empty, rss: mb(rss), heap: mb(heapUsed), peak: mb(process.resourceUsage().maxRSS * 1024) }),
  )
}

function restore(file) {
  const fold = createStateFold({ nodeName: 'node-0' })
  const log = openChangeLog(file)
  const { lastSeq } = log.info()
  let tracked = 0
  log.eachObjectAt(lastSeq, (object) => {
    fold.track(lastSeq, { type: 'ADDED', object, observedAt: 0 })
    if (++tracked % 500 === 0) fold.apply()
  })
  fold.apply()
  log.close()
  return fold
}

/** Twice: as Node is, and with a heap that is told to stay small, as a node agent would be started. */
async function measureInAnother() {
  const { churn } = await import('../packages/core/dist/testing/churn.js')
  const directory = mkdtempSync(join(tmpdir(), 'pointsman-bench-memory-'))
  const file = join(directory, 'log.db')
  const log = openChangeLogWriter(file, { durability: 'normal' })
  const batch = []
  for (const event of churn({ services: 10_000, events: 40_000 })) {
    if (batch.push({ type: 'event', event }) === 1000) log.appendSync(batch.splice(0))
  }
  log.appendSync(batch)
  log.close()
  const run = (...flags) =>
    JSON.parse(
      execFileSync(process.execPath, ['--expose-gc', ...flags, fileURLToPath(import.meta.url), file], {
        encoding: 'utf8',
      }),
    )
  console.log(JSON.stringify({ usual: run(), small: run('--optimize-for-size', '--max-semi-space-size=1') }))
  rmSync(directory, { recursive: true })
}
