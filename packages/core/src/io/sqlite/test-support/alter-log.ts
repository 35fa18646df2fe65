import { brotliCompressSync, constants } from 'node:zlib'
import Database from 'better-sqlite3'

/** What an alteration is chosen with: `below(n)` is from 0 to below n. */
export interface Choices {
  readonly below: (end: number) => number
  readonly pick: <T>(items: readonly [T, ...T[]]) => T
}

/** A change log as somebody else could have left it: rows, columns, tables, views and triggers that no writer of ours makes. */
export function alterLog(log: Buffer, choices: Choices): Buffer {
  const db = new Database(log)
  try {
    db.unsafeMode(true)
    // Rows first: a view in a table's place may have no end.
    for (let count = choices.pick([0, 1, 1, 3]); count > 0; count--) refusable(() => changeRow(db, choices))
    for (let count = choices.pick([0, 0, 1, 2]); count > 0; count--)
      refusable(() => db.exec(choices.pick(SCHEMA_CHANGES)))
    return db.serialize()
  } finally {
    db.close()
  }
}

/** What SQLite itself refuses is no input. */
function refusable(change: () => unknown): void {
  try {
    change()
  } catch (error) {
    if (!(error instanceof Database.SqliteError) && !(error instanceof RangeError)) throw error
  }
}

/** A page of the file, or the header before the first, with other bits. */
export function flipPages(log: Buffer, choices: Choices): Buffer {
  const altered = Buffer.from(log)
  const pageSize = 4096
  const pages = Math.max(1, Math.floor(altered.length / pageSize))
  for (let count = choices.pick([1, 3, 30]); count > 0; count--) {
    const page = choices.below(pages) * pageSize
    switch (choices.below(5)) {
      case 0:
        altered.fill(0, page, page + pageSize)
        break
      case 1:
        altered.copy(altered, page, choices.below(pages) * pageSize, choices.below(pages) * pageSize + pageSize)
        break
      case 2:
        // The header of the file, or of a page: counts, pointers, the kind of page.
        altered[page + choices.below(page === 0 ? 108 : 12)] = choices.below(256)
        break
      default: {
        const at = choices.below(altered.length)
        altered[at] = (altered[at] ?? 0) ^ (1 << choices.below(8))
      }
    }
  }
  return altered
}

function changeRow(db: Database.Database, choices: Choices): void {
  const [table, columns] = choices.pick(COLUMNS)
  const column = choices.pick(columns)
  const rows = db.prepare<[], { readonly count: number }>(`SELECT count(*) AS count FROM ${table}`).get()?.count ?? 0
  const offset = choices.below(rows + 1)
  const where =
    choices.below(6) === 0 ? '' : ` WHERE ${column} IS (SELECT ${column} FROM ${table} LIMIT 1 OFFSET ${offset})`
  if (choices.below(8) === 0) {
    db.exec(`DELETE FROM ${table}${where}`)
    return
  }
  db.prepare(`UPDATE ${table} SET ${column} = ?${where}`).run(choices.pick(choices.pick(VALUES)))
}

type Columns = readonly [table: string, columns: readonly [string, ...string[]]]
const COLUMNS: readonly [Columns, ...Columns[]] = [
  [
    'records',
    [
      'seq',
      'type',
      'flags',
      'observed_at',
      'object_id',
      'resource_version',
      'author_id',
      'author_time',
      'patch',
      'patch',
      'patch',
    ],
  ],
  ['objects', ['id', 'kind', 'namespace', 'name', 'uid', 'ended_seq']],
  ['authors', ['id', 'manager', 'operation', 'subresource']],
  ['slice_services', ['namespace', 'service', 'object_id']],
  ['snapshots', ['seq', 'observed_at', 'received', 'received', 'objects']],
  ['snapshot_chunks', ['id', 'snapshot_seq', 'first_object_id', 'lines', 'lines']],
  ['counts', ['type', 'kind', 'count']],
  ['meta', ['key', 'value']],
  ['kinds', ['id', 'name']],
  ['types', ['id', 'name']],
]

const brotli = (bytes: string | Buffer): Buffer =>
  brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 1 } })

const nested = (depth: number): string => `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`

type Value = string | number | bigint | Buffer | null
const VALUES: readonly [readonly [Value, ...Value[]], ...(readonly [Value, ...Value[]])[]] = [
  [
    null,
    '',
    0,
    -1,
    1,
    7,
    255,
    2 ** 31,
    2 ** 53,
    -(2 ** 53),
    0.5,
    1e308,
    9_223_372_036_854_775_807n,
    -9_223_372_036_854_775_808n,
    8.64e15 + 1,
  ],
  ['text', '\u001B[31mred\u0007', '\r\nFAKE LINE', '\u202Egnp\u009B', '__proto__', 'x'.repeat(1_000_000), '\u0000'],
  [
    '[]',
    '{}',
    'null',
    '5',
    '"text"',
    '{',
    '[{"seq":1}]',
    '{"__proto__":{"a":1}}',
    '{"spec":null,"metadata":5}',
    '{"spec":{"ports":{"a":1}}}',
    '{"metadata":{"name":["x"]},"status":"x"}',
  ],
  [nested(500), nested(5000), nested(100_000), `[${'{},'.repeat(60_000)}{}]`],
  [
    '{"code":"X","message":"\\u001b[31m","counts":null}',
    '{"outcome":5}',
    '{"appliedSeq":"x","durationMs":{}}',
    '{"spec":{"clusterIPs":["1.2.3.4/8"],"ports":[{"port":-5}]}}',
  ],
  [
    Buffer.alloc(0),
    Buffer.from([0xff, 0x00, 0x80]),
    Buffer.alloc(1000, 0xfe),
    brotli(''),
    brotli('1 {}\n'),
    brotli('x {"kind":'),
    brotli('1 null\n2 5\n3 "text"\n'),
    brotli(`1 ${nested(5000)}\n`),
    brotli('1 {"metadata":{"name":5},"spec":[]}\n'.repeat(1000)),
    brotli(Buffer.alloc(64 << 20, 0x20)),
  ],
]

const SCHEMA_CHANGES: readonly [string, ...string[]] = [
  'ALTER TABLE records ADD COLUMN extra TEXT',
  'ALTER TABLE records ADD COLUMN extra TEXT AS (hex(zeroblob(100000000))) VIRTUAL',
  'ALTER TABLE records RENAME COLUMN patch TO old_patch',
  'ALTER TABLE records DROP COLUMN author_time',
  'ALTER TABLE objects RENAME TO other_objects',
  'ALTER TABLE objects ADD COLUMN kind2 INTEGER GENERATED ALWAYS AS (kind + 1) VIRTUAL',
  'DROP TABLE records',
  'DROP TABLE snapshot_chunks; CREATE TABLE snapshot_chunks (x)',
  'DROP TABLE meta; CREATE TABLE meta (key TEXT PRIMARY KEY, value)',
  'DROP TABLE counts',
  'DROP TABLE authors; CREATE VIEW authors AS SELECT 1 AS id, 2 AS manager, 3 AS operation, 4 AS subresource',
  'DROP TABLE counts; CREATE VIEW counts AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x AS type, x AS kind, x AS count FROM n',
  'DROP TABLE meta; CREATE VIEW meta AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x AS key, x AS value FROM n',
  'ALTER TABLE records RENAME TO hidden; CREATE VIEW records AS SELECT a.* FROM hidden a, hidden b, hidden c, hidden d',
  "ALTER TABLE snapshots RENAME TO hidden; CREATE VIEW snapshots AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x AS seq, 0 AS observed_at, '' AS received, 0 AS objects FROM n",
  'CREATE TRIGGER on_insert AFTER INSERT ON records BEGIN DELETE FROM records; END',
  "CREATE TRIGGER on_object BEFORE INSERT ON objects BEGIN SELECT RAISE(ABORT, 'no'); END",
  'CREATE TRIGGER on_meta AFTER UPDATE ON meta BEGIN INSERT INTO records (type, flags, observed_at) SELECT 8, 0, 0 FROM records a, records b, records c; END',
  'DROP INDEX records_by_object',
  'DROP INDEX objects_by_name; CREATE INDEX objects_by_name ON objects (abs(random()), name)',
  'CREATE UNIQUE INDEX one_type ON records (type) WHERE type > 90',
  'CREATE TABLE sqlite_like (x); INSERT INTO sqlite_like VALUES (zeroblob(1000000))',
  'CREATE VIRTUAL TABLE words USING fts5(x)',
  "DROP VIEW history; CREATE VIEW history AS SELECT load_extension('x')",
  'PRAGMA user_version = 0',
  'PRAGMA user_version = 99',
  'PRAGMA user_version = -1',
  'PRAGMA application_id = 0',
  'PRAGMA journal_mode = DELETE',
  'PRAGMA auto_vacuum = FULL; VACUUM',
  'PRAGMA page_size = 512; VACUUM',
  "PRAGMA encoding = 'UTF-16'; VACUUM",
  "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, 'patch TEXT', 'patch BLOB DEFAULT (randomblob(9))')",
  "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET rootpage = 2 WHERE name = 'records'",
  "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET rootpage = 99999 WHERE name = 'objects'",
  "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = 'CREATE TABLE records(' WHERE name = 'records'",
  "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET type = 'view' WHERE name = 'meta'",
  'PRAGMA writable_schema = ON; DELETE FROM sqlite_schema',
  "INSERT INTO records SELECT seq + 1000, type, flags, observed_at, object_id, resource_version || '0', author_id, author_time, patch FROM records",
  "INSERT INTO objects (kind, namespace, name, uid) VALUES (9, '\u001B[31m', '', 'x')",
  'INSERT INTO records (seq, type, flags, observed_at, patch) VALUES (9000000000000000, 8, 0, 0, \'{"code":"X","message":"y"}\')',
  "INSERT INTO records (seq, type, flags, observed_at, patch) VALUES (500, 6, 0, 8640000000000001, '{}')",
  "INSERT INTO records (seq, type, flags, observed_at, patch) VALUES (501, 7, 0, 1, 'null')",
  "INSERT OR REPLACE INTO snapshots VALUES (100, 0, '{}', 5)",
]
