import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ChangeLogReader } from '../../ports/change-log.js'
import { changeLogContract } from '../../testing/change-log-contract.js'
import type { ChangeLogUnderTest, OpenChangeLog } from '../../testing/change-log-samples.js'
import { openChangeLog, openChangeLogWriter, type WriterOptions } from './change-log.js'

const LOGS: readonly [name: string, options: Pick<WriterOptions, 'heldCharacters'>][] = [
  ['the SQLite log', {}],
  ['the SQLite log that holds one or two objects in memory', { heldCharacters: 1000 }],
]
for (const [name, options] of LOGS) {
  const open: OpenChangeLog = (more) => openIn(mkdtempSync(join(tmpdir(), 'pointsman-log-')), { ...options, ...more })
  changeLogContract({ name, open })
}

function openIn(directory: string, options: Omit<WriterOptions, 'durability'>): ChangeLogUnderTest {
  const file = join(directory, 'log.db')
  const log = openChangeLogWriter(file, { durability: 'normal', ...options })
  const readers: ChangeLogReader[] = []
  const close = (): void => {
    for (const reader of readers.splice(0)) reader.close()
    log.close()
  }
  return {
    log,
    reopen() {
      close()
      return openIn(directory, options)
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
