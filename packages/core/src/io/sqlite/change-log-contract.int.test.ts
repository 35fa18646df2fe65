import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ChangeLogReader } from '../../ports/change-log.js'
import { changeLogContract } from '../../testing/change-log-contract.js'
import type { ChangeLogUnderTest } from '../../testing/change-log-samples.js'
import { openChangeLog, openChangeLogWriter } from './change-log.js'

changeLogContract({
  name: 'the SQLite log',
  open: ({ snapshotEvery }) => openIn(mkdtempSync(join(tmpdir(), 'pointsman-log-')), snapshotEvery),
})

function openIn(directory: string, snapshotEvery: number): ChangeLogUnderTest {
  const file = join(directory, 'log.db')
  const log = openChangeLogWriter(file, { durability: 'normal', snapshotEvery })
  const readers: ChangeLogReader[] = []
  const close = (): void => {
    for (const reader of readers.splice(0)) reader.close()
    log.close()
  }
  return {
    log,
    reopen() {
      close()
      return openIn(directory, snapshotEvery)
    },
    reader() {
      const reader = openChangeLog(file)
      readers.push(reader)
      return reader
    },
    remove() {
      close()
      rmSync(directory, { recursive: true })
    },
  }
}
