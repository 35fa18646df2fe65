import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import Database from 'better-sqlite3'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { LogEntry } from '../../model/record.js'
import { readRecording } from '../files/read-recording.js'
import { openChangeLogWriter } from './change-log.js'

const root = new URL('../../../../../', import.meta.url)
const text = readFileSync(new URL('docs/change-log.md', root), 'utf8')
const questions = [...text.matchAll(/```sql\n([^`]*)```\n\n```text\n([^`]*)```/g)].map(
  ([, query = '', answer = '']) => [query, answer],
)

let directory = ''
let db: Database.Database

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'pointsman-document-'))
  const file = join(directory, 'shop.db')
  const log = openChangeLogWriter(file, { durability: 'normal' })
  log.appendSync(await shopEvents())
  log.close()
  db = new Database(file, { readonly: true })
})
afterAll(() => {
  db.close()
  rmSync(directory, { recursive: true })
})

describe('docs/change-log.md', () => {
  test('has questions with their answers', () => {
    expect(questions.length).toBeGreaterThan(3)
  })

  test.each(questions)('%s', (query, answer) => {
    const rows = db.prepare(query).raw().all() as (string | number | null)[][]
    expect(rows.map((row) => `${row.map((value) => String(value ?? '')).join('|')}\n`).join('')).toBe(answer)
  })
})

async function shopEvents(): Promise<LogEntry[]> {
  const file = fileURLToPath(new URL('fixtures/recordings/shop-incident/watch.jsonl', root))
  const entries: LogEntry[] = []
  const { batches } = await readRecording([file], process.stdin)
  for await (const batch of batches) {
    for (const item of batch) if (item.type === 'event') entries.push({ type: 'event', event: item.event })
  }
  return entries
}
