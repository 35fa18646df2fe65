import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type LogEntry, seq } from '../../model/record.js'
import { createEventMaker, service, serviceCidr } from '../../testing/manifests.js'
import { openChangeLog, openChangeLogWriter, type SqliteChangeLog, type WriterOptions } from './change-log.js'
import { CHANGE_LOG_ERRORS, ChangeLogError } from '../../ports/change-log.js'
import { openForReading, openForWriting } from './open-database.js'
import { refuseOthersLog, whoElseCanWrite } from './private-files.js'
import { MIGRATIONS } from './schema.js'

let directory = ''
let file = ''
const opened: { close(): void }[] = []

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'pointsman-log-'))
  file = join(directory, 'log.db')
})
afterEach(() => {
  for (const log of opened.splice(0)) log.close()
  rmSync(directory, { recursive: true })
})

const write = (options: Partial<WriterOptions> = {}): SqliteChangeLog => {
  const log = openChangeLogWriter(file, { durability: 'normal', ...options })
  opened.push(log)
  return log
}
const closed = (log: { close(): void }): void => {
  opened.splice(opened.indexOf(log), 1)
  log.close()
}
const event = (name = 'web'): LogEntry => ({ type: 'event', event: createEventMaker().added(service({ name })) })
const filled = (): void => {
  const log = write()
  log.appendSync([event()])
  closed(log)
}
const mode = (path: string): string => (statSync(path).mode & 0o777).toString(8)
const codeOf = (run: () => unknown): string | undefined => {
  try {
    run()
  } catch (error) {
    if (!(error instanceof ChangeLogError)) throw error
    expect(error.message).toBe(error.message.split('\n')[0])
    expect(error.message).toContain(file)
    expect(error.message).toContain(CHANGE_LOG_ERRORS[error.code])
    return error.code
  }
  return undefined
}
const readCode = (): string | undefined => codeOf(() => openChangeLog(file).close())
const writeCode = (options: Partial<WriterOptions> = {}): string | undefined => codeOf(() => write(options))
const withRaw = (change: (db: Database.Database) => void): void => {
  const db = new Database(file)
  change(db)
  db.close()
}

describe('a file that is no log is refused with its reason', () => {
  test('it is missing', () => {
    expect(readCode()).toBe('LOG_NOT_FOUND')
    expect(existsSync(file)).toBe(false)
  })

  test('its directory is missing', () => {
    file = join(directory, 'nowhere', 'log.db')
    expect([readCode(), writeCode()]).toEqual(['LOG_NOT_FOUND', 'LOG_NOT_FOUND'])
  })

  test('it is empty: that can be read from nowhere, and is written as a new log', () => {
    writeFileSync(file, '')
    expect(readCode()).toBe('LOG_NOT_A_LOG')
    expect(write().head).toBe(0)
  })

  test('it is text, and is left as it is', () => {
    writeFileSync(file, '{"observedAt": "2026-01-01T00:00:00Z"}\n'.repeat(100))
    const before = readFileSync(file)
    expect([readCode(), writeCode()]).toEqual(['LOG_NOT_A_LOG', 'LOG_NOT_A_LOG'])
    expect(readFileSync(file)).toEqual(before)
    expect(existsSync(`${file}-lock`)).toBe(false)
  })

  test('it is a directory', () => {
    file = directory
    expect(readCode()).toBe('LOG_NOT_A_LOG')
  })

  test('it is a database of another application, and is left as it is', () => {
    withRaw((db) => db.exec('CREATE TABLE notes (text)'))
    const before = readFileSync(file)
    expect([readCode(), writeCode()]).toEqual(['LOG_NOT_A_LOG', 'LOG_NOT_A_LOG'])
    expect(readFileSync(file)).toEqual(before)
  })

  test('it was written by a later version', () => {
    filled()
    withRaw((db) => db.pragma(`user_version = ${MIGRATIONS.length + 1}`))
    expect([readCode(), writeCode()]).toEqual(['LOG_TOO_NEW', 'LOG_TOO_NEW'])
  })
})

describe('damage is said, not guessed around', () => {
  const thousand = (): void => {
    const log = write()
    const { added } = createEventMaker()
    log.appendSync(
      Array.from({ length: 1000 }, (_, index) => ({ type: 'event', event: added(service({ name: `s${index}` })) })),
    )
    closed(log)
  }

  test('a file that was cut', () => {
    thousand()
    truncateSync(file, statSync(file).size >> 1)
    expect(codeOf(() => [...openChangeLog(file).records()])).toBe('LOG_DAMAGED')
  })

  test('a page of other bytes', () => {
    thousand()
    const bytes = readFileSync(file)
    bytes.fill(0xa5, 4096 * 40, 4096 * 60)
    writeFileSync(file, bytes)
    expect(codeOf(() => openChangeLog(file).objectsAt(seq(1000)))).toBe('LOG_DAMAGED')
    expect(writeCode()).toBe('LOG_DAMAGED')
  })

  test('a patch that is no JSON', () => {
    filled()
    withRaw((db) => db.exec("UPDATE records SET patch = '{'"))
    expect(codeOf(() => [...openChangeLog(file).records()])).toBe('LOG_DAMAGED')
  })
})

describe('a log of an earlier version', () => {
  const migrations = [...MIGRATIONS, (db: Database.Database) => db.exec('ALTER TABLE objects ADD COLUMN owner TEXT')]

  test('is migrated when it is opened for writing, and nothing in it is lost', () => {
    filled()
    const migrated = openForWriting(file, { durability: 'normal', migrations })
    opened.push(migrated)
    expect(migrated.db.pragma('user_version', { simple: true })).toBe(MIGRATIONS.length + 1)
    expect(migrated.db.prepare('SELECT name, owner FROM objects').all()).toEqual([{ name: 'web', owner: null }])
  })

  test('stays as it was when a step fails', () => {
    filled()
    const failing = [
      ...migrations,
      () => {
        throw new Error('the step failed')
      },
    ]
    expect(() => openForWriting(file, { durability: 'normal', migrations: failing })).toThrow('the step failed')
    const log = openChangeLog(file)
    opened.push(log)
    expect([...log.records()]).toHaveLength(1)
  })

  test('of version 1 is read as it is, and takes ServiceCIDRs and keeps its authors once it is migrated', () => {
    filled()
    withRaw((db) => {
      const view = db.prepare("SELECT sql FROM sqlite_schema WHERE name = 'history'").pluck().get()
      db.exec(`
        DELETE FROM kinds WHERE name = 'ServiceCIDR';
        DROP VIEW history;
        DROP TABLE authors;
        CREATE TABLE authors (id INTEGER PRIMARY KEY, manager TEXT NOT NULL, operation TEXT NOT NULL,
          subresource TEXT NOT NULL, UNIQUE (manager, operation, subresource));
        ${String(view)};
        INSERT INTO authors VALUES (1, 'kubectl-edit', 'Update', '');
        UPDATE records SET author_id = 1;
      `)
      db.pragma('user_version = 1')
    })
    const author = { manager: 'kubectl-edit', operation: 'Update' }
    const before = openChangeLog(file)
    expect([...before.records()]).toMatchObject([{ author }])
    expect(before.info()).toMatchObject({ schemaVersion: 1, kinds: { Service: 1, ServiceCIDR: 0 } })
    closed(before)

    const log = write()
    const { added } = createEventMaker(Date.UTC(2027, 0, 1))
    const object = serviceCidr({ name: 'kubernetes', cidrs: ['10.96.0.0/12'] })
    log.appendSync([{ type: 'event', event: added(object) }])
    expect(log.info()).toMatchObject({ schemaVersion: MIGRATIONS.length, kinds: { Service: 1, ServiceCIDR: 1 } })
    expect([...log.records({ kinds: ['Service'] })]).toMatchObject([{ author }])
    expect([...log.records({ kinds: ['ServiceCIDR'] })]).toMatchObject([{ name: 'kubernetes', object: object }])
    closed(log)
    withRaw((db) =>
      expect(db.prepare('SELECT kind, name FROM history ORDER BY seq').raw().all()).toEqual([
        ['Service', 'web'],
        ['ServiceCIDR', 'kubernetes'],
      ]),
    )
  })

  test('cannot be read before that where a step changes what is there', () => {
    filled()
    expect(codeOf(() => openForReading(file, { migrations }))).toBe('LOG_TOO_OLD')
  })
})

describe('one writer', () => {
  test('keeps another one out, until it closes', () => {
    const first = write()
    expect(writeCode()).toBe('LOG_LOCKED')
    expect(first.appendSync([event()])).toHaveLength(1)
    closed(first)
    expect(write().head).toBe(1)
  })

  test('leaves one plain file behind', () => {
    filled()
    expect(['', '-wal', '-shm', '-lock', '-journal'].filter((suffix) => existsSync(file + suffix))).toEqual([''])
  })

  test('makes files that their owner alone can read', () => {
    const umask = process.umask(0)
    try {
      write().appendSync([event()])
    } finally {
      process.umask(umask)
    }
    expect(['', '-wal', '-shm', '-lock'].map((suffix) => mode(file + suffix))).toEqual(['600', '600', '600', '600'])
  })
})

describe('the files of a log that was there', () => {
  const SUFFIXES = ['', '-wal', '-shm', '-lock']
  const loosely = (path: string): void => {
    writeFileSync(path, '')
    chmodSync(path, 0o666)
  }

  test.each(['itself', 'a symbolic link to it'])("become their owner's alone, by %s", (how) => {
    const real = join(directory, 'real.db')
    for (const suffix of ['', '-lock']) loosely(`${real}${suffix}`)
    if (how === 'itself') file = real
    else symlinkSync('real.db', file)
    const umask = process.umask(0)
    try {
      write().appendSync([event()])
    } finally {
      process.umask(umask)
    }
    expect(SUFFIXES.map((suffix) => mode(`${real}${suffix}`))).toEqual(['600', '600', '600', '600'])
  })

  test('also those that a writer left that was killed', () => {
    const log = write()
    log.appendSync([event()])
    const copy = join(directory, 'copy.db')
    for (const suffix of ['', '-wal']) {
      writeFileSync(`${copy}${suffix}`, readFileSync(`${file}${suffix}`))
      chmodSync(`${copy}${suffix}`, 0o644)
    }
    file = copy
    expect(write().head).toBe(1)
    expect(SUFFIXES.map((suffix) => mode(`${copy}${suffix}`))).toEqual(['600', '600', '600', '600'])
  })

  test('keep their mode where they are no log', () => {
    writeFileSync(file, 'text'.repeat(1000))
    chmodSync(file, 0o644)
    expect(writeCode()).toBe('LOG_NOT_A_LOG')
    expect(mode(file)).toBe('644')
  })

  test('have one lock, by whatever name the log is opened', () => {
    filled()
    write()
    const real = file
    file = join(directory, 'link.db')
    symlinkSync(real, file)
    expect(writeCode()).toBe('LOG_LOCKED')
  })

  test('are none where the symbolic link leads nowhere, or in a circle', () => {
    symlinkSync('nothing', file)
    expect([readCode(), writeCode(), codeOf(() => refuseOthersLog(file))]).toEqual(Array(3).fill('LOG_NOT_FOUND'))
    expect(existsSync(join(directory, 'nothing'))).toBe(false)
    file = join(directory, 'circle.db')
    symlinkSync('circle.db', file)
    expect([readCode(), writeCode(), codeOf(() => refuseOthersLog(file))]).toEqual(Array(3).fill('LOG_IO'))
  })

  test('are none where the lock is a link to somewhere else', () => {
    symlinkSync(join(directory, 'elsewhere'), `${file}-lock`)
    expect(writeCode()).toBe('LOG_NOT_PRIVATE')
    expect(existsSync(join(directory, 'elsewhere'))).toBe(false)
  })
})

describe('who else can change a log', () => {
  const refused = (change: () => void): string | undefined => {
    filled()
    change()
    expect(codeOf(() => refuseOthersLog(file))).toBe('LOG_NOT_PRIVATE')
    return whoElseCanWrite(file)?.replaceAll(directory, 'D')
  }

  test("nobody, in a folder of one's own, also below /tmp, and where it is not there yet", () => {
    expect(whoElseCanWrite(file)).toBeUndefined()
    expect(whoElseCanWrite(join(directory, 'a', 'b', 'log.db'))).toBeUndefined()
    filled()
    chmodSync(file, 0o644)
    expect(whoElseCanWrite(file)).toBeUndefined()
  })

  test.each([
    ['the file is open to all', () => chmodSync(file, 0o666), 'D/log.db is writable by others: mode 0666'],
    ['the file is open to the group', () => chmodSync(file, 0o660), 'D/log.db is writable by others: mode 0660'],
    ['the folder is open to all', () => chmodSync(directory, 0o777), 'D is writable by others: mode 0777'],
    ['the folder is open to the group', () => chmodSync(directory, 0o770), 'D is writable by others: mode 0770'],
    ['the folder is as /tmp', () => chmodSync(directory, 0o1777), 'D is writable by others: mode 1777'],
    [
      'its -wal is open to all',
      () => (writeFileSync(`${file}-wal`, ''), chmodSync(`${file}-wal`, 0o666)),
      'D/log.db-wal is writable by others: mode 0666',
    ],
    [
      'its journal is a link',
      () => symlinkSync('/etc/passwd', `${file}-journal`),
      'D/log.db-journal is not a regular file',
    ],
    ['it has a second name', () => linkSync(file, `${file}.2`), 'D/log.db has more than one hard link'],
    [
      'a folder on the way is open to all',
      () => {
        mkdirSync(join(directory, 'open', 'own'), { recursive: true })
        chmodSync(join(directory, 'open'), 0o777)
        file = join(directory, 'open', 'own', 'log.db')
      },
      'D/open is writable by others: mode 0777',
    ],
    [
      'a link to it is where all may write',
      () => {
        mkdirSync(join(directory, 'open'))
        symlinkSync(file, join(directory, 'open', 'log.db'))
        chmodSync(join(directory, 'open'), 0o777)
        file = join(directory, 'open', 'log.db')
      },
      'D/open is writable by others: mode 0777',
    ],
  ])('others, where %s', (_, change, why) => {
    expect(refused(change)).toBe(why)
    chmodSync(directory, 0o700)
  })

  test.runIf(process.geteuid?.() === 0).each([
    ['file', () => chownSync(file, 1000, 1000), 'D/log.db belongs to user 1000'],
    ['folder', () => chownSync(directory, 1000, 1000), 'D belongs to user 1000'],
  ])('another user, who owns the %s', (_, change, why) => {
    expect(refused(change)).toBe(why)
  })
})

describe('readers', () => {
  test('read while a writer appends, and hold nobody up', () => {
    const log = write()
    log.appendSync([event('a')])
    const reader = openChangeLog(file)
    opened.push(reader)
    const reading = reader.records()[Symbol.iterator]()
    reading.next()
    log.appendSync([event('b')])
    expect(log.head).toBe(2)
    expect([...reader.records()]).toHaveLength(2)
    closed(log)
    expect([...reader.records()]).toHaveLength(2)
  })

  test('that have a log open do not keep a writer from it', () => {
    filled()
    const reader = openChangeLog(file)
    opened.push(reader)
    expect(reader.info().lastSeq).toBe(1)
    const log = write()
    log.appendSync([event('b')])
    expect(reader.info().lastSeq).toBe(2)
  })

  test('change nothing', () => {
    filled()
    const before = readFileSync(file)
    chmodSync(file, 0o400)
    const reader = openChangeLog(file)
    expect([...reader.records()]).toHaveLength(1)
    reader.close()
    expect(readFileSync(file)).toEqual(before)
    expect(existsSync(`${file}-wal`)).toBe(false)
  })
})

describe('durability', () => {
  test.each([
    ['full', 2],
    ['normal', 1],
  ] as const)('%s is the level of synchronous that is in force', (durability, level) => {
    const log = openForWriting(file, { durability })
    opened.push(log)
    const { db } = log
    expect([db.pragma('synchronous', { simple: true }), db.pragma('journal_mode', { simple: true })]).toEqual([
      level,
      'wal',
    ])
  })
})

describe('the log belongs to', () => {
  test('one node', () => {
    closed(write({ node: 'node-a' }))
    expect(writeCode({ node: 'node-b' })).toBe('LOG_OTHER_NODE')
    const log = write({ node: 'node-a' })
    expect(log.info().nodeName).toBe('node-a')
    expect(codeOf(() => log.setNode('node-b'))).toBe('LOG_OTHER_NODE')
  })

  test('one cluster, also after it was closed', () => {
    const log = write()
    const { added } = createEventMaker()
    const kubernetes = (uid: string): LogEntry => ({
      type: 'event',
      event: added(service({ name: 'kubernetes', namespace: 'default', uid })),
    })
    log.appendSync([kubernetes('one')])
    closed(log)
    expect(write().appendSync([kubernetes('two')])).toMatchObject([{ type: 'refused', code: 'OTHER_CLUSTER' }])
  })

  test('a boot of the machine, and another one is noted', () => {
    const log = write({ bootId: 'first' })
    log.appendSync([event()])
    closed(log)
    closed(write({ bootId: 'first' }))
    const later = write({ bootId: 'second' })
    expect([...later.records()].slice(1)).toMatchObject([
      { type: 'notice', code: 'BOOT', observedAt: later.lastObservedAt, details: { before: 'first', now: 'second' } },
    ])
    expect(later.info()).toMatchObject({ bootId: 'second', counts: { notice: 1 } })
  })
})

test('after a batch that failed, the log goes on as if it had never been', () => {
  const log = write({ snapshotEvery: 2 })
  const { added } = createEventMaker()
  const [one, two, three] = ['one', 'two', 'three'].map((name): LogEntry => ({
    type: 'event',
    event: added(service({ name })),
  }))
  if (one === undefined || two === undefined || three === undefined) throw new Error('three events')
  log.appendSync([one])
  expect(() => log.appendSync([two, undefined as never])).toThrow(TypeError)
  expect(log.head).toBe(1)
  expect([...log.records()]).toHaveLength(1)
  expect(log.appendSync([two, three])).toMatchObject([
    { type: 'appended', seq: 2 },
    { type: 'appended', seq: 3 },
  ])
  expect(log.objectsAt(seq(3)).objects).toHaveLength(3)
  expect(log.info()).toMatchObject({ counts: { object: 3 }, snapshots: 1 })
})

test('a change of a slice of a hundred endpoints costs what changed', () => {
  const log = write({ snapshotEvery: 1_000_000 })
  const endpoints = (ready: boolean) =>
    Array.from({ length: 100 }, (_, index) => ({
      addresses: [`10.244.1.${index}`],
      conditions: { ready: ready || index !== 50, serving: true, terminating: false },
      nodeName: `node-${index}`,
      targetRef: {
        kind: 'Pod',
        namespace: 'shop',
        name: `web-${index}`,
        uid: `00000000-0000-4000-8000-0000000000${index}`,
      },
    }))
  const object = (version: number) => ({
    kind: 'EndpointSlice' as const,
    metadata: {
      name: 'web-1',
      namespace: 'shop',
      uid: 'u',
      resourceVersion: String(version),
      labels: { 'kubernetes.io/service-name': 'web' },
    },
    addressType: 'IPv4',
    endpoints: endpoints(version % 2 === 0),
  })
  log.appendSync(
    Array.from({ length: 5000 }, (_, index): LogEntry => ({
      type: 'event',
      event: { type: index === 0 ? 'ADDED' : 'MODIFIED', observedAt: index, object: object(index) },
    })),
  )
  expect(log.info().bytes / 5000).toBeLessThan(150)
})

test('notices of one time are found again, and many of them cost no more each than few', () => {
  const log = write()
  const notices = Array.from({ length: 50_000 }, (_, index): LogEntry => ({
    type: 'notice',
    observedAt: 1000 + (index % 2),
    code: 'BAD_LINE',
    message: `line ${index}`,
    details: {},
  })).toSorted((one, other) => timeOfEntry(one) - timeOfEntry(other))
  const append = (target: typeof log) =>
    Array.from({ length: 50 }, (_, batch) => target.appendSync(notices.slice(batch * 1000, batch * 1000 + 1000))).flat()
  const appended = append(log)
  expect(new Set(appended.map(({ type }) => type))).toEqual(new Set(['appended']))
  const duplicates = appended.map((outcome) => ({ ...outcome, type: 'duplicate' }))
  expect(append(log)).toEqual(duplicates)
  closed(log)
  expect(append(write())).toEqual(duplicates)
}, 60_000)

const timeOfEntry = (entry: LogEntry): number => (entry.type === 'event' ? entry.event.observedAt : entry.observedAt)
