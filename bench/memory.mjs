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
if (process.argv[2] === undefined) await measureInAnother()
else measure(process.argv[2])

function measure(file) {
  gc()
  const empty = mb(process.memoryUsage().rss)
  const fold = restore(file)
  gc()
  if (fold.state.services.size !== 10_000) throw new Error('not the state that was meant')
  const { rss, heapUsed } = process.memoryUsage()
  console.log(JSON.stringify({ empty, rss: mb(rss), heap: mb(heapUsed), peak: mb(process.resourceUsage().maxRSS * 1024) }))
}

function restore(file) {
  const fold = createStateFold({ nodeName: 'node-0' })
  const log = openChangeLog(file)
  const { objects, seq } = log.objectsAt(log.info().lastSeq)
  for (const object of objects) fold.track(seq, { type: 'ADDED', object, observedAt: 0 })
  fold.apply()
  log.close()
  return fold
}

async function measureInAnother() {
  const { churn } = await import('../packages/core/dist/testing/churn.js')
  const directory = mkdtempSync(join(tmpdir(), 'pointsman-bench-memory-'))
  const file = join(directory, 'log.db')
  const log = openChangeLogWriter(file, { durability: 'normal' })
  for (const event of churn({ services: 10_000, events: 10_000 })) log.appendSync([{ type: 'event', event }])
  log.close()
  process.stdout.write(execFileSync(process.execPath, ['--expose-gc', fileURLToPath(import.meta.url), file]))
  rmSync(directory, { recursive: true })
}
