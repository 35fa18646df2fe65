import { describe, expect, test } from 'vitest'
import type { LogEntry } from '../model/record.js'
import { changeLogContract } from './change-log-contract.js'
import { createMemoryChangeLog } from './memory-change-log.js'

changeLogContract({
  name: 'the log in memory',
  open: () => {
    const log = createMemoryChangeLog()
    const under = { log, reopen: () => under, reader: () => log, remove: () => undefined }
    return under
  },
  skips: { reopen: 'it ends with its process' },
})

describe('a log in memory fails when it is told to', () => {
  const notice: LogEntry = { type: 'notice', observedAt: 1, code: 'TEST', message: 'a message' }

  test('once, and nothing of the batch is in it', async () => {
    const log = createMemoryChangeLog()
    log.failNext('LOG_FULL')
    await expect(log.append([notice])).rejects.toMatchObject({ code: 'LOG_FULL' })
    expect(log.head).toBe(0)
    expect(await log.append([notice])).toEqual([{ type: 'appended', seq: 1 }])
  })

  test('for as long as a predicate says', async () => {
    const log = createMemoryChangeLog()
    log.failWhile((entries) => (entries.length > 1 ? 'LOG_IO' : undefined))
    await expect(log.append([notice, notice])).rejects.toMatchObject({ code: 'LOG_IO' })
    expect(await log.append([notice])).toHaveLength(1)
    log.failWhile(undefined)
    expect(await log.append([notice, notice])).toHaveLength(2)
  })

  test('or waits until it is let go', async () => {
    const log = createMemoryChangeLog()
    const { promise, resolve } = gate()
    log.delayUntil(promise)
    const appending = log.append([notice])
    expect(log.head).toBe(0)
    resolve()
    await appending
    expect(log.head).toBe(1)
  })
})

function gate(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve = (): void => undefined
  const promise = new Promise<void>((done) => (resolve = done))
  return { promise, resolve: () => resolve() }
}
