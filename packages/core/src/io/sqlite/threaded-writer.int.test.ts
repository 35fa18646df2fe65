import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import Database from 'better-sqlite3'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type LogEntry, seq } from '../../model/record.js'
import { createEventMaker, service } from '../../testing/manifests.js'
import { openChangeLog, openChangeLogWriter } from './change-log.js'
import { BUILT_THREAD } from './test-support/built-thread.js'
import {
  openThreadedChangeLogWriter,
  type ThreadedChangeLogWriter,
  type ThreadedWriterOptions,
} from './threaded-writer.js'

let directory = ''
let file = ''
const opened: ThreadedChangeLogWriter[] = []

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'pointsman-thread-'))
  file = join(directory, 'log.db')
})
afterEach(async () => {
  for (const log of opened.splice(0)) await log.close()
  rmSync(directory, { recursive: true })
})

async function write(options: Partial<ThreadedWriterOptions> = {}): Promise<ThreadedChangeLogWriter> {
  const log = await openThreadedChangeLogWriter(file, { durability: 'normal', threadFile: BUILT_THREAD, ...options })
  opened.push(log)
  return log
}

const notice = (message: string, numbers: { readonly seq?: number; readonly at?: number } = {}): LogEntry => ({
  type: 'notice',
  observedAt: numbers.at ?? 1000,
  code: 'TEST',
  message,
  ...(numbers.seq === undefined ? {} : { seq: seq(numbers.seq) }),
})
const told = (): string[] => {
  const reader = openChangeLog(file)
  const lines = [...reader.records()].map((record) => `${record.seq} ${record.type === 'notice' ? record.message : ''}`)
  reader.close()
  return lines
}

/** A thread that does `steps` beside its work. */
function spoiledThread(steps: string): URL {
  const path = join(directory, 'thread.mjs')
  const text = `
    import { existsSync, writeFileSync } from 'node:fs'
    import { parentPort } from 'node:worker_threads'
    const firstTime = (name) => !existsSync(name) && (writeFileSync(name, ''), true)
    const mark = ${JSON.stringify(join(directory, 'mark'))}
    ${steps}
    await import(${JSON.stringify(BUILT_THREAD.href)})
  `
  writeFileSync(path, text)
  return pathToFileURL(path)
}

/** The longest time for which a timer of this thread was held up while `work` was done. */
async function longestStall(work: () => Promise<unknown>): Promise<number> {
  let last = performance.now()
  let longest = 0
  const look = (): void => {
    const now = performance.now()
    longest = Math.max(longest, now - last)
    last = now
  }
  const timer = setInterval(look, 1)
  try {
    await work()
    await new Promise(setImmediate)
    look()
    return longest
  } finally {
    clearInterval(timer)
  }
}

/** Keeps every writer of the log waiting, as a disk that takes its time does. */
function blockedFor(ms: number): void {
  const other = new Database(file)
  other.exec('BEGIN IMMEDIATE')
  setTimeout(() => {
    other.exec('COMMIT')
    other.close()
  }, ms)
}

describe('a disk that takes its time', () => {
  it('does not hold up the thread of the caller', async () => {
    const log = await write()
    await log.append([notice('before')])
    const stall = await longestStall(async () => {
      blockedFor(800)
      const started = performance.now()
      expect(await log.append([notice('after')])).toEqual([{ type: 'appended', seq: 2 }])
      expect(performance.now() - started).toBeGreaterThan(700)
    })
    expect(stall).toBeLessThan(400)
  })

  it('holds it up where the caller writes by itself', async () => {
    const log = openChangeLogWriter(file, { durability: 'normal' })
    const stall = await longestStall(async () => {
      blockedFor(500)
      await expect(log.append([notice('after')])).rejects.toMatchObject({ code: 'LOG_LOCKED' })
    })
    expect(stall).toBeGreaterThan(1000)
    log.close()
  })
})

describe('a thread that writes', () => {
  it('appends in the order in which it was told, whoever waits for what', async () => {
    const log = await write()
    const texts = Array.from({ length: 50 }, (_, index) => `notice ${index}`)
    const outcomes = await Promise.all(texts.map((text) => log.append([notice(text)])))
    expect(outcomes.map(([outcome]) => outcome)).toEqual(texts.map((_, i) => ({ type: 'appended', seq: i + 1 })))
    expect(told()).toEqual(texts.map((text, index) => `${index + 1} ${text}`))
  })

  it('says the last position and time, also of a log that was there', async () => {
    const log = await write()
    await log.append([notice('one', { at: 5000 })])
    expect([log.head, log.lastObservedAt]).toEqual([1, 5000])
    await log.close()
    const again = await write()
    expect([again.head, again.lastObservedAt]).toEqual([1, 5000])
  })

  it('finishes what was asked for before it is closed, and leaves one plain file', async () => {
    const log = await write()
    const appended = log.append([notice('last')])
    await log.close()
    expect(await appended).toEqual([{ type: 'appended', seq: 1 }])
    expect(['', '-wal', '-shm', '-lock'].filter((suffix) => existsSync(file + suffix))).toEqual([''])
    await expect(log.append([notice('later')])).rejects.toMatchObject({ code: 'LOG_THREAD_ENDED' })
  })

  it('notes the boot and keeps to its node as the log does', async () => {
    await (await write({ node: 'node-a', bootId: 'one' })).close()
    const log = await write({ node: 'node-a', bootId: 'two' })
    expect(log.head).toBe(1)
    await log.close()
    await expect(write({ node: 'node-b' })).rejects.toMatchObject({
      code: 'LOG_OTHER_NODE',
      file,
      detail: 'node-a, not node-b',
    })
  })

  it('waits for a reader of a log at rest, as when an agent reads a large state while it opens its log', async () => {
    const before = await write()
    await before.append([{ type: 'event', event: createEventMaker().added(service({ name: 'web' })) }])
    await before.close()
    const reader = openChangeLog(file)
    let opening: Promise<ThreadedChangeLogWriter> | undefined
    reader.eachObjectAt(seq(1), () => {
      opening = write()
      // Longer than a reader waits for a writer.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2500)
    })
    expect((await opening)?.head).toBe(1)
    reader.close()
  })

  it('prunes', async () => {
    const log = await write({ snapshotEvery: 2 })
    const { added } = createEventMaker(1000)
    const events = ['a', 'b', 'c', 'd', 'e'].map((name): LogEntry => ({
      type: 'event',
      event: added(service({ name })),
    }))
    await log.append(events)
    expect(await log.prune({ maxAgeMs: 1, now: log.lastObservedAt + 100_000 })).toMatchObject({
      removed: expect.any(Number),
    })
  })

  it('leaves no process waiting for it', async () => {
    const { spawnSync } = await import('node:child_process')
    const script = `
      import { openThreadedChangeLogWriter } from ${JSON.stringify(new URL('./threaded-writer.js', BUILT_THREAD).href)}
      const log = await openThreadedChangeLogWriter(${JSON.stringify(file)}, { durability: 'normal' })
      await log.append([${JSON.stringify(notice('one'))}])
    `
    const { status } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { timeout: 20_000 })
    expect(status).toBe(0)
    expect(told()).toEqual(['1 one'])
  })
})

describe('failures keep their codes', () => {
  it('of a log that cannot be opened', async () => {
    writeFileSync(file, 'no log at all, and rather long for one\n'.repeat(100))
    await expect(write()).rejects.toMatchObject({ name: 'ChangeLogError', code: 'LOG_NOT_A_LOG', file })
    file = join(directory, 'nowhere', 'log.db')
    await expect(write()).rejects.toMatchObject({ code: 'LOG_NOT_FOUND', message: expect.stringContaining(file) })
  })

  it('of a log that another writer has', async () => {
    const other = openChangeLogWriter(file, { durability: 'normal' })
    await expect(write()).rejects.toMatchObject({ code: 'LOG_LOCKED' })
    other.close()
    expect((await write()).head).toBe(0)
  })

  it('of an append, and the next one goes on', async () => {
    const log = await write()
    const other = new Database(file)
    other.exec('BEGIN IMMEDIATE')
    await expect(log.append([notice('one')])).rejects.toMatchObject({ code: 'LOG_LOCKED', detail: 'SQLITE_BUSY' })
    other.exec('COMMIT')
    other.close()
    expect(await log.append([notice('two')])).toEqual([{ type: 'appended', seq: 1 }])
  })

  it('of a bug, and the next one goes on', async () => {
    const log = await write()
    await expect(log.append([notice('lost with it'), undefined as never])).rejects.toThrow(TypeError)
    expect(await log.append([notice('two')])).toEqual([{ type: 'appended', seq: 1 }])
    expect(told()).toEqual(['1 two'])
  })

  it('but an object without a name fails nothing: a notice takes its place', async () => {
    const log = await write()
    const nameless = { ...createEventMaker().added(service({ name: 'x' })), object: { kind: 'Service', metadata: {} } }
    const event = { type: 'event', event: nameless as never } as const
    expect(await log.append([notice('one'), event, event])).toMatchObject([{ seq: 1 }, { seq: 2 }, { seq: 2 }])
    expect(told()).toEqual(['1 one', expect.stringMatching(/^2 ADDED Service without a name could not be written/)])
  })
})

describe('a thread that ends by itself', () => {
  const beforeAppending = `
    parentPort.on('message', ({ entries = [] }) => {
      if (entries.some(({ message }) => message === 'deadly') && firstTime(mark)) process.exit(7)
    })`

  it('fails what it was at by a code, and is begun again with the next append', async () => {
    const log = await write({ threadFile: spoiledThread(beforeAppending) })
    await log.append([notice('one')])
    const [deadly, behind] = [log.append([notice('deadly')]), log.append([notice('behind')])]
    const code = { code: 'LOG_THREAD_ENDED', message: expect.stringContaining('exit status 7') }
    await expect(deadly).rejects.toMatchObject(code)
    await expect(behind).rejects.toMatchObject(code)
    const [again, last] = [log.append([notice('deadly')]), log.append([notice('last')])]
    expect([await again, await last].flat()).toEqual([
      { type: 'appended', seq: 2 },
      { type: 'appended', seq: 3 },
    ])
    expect(told()).toEqual(['1 one', '2 deadly', '3 last'])
  })

  it('and cannot be begun again is tried again with each append', async () => {
    const log = await write({ threadFile: spoiledThread(beforeAppending) })
    await expect(log.append([notice('deadly')])).rejects.toMatchObject({ code: 'LOG_THREAD_ENDED' })
    const other = openChangeLogWriter(file, { durability: 'normal' })
    await expect(log.append([notice('one')])).rejects.toMatchObject({ code: 'LOG_LOCKED' })
    other.close()
    expect(await log.append([notice('two')])).toEqual([{ type: 'appended', seq: 1 }])
  })

  it('after an append was durable and before it said so, does not have it appended twice', async () => {
    const log = await write({
      threadFile: spoiledThread(`
        const post = parentPort.postMessage.bind(parentPort)
        let dying = false
        parentPort.postMessage = (reply) => {
          dying ||= reply.head === 3 && firstTime(mark)
          if (dying) throw new Error('out of luck')
          post(reply, [])
        }`),
    })
    await log.append([notice('one', { seq: 1 })])
    const batch = [notice('two', { seq: 2 }), notice('three', { seq: 3 })]
    await expect(log.append(batch)).rejects.toMatchObject({ message: expect.stringContaining('out of luck') })
    expect(await log.append([...batch, notice('four', { seq: 4 })])).toEqual(
      [2, 3, 4].map((position) => ({ type: 'appended', seq: position })),
    )
    expect(told()).toEqual(['1 one', '2 two', '3 three', '4 four'])
    expect(log.head).toBe(4)
  })

  it('may be closed', async () => {
    const log = await write({ threadFile: spoiledThread(beforeAppending) })
    await expect(log.append([notice('deadly')])).rejects.toMatchObject({ code: 'LOG_THREAD_ENDED' })
    await log.close()
    expect(told()).toEqual([])
  })
})
