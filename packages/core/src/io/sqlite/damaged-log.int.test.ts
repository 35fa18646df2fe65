import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { brotliCompressSync, constants } from 'node:zlib'
import Database from 'better-sqlite3'
import fc from 'fast-check'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type LogEntry, seq } from '../../model/record.js'
import { churn } from '../../testing/churn.js'
import { openChangeLog, openChangeLogWriter } from './change-log.js'
import { ChangeLogError } from '../../ports/change-log.js'

/** A log may come from another source: whatever it holds, it is read or refused in one line. */
let directory = ''
let whole = ''
let file = ''

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'pointsman-log-'))
  whole = join(directory, 'whole.db')
  file = join(directory, 'log.db')
  const log = openChangeLogWriter(whole, { durability: 'normal', snapshotEvery: 40, node: 'node-a' })
  log.appendSync([
    { type: 'config', observedAt: 0, config: { layout: 'classic' } },
    {
      type: 'sync',
      observedAt: 0,
      backend: 'mock',
      fromSeq: seq(0),
      toSeq: seq(0),
      full: true,
      changed: 0,
      durationMs: 1,
    },
    { type: 'notice', observedAt: 0, code: 'TEST', message: 'a notice' },
    ...[...churn({ services: 5, events: 100 })].map((event): LogEntry => ({ type: 'event', event })),
  ])
  log.close()
})
afterAll(() => rmSync(directory, { recursive: true }))
beforeEach(() => {
  for (const suffix of ['-wal', '-shm', '-journal']) rmSync(file + suffix, { force: true })
  copyFileSync(whole, file)
})

const readThrough = (records: Iterable<unknown>): void => {
  const reading = records[Symbol.iterator]()
  while (reading.next().done !== true);
}

/** Everything that a reader can be asked. */
function readAll(): void {
  const log = openChangeLog(file)
  try {
    const { lastSeq } = log.info()
    readThrough(log.records())
    readThrough(log.records({ descending: true, limit: 30 }))
    readThrough(log.records({ types: ['notice', 'sync', 'config'] }))
    readThrough(log.records({ kinds: ['Service'] }))
    readThrough(log.records({ object: { namespace: 'team-1', name: 'service-1' } }))
    log.objectsAt(lastSeq)
    log.objectsAt(seq(60))
    log.seqAt(log.timeOf(seq(50)) ?? 0)
    log.configAt(lastSeq)
    log.appliedAt(lastSeq)
  } finally {
    log.close()
  }
}

/** A writer begins with what the log holds at its end. */
function write(): void {
  const log = openChangeLogWriter(file, { durability: 'normal', node: 'node-a' })
  try {
    log.appendSync([{ type: 'notice', observedAt: log.lastObservedAt, code: 'MORE', message: 'written' }])
    log.prune({ maxAgeMs: 1, now: log.lastObservedAt + 10 })
  } finally {
    log.close()
  }
}

function refusal(run: () => void): string {
  try {
    run()
  } catch (error) {
    if (!(error instanceof ChangeLogError)) throw error
    expect(error.message).not.toContain('\n')
    expect(error.message.length).toBeLessThan(600)
    return `${error.code} ${error.detail ?? ''}`
  }
  return 'none'
}

const alter = (sql: string): void => {
  const db = new Database(file)
  db.unsafeMode(true)
  db.pragma('synchronous = OFF')
  db.pragma('writable_schema = ON')
  db.exec(sql)
  db.close()
}

describe('a schema that is not that of the version is refused before anything of it is used', () => {
  test.each([
    ['a view more', 'CREATE VIEW more AS SELECT 1', 'view "more"'],
    ['a table more', 'CREATE TABLE more (a)', 'table "more"'],
    ['a trigger', 'CREATE TRIGGER t AFTER INSERT ON records BEGIN DELETE FROM objects; END', 'trigger "t"'],
    ['a virtual table', 'CREATE VIRTUAL TABLE v USING fts5(a)', 'table "v'],
    ['an index over an expression', 'CREATE INDEX i ON records (abs(seq))', 'index "i"'],
    [
      'an index in the place of another',
      'DROP INDEX records_of_engine; CREATE INDEX records_of_engine ON records (hex(patch), flags)',
      '"records_of_engine"',
    ],
    ['an index less', 'DROP INDEX objects_by_name', 'missing index objects_by_name'],
    [
      'a view in the place of a table',
      'ALTER TABLE records RENAME TO r0; CREATE VIEW records AS SELECT * FROM r0',
      '"r0"',
    ],
    ['a generated column', 'ALTER TABLE records ADD COLUMN g AS (hex(zeroblob(100000000)))', 'table "records"'],
    [
      'a check',
      "UPDATE sqlite_schema SET sql = replace(sql, 'patch TEXT', 'patch TEXT CHECK (length(patch) > 0)') WHERE name = 'records'",
      '"records"',
    ],
    [
      'a collation',
      "UPDATE sqlite_schema SET sql = replace(sql, 'name TEXT', 'name TEXT COLLATE NOCASE') WHERE name = 'objects'",
      '"objects"',
    ],
    [
      'a default',
      "UPDATE sqlite_schema SET sql = replace(sql, 'patch TEXT', 'patch TEXT DEFAULT (randomblob(9))') WHERE name = 'records'",
      '"records"',
    ],
    ['another view', 'DROP VIEW history; CREATE VIEW history AS SELECT 1', '"history"'],
    ['statistics', 'ANALYZE', 'table "sqlite_stat1"'],
    [
      'one tree of pages for two tables',
      "UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 'counts') WHERE name = 'meta'",
      'pages of another',
    ],
    ['a version that never was', 'PRAGMA user_version = 0', 'version 0'],
  ])('%s', (_name, sql, detail) => {
    alter(sql)
    expect(refusal(readAll)).toMatch(/^LOG_NOT_A_LOG /)
    expect(refusal(readAll)).toContain(detail)
    const before = readFileSync(file)
    expect(refusal(write)).toMatch(/^LOG_NOT_A_LOG /)
    expect(readFileSync(file)).toEqual(before)
  })

  test('spaces and comments make no other schema', () => {
    alter("UPDATE sqlite_schema SET sql = replace(sql, '(', '( /* a comment */ ') WHERE name = 'records'")
    expect(refusal(readAll)).toBe('none')
  })
})

describe('values that no writer stores are damage, with their place', () => {
  test.each([
    ['a type that is a text', "UPDATE records SET type = 'x' WHERE seq = 50", 'seq 50'],
    ['a type out of range', 'UPDATE records SET type = 99 WHERE seq = 50', 'seq 50'],
    ['a type that does not fit', 'UPDATE records SET type = 7 WHERE seq = 50', 'seq 50'],
    ['flags that are a blob', 'UPDATE records SET flags = zeroblob(20000000) WHERE seq = 50', 'seq 50'],
    ['a time out of range', 'UPDATE records SET observed_at = 8640000000000001 WHERE seq = 50', 'seq 50'],
    ['a time before all times', 'UPDATE records SET observed_at = -1 WHERE seq = 50', 'seq 50'],
    ['a time that is no whole number', 'UPDATE records SET observed_at = 1.5 WHERE seq = 50', 'seq 50'],
    [
      'an author’s time out of range',
      'UPDATE records SET author_id = 1, author_time = 9000000000000000 WHERE seq = 50',
      'seq 50',
    ],
    ['a patch that is a blob', "UPDATE records SET patch = x'7b7d' WHERE seq = 50", 'seq 50: the patch is a blob'],
    ['a patch that is a number', 'UPDATE records SET patch = NULL, flags = 1 WHERE seq = 50', 'seq 50'],
    [
      'a patch that is a list',
      "UPDATE records SET patch = '[]' WHERE seq = 50",
      'seq 50: the patch is not a JSON object',
    ],
    ['a patch that is no JSON', "UPDATE records SET patch = '{' WHERE seq = 50", 'seq 50: the patch is not JSON'],
    [
      'a patch that is too long',
      'UPDATE records SET patch = \'{"a":"\' || hex(zeroblob(5000000)) || \'"}\' WHERE seq = 50',
      'seq 50: the patch has 10000008 bytes',
    ],
    [
      'an object without a kind',
      `UPDATE records SET patch = '{"metadata":{"name":"x"}}', flags = 1 WHERE seq = 50`,
      'seq 50',
    ],
    [
      'an object without a name',
      `UPDATE records SET patch = '{"kind":"Service","metadata":{}}', flags = 1 WHERE seq = 50`,
      'seq 50',
    ],
    [
      'a sync that is none',
      'UPDATE records SET patch = \'{"type":"sync"}\' WHERE seq = 2',
      'seq 2: backend of the sync',
    ],
    [
      'a config that is a notice',
      'UPDATE records SET patch = (SELECT patch FROM records WHERE seq = 3) WHERE seq = 1',
      'seq 1: the record is not a config',
    ],
    [
      'a notice whose message is a number',
      `UPDATE records SET patch = '{"type":"notice","code":"X","message":1}' WHERE seq = 3`,
      'seq 3',
    ],
    ['a position below 1', 'UPDATE records SET seq = -5 WHERE seq = 50', 'seq -5'],
    ['a position beyond 2^53', 'UPDATE records SET seq = 9007199254740993 WHERE seq = 103', 'seq 9007199254740992'],
    [
      'an object that is not there',
      'DELETE FROM objects WHERE id = (SELECT object_id FROM records WHERE seq = 50)',
      'no object has the id',
    ],
    ['a kind that is none', 'UPDATE objects SET kind = 9', 'kind'],
    ['a kind that is a text', "UPDATE objects SET kind = 'Service'", 'kind'],
    ['a name that is a blob', "UPDATE objects SET name = x'00ff'", 'a name is a blob'],
    ['an author that is a number', 'UPDATE authors SET manager = zeroblob(10) WHERE id = 1', 'author'],
    ['a count that is a text', "UPDATE counts SET count = 'x'", 'meta counts'],
    ['a floor that is a text', "INSERT INTO meta VALUES ('floor', 'x')", 'meta floor'],
    ['a floor without its snapshot', "INSERT INTO meta VALUES ('floor', 50)", 'snapshot 50'],
    ['a node that is a blob', "UPDATE meta SET value = zeroblob(10) WHERE key = 'node_name'", 'meta node_name'],
    ['a snapshot of no kinds', "UPDATE snapshots SET received = '7'", 'its kinds are not a list'],
    ['a snapshot with too few objects', 'UPDATE snapshots SET objects = objects + 1', 'should have'],
    ['a snapshot without its chunks', 'DELETE FROM snapshot_chunks', 'LOG_DAMAGED'],
    ['a chunk that is no brotli', "UPDATE snapshot_chunks SET lines = x'ffffffff'", 'cannot be inflated'],
    ['a chunk that is a text', "UPDATE snapshot_chunks SET lines = 'text'", 'a chunk is a string'],
    [
      'a chunk that leads back to itself',
      'UPDATE snapshot_chunks SET first_object_id = first_object_id + 1000',
      'LOG_DAMAGED',
    ],
  ])('%s', (_name, sql, detail) => {
    alter(sql)
    expect(refusal(readAll)).toMatch(/^LOG_DAMAGED /)
    expect(refusal(readAll)).toContain(detail)
    expect(refusal(write)).toMatch(/^(?:LOG_DAMAGED |none)/)
  })

  test('what nests too deep is cut, as older versions wrote such objects', () => {
    alter(
      `UPDATE records SET patch = replace(hex(zeroblob(5000)), '0', '{"a":') || '1' || replace(hex(zeroblob(5000)), '0', '}') WHERE seq = 103`,
    )
    expect(refusal(readAll)).toBe('none')
  })

  test('a chunk whose ids do not increase would be read for ever', () => {
    const db = new Database(file)
    const line = '{"kind":"Service","metadata":{"name":"x"}}'
    db.prepare('UPDATE snapshot_chunks SET lines = ?').run(brotliCompressSync(`1 ${line}\n0 ${line}`))
    db.close()
    expect(refusal(readAll)).toContain('out of its order')
  })
})

describe('memory', () => {
  const BUILT = new URL('../../../dist/io/sqlite/change-log.js', import.meta.url).href
  /** The most that a process held which reads the log, in MB, and what reading ended with. */
  const readInChild = (): { readonly megabytes: number; readonly message: string } => {
    const script = `
      import { readFileSync } from 'node:fs'
      import { openChangeLog } from ${JSON.stringify(BUILT)}
      let message = 'none'
      try {
        const log = openChangeLog(${JSON.stringify(file)})
        log.info()
        for (const record of log.records());
        log.eachObjectAt(log.info().lastSeq, () => undefined)
      } catch (error) { message = error.message }
      // Not what getrusage says: that begins with what the parent had.
      const [, kilobytes] = /^VmHWM:\\s+(\\d+)/m.exec(readFileSync('/proc/self/status', 'utf8'))
      process.stdout.write(JSON.stringify({ megabytes: Number(kilobytes) / 1024, message }))`
    const text = execFileSync(process.execPath, ['--input-type=module', '-e', script], {
      timeout: 60_000,
      encoding: 'utf8',
    })
    return JSON.parse(text) as ReturnType<typeof readInChild>
  }

  const quickly = (text: string | Buffer): Buffer =>
    brotliCompressSync(text, { params: { [constants.BROTLI_PARAM_QUALITY]: 1 } })

  test('a row of 100 MB is not loaded', () => {
    alter('UPDATE records SET patch = hex(zeroblob(50000000)) WHERE seq = 50')
    const { megabytes, message } = readInChild()
    expect(message).toContain('seq 50: the patch has 100000000 bytes')
    expect(megabytes).toBeLessThan(200)
  })

  test('a chunk of some kilobytes that inflates to 128 MB is not inflated', () => {
    const db = new Database(file)
    const packed = quickly(Buffer.alloc(128 * 1024 * 1024, 0x20))
    db.prepare('UPDATE snapshot_chunks SET lines = ?').run(packed)
    db.close()
    const { megabytes, message } = readInChild()
    expect(message).toContain('inflates to more than')
    expect(megabytes).toBeLessThan(200)
  })

  test('nor are thousands of chunks that inflate to some megabytes each', () => {
    const db = new Database(file)
    const snapshot = db.prepare('SELECT max(seq) FROM snapshots').pluck().get()
    db.prepare('DELETE FROM snapshot_chunks WHERE snapshot_seq = ?').run(snapshot)
    const insert = db.prepare('INSERT INTO snapshot_chunks (snapshot_seq, first_object_id, lines) VALUES (?, ?, ?)')
    const object = `{"kind":"Service","metadata":{"name":"x"},"spec":{"a":"${'b'.repeat(1024 * 1024)}"}}`
    db.transaction(() => {
      for (let id = 1; id <= 100; id++) insert.run(snapshot, id, quickly(`${id} ${object}`))
    })()
    db.close()
    const { megabytes, message } = readInChild()
    expect(message).toContain('characters')
    expect(megabytes).toBeLessThan(200)
  })
})

test('bytes that flipped, and a file that was cut, are read or refused, and nothing hangs', () => {
  const bytes = readFileSync(whole)
  let run = 0
  const flips = fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 })), {
    minLength: 1,
    maxLength: 8,
  })
  const cut = fc.option(fc.nat(bytes.length), { nil: undefined, freq: 5 })
  fc.assert(
    fc.property(flips, cut, (places, length) => {
      const changed = Buffer.from(bytes)
      for (const [at, mask] of places) changed[at] = (changed[at] ?? 0) ^ mask
      writeFileSync(file, changed)
      if (length !== undefined) truncateSync(file, length)
      expect(refusal(readAll)).toMatch(/^(?:LOG_|none)/)
      // Writing begins with reading the end, and costs ten times as much.
      if ((run += 1) % 5 === 0) expect(refusal(write)).toMatch(/^(?:LOG_|none)/)
    }),
    { seed: 20_260_101, numRuns: 250 },
  )
})
