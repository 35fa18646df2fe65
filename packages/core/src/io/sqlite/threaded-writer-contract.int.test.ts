import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import type { ChangeLogReader } from '../../ports/change-log.js'
import { changeLogContract } from '../../testing/change-log-contract.js'
import type { ChangeLogUnderTest } from '../../testing/change-log-samples.js'
import { openChangeLog } from './change-log.js'
import { BUILT_THREAD } from './test-support/built-thread.js'
import { openThreadedChangeLogWriter } from './threaded-writer.js'

// A thread takes fifty milliseconds to begin, and each run begins several.
const known = fc.readConfigureGlobal()
fc.configureGlobal({ ...known, numRuns: Math.ceil((known.numRuns ?? 100) / 20) })

changeLogContract({
  name: 'the SQLite log with a thread that writes',
  open: ({ snapshotEvery }) => openIn(mkdtempSync(join(tmpdir(), 'pointsman-log-')), snapshotEvery),
})

async function openIn(directory: string, snapshotEvery: number): Promise<ChangeLogUnderTest> {
  const file = join(directory, 'log.db')
  const writer = await openThreadedChangeLogWriter(file, {
    durability: 'normal',
    snapshotEvery,
    threadFile: BUILT_THREAD,
  })
  const readers: ChangeLogReader[] = []
  const reader = (): ChangeLogReader => {
    const opened = openChangeLog(file)
    readers.push(opened)
    return opened
  }
  const close = async (): Promise<void> => {
    for (const opened of readers.splice(0)) opened.close()
    await writer.close()
  }
  const log = Object.assign(Object.create(writer) as typeof writer, reader())
  return {
    log,
    async reopen() {
      await close()
      return openIn(directory, snapshotEvery)
    },
    reader,
    async remove() {
      await close()
      rmSync(directory, { recursive: true })
    },
  }
}
