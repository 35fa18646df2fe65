import { type LogEntry, NO_SEQ } from '@pointsman/core'
import { createMemoryChangeLog } from '@pointsman/core/testing'
import { ChangeLogError, type ChangeLogErrorCode } from '@pointsman/core/io'
import { describe, expect, it } from 'vitest'
import { type AgentLogWriter, createLateWriter } from './open-agent-log.js'

const notice = (message: string): LogEntry => ({ type: 'notice', observedAt: 1000, code: 'TEST', message })

/** A log that cannot be opened so many times. */
function late(failures: number, code: ChangeLogErrorCode) {
  const log = createMemoryChangeLog()
  let opened = 0
  const open = async (): Promise<AgentLogWriter> => {
    if (opened++ < failures) throw new ChangeLogError(code, { file: 'agent.db' })
    return {
      ...log,
      append: (entries) => log.append(entries),
      head: log.head,
      prune: async () => ({ removed: 0, bytes: 0 }),
      close: async () => undefined,
    }
  }
  return { log, writer: createLateWriter({ open, head: NO_SEQ, lastObservedAt: 0 }) }
}

describe('a log that opens late', () => {
  it('is tried again with each append, and then has what is appended', async () => {
    const { log, writer } = late(2, 'LOG_READ_ONLY')
    for (const message of ['lost', 'lost as well']) {
      await expect(writer.append([notice(message)])).rejects.toMatchObject({ code: 'LOG_READ_ONLY' })
    }
    expect(await writer.append([notice('kept')])).toMatchObject([{ type: 'appended' }])
    expect([...log.records()].map((record) => record.type === 'notice' && record.message)).toEqual(['kept'])
  })

  it('refuses what it is given when it is not for this agent to write', async () => {
    const { writer } = late(10, 'LOG_OTHER_NODE')
    expect(await writer.append([notice('one'), notice('two')])).toMatchObject([
      { type: 'refused', code: 'LOG_UNUSABLE', message: expect.stringContaining('agent.db') },
      { type: 'refused' },
    ])
  })
})
