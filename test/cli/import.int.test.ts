import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { openChangeLog } from '@pointsman/core/io'
import { afterAll, describe, expect, test } from 'vitest'
import { differencesOf } from '../support/goldens.js'
import { JSON_SCHEMAS, schemaProblems } from '../support/json-schemas.js'
import { POINTSMAN, runPointsman } from '../support/run-pointsman.js'
import { SHOP_RECORDING, temporaryFolder } from '../support/shop.js'

const folder = temporaryFolder()
afterAll(folder.remove)
const lines = readFileSync(SHOP_RECORDING, 'utf8').trim().split('\n')

function recordsOf(path: string): readonly string[] {
  const reader = openChangeLog(path)
  try {
    return [...reader.records()].map((record) => JSON.stringify(record))
  } finally {
    reader.close()
  }
}

test('says what was imported, and what to do next; the log is for its owner alone', async () => {
  const log = folder.path('shop.db')
  const { status, stdout, stderr } = await runPointsman(['import', SHOP_RECORDING, '--log', log])
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  expect(stdout.replaceAll(log, 'shop.db')).toBe(
    [
      'imported 128 events into shop.db, 2026-11-21T02:24:30.956Z to 2026-11-21T02:24:50.504Z (19.5 s)',
      '   19  of Services',
      '  105  of EndpointSlices',
      '    1  of Nodes',
      '    3  bookmarks',
      'next: pointsman services --log shop.db',
      '',
    ].join('\n'),
  )
  expect(statSync(log).mode & 0o777).toBe(0o600)
})

describe('a log that is there before it is written (fixtures/security/12-existing-log-file-mode)', () => {
  test("becomes its owner's alone, also through a symbolic link", async () => {
    const [real, link] = [folder.path('empty.db'), folder.path('link.db')]
    writeFileSync(real, '', { mode: 0o644 })
    symlinkSync('empty.db', link)
    const { status, stderr } = await runPointsman(['import', SHOP_RECORDING, '--log', link])
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(statSync(real).mode & 0o777).toBe(0o600)
    expect(recordsOf(real)).toHaveLength(128)
  })

  test('is written with a warning, and not run from, where others may write its folder', async () => {
    mkdirSync(folder.path('open'))
    chmodSync(folder.path('open'), 0o777)
    const log = folder.path('open/log.db')
    const imported = await runPointsman(['import', SHOP_RECORDING, '--log', log])
    expect(imported).toMatchObject({
      status: 0,
      stderr: `warning: ${log} can be modified by other users, so its contents may not be trusted (${folder.path('open')} is writable by others: mode 0777)\n`,
    })
    const run = await runPointsman(['run', '--log', log, '--hostname-override', 'a', '--master', 'http://127.0.0.1:1'])
    expect(run.status).toBe(2)
    expect(run.stderr).toMatch(
      /^(?:warning: .*\n)*error: .*open\/log\.db: other users can modify the log .*mode 0777\)\n$/,
    )
  })

  test('is one line where its symbolic link leads nowhere', async () => {
    const log = folder.path('dangling.db')
    symlinkSync('nothing', log)
    for (const args of [
      ['import', SHOP_RECORDING, '--log', log],
      ['run', '--log', log, '--hostname-override', 'a', '--master', 'http://127.0.0.1:1'],
      ['services', '--log', log],
    ]) {
      const { status, stderr } = await runPointsman(args)
      expect({ args, status }).toEqual({ args, status: 2 })
      expect(stderr).toMatch(/^(?:warning: .*\n)*error: .*dangling\.db: no such file: .*\n$/)
    }
    expect(existsSync(folder.path('nothing'))).toBe(false)
  })
})

test('a second import of the same finds nothing new', async () => {
  const log = folder.path('twice.db')
  await runPointsman(['import', SHOP_RECORDING, '--log', log])
  const before = recordsOf(log)
  const { status, stdout } = await runPointsman(['import', SHOP_RECORDING], { env: { POINTSMAN_LOG: log } })
  expect(status).toBe(0)
  expect(stdout).toContain('nothing new')
  expect(stdout).toContain('128  in the log already')
  expect(recordsOf(log)).toEqual(before)
})

test('two halves, one of them zipped and on standard input, make the same log as the whole', async () => {
  const whole = folder.path('whole.db')
  await runPointsman(['import', SHOP_RECORDING, '--log', whole])
  const odd = folder.path('odd.jsonl')
  writeFileSync(odd, lines.filter((_, index) => index % 2 === 1).join('\r\n'))
  const even = gzipSync(lines.filter((_, index) => index % 2 === 0).join('\n'))
  const log = folder.path('halves.db')
  const { status } = await runPointsman(['import', '-', odd, '--log', log], { input: even })
  expect(status).toBe(0)
  // Events of one millisecond may change places; each object's own order stays.
  expect(recordsOf(log)).toHaveLength(128)
  const services = async (path: string): Promise<string> =>
    (await runPointsman(['services', '--log', path, '-o', 'jsonl'])).stdout
  expect(await services(log)).toBe(await services(whole))
})

test('what kubectl prints is imported, with times that are marked as estimated', async () => {
  const log = folder.path('kubectl.db')
  const kubectl = new URL('../../fixtures/wire/kubectl-watch-events.json', import.meta.url).pathname
  const { status, stdout } = await runPointsman(['import', kubectl, '--log', log])
  expect(status).toBe(0)
  expect(stdout).toContain('imported 10 events')
  expect(stdout).toContain('10  with estimated times: the recording has none')
  expect(recordsOf(log).every((record) => record.includes('"estimated":true'))).toBe(true)
})

test('--endpoints takes Endpoints objects in place of EndpointSlices', async () => {
  const golden = (file: string): string =>
    fileURLToPath(
      new URL(`../../fixtures/golden/kube-proxy-1.20/external-traffic-policy-local/${file}`, import.meta.url),
    )
  const { items } = JSON.parse(readFileSync(golden('objects.json'), 'utf8')) as { readonly items: readonly object[] }
  const recording = folder.path('endpoints.jsonl')
  const at = '2026-11-21T02:24:30Z'
  writeFileSync(
    recording,
    items.map((object) => `${JSON.stringify({ observedAt: at, type: 'ADDED', object })}\n`).join(''),
  )
  const log = folder.path('endpoints.db')
  const { status, stdout } = await runPointsman(['import', '--endpoints', recording, '--log', log])
  expect({ status, stdout }).toEqual({ status: 0, stdout: expect.stringContaining('2 EndpointSlice') as string })
  const question = ['--log', log, '--config', golden('config.json'), '--layout', 'classic']
  const rendered = await runPointsman(['render', ...question])
  expect(await differencesOf(readFileSync(golden('iptables-save.txt'), 'utf8'), rendered.stdout)).toEqual([])
  const blamed = await runPointsman(['blame', 'default/nolocal', ...question])
  expect(blamed.stdout).toContain('nat KUBE-XLB-')
  const replayed = await runPointsman(['replay', log, ...question.slice(2), '-o', 'json'])
  expect(replayed.status).toBe(0)
})

describe('a recording with lines that are no events', () => {
  const broken = folder.path('broken.jsonl')
  writeFileSync(
    broken,
    [
      ...lines.slice(0, 50),
      'oops',
      '{"type":"ADDED","object":{"kind":"Pod","metadata":{"name":"p"}}}',
      ...lines.slice(50),
    ].join('\n'),
  )

  test('is imported but for them, each of which is named and kept as a notice', async () => {
    const log = folder.path('broken.db')
    const { status, stdout, stderr } = await runPointsman(['import', broken, '--log', log])
    expect(status).toBe(2)
    expect(stdout).toContain('imported 128 events')
    expect(stdout).toContain('1  passed over: 1 Pod')
    expect(stdout).toContain('1  lines that are no events, kept as notices')
    expect(stderr).toMatch(/^not imported: .*broken\.jsonl:51: BAD_LINE: not JSON: .*\n$/)
    const notices = recordsOf(log).filter((record) => record.includes('"type":"notice"'))
    expect(notices).toEqual([expect.stringContaining('broken.jsonl:51')])
    await runPointsman(['import', broken, '--log', log])
    expect(recordsOf(log)).toHaveLength(129)
  })

  test('is counted in a document of the shape that the documents give', async () => {
    const { stdout } = await runPointsman(['import', broken, '--log', folder.path('broken-json.db'), '-o', 'json'])
    const document = JSON.parse(stdout) as unknown
    expect(schemaProblems(document, JSON_SCHEMAS.ImportSummary)).toEqual([])
    expect(document).toMatchObject({ events: 128, badLines: 1, passedOver: { Pod: 1 }, at: { seq: 129 } })
  })
})

test('events older than the log are refused, each with its file and line', async () => {
  const log = folder.path('late.db')
  const late = folder.path('late.jsonl')
  const early = folder.path('early.jsonl')
  writeFileSync(late, lines.slice(60).join('\n'))
  writeFileSync(early, lines.slice(0, 7).join('\n'))
  await runPointsman(['import', late, '--log', log])
  const { status, stderr, stdout } = await runPointsman(['import', early, '--log', log])
  expect(status).toBe(2)
  expect(stdout).toContain('7  refused')
  expect(stderr).toMatch(/early\.jsonl:1: RECORD_TOO_OLD: observed at 2026-11-21T02:24:30\.956Z/)
})

test("another cluster's events are refused", async () => {
  const log = folder.path('cluster.db')
  const other = folder.path('other.jsonl')
  writeFileSync(
    other,
    '{"observedAt":"2027-01-01T00:00:00Z","type":"ADDED","object":{"kind":"Service","metadata":{"namespace":"default","name":"kubernetes","uid":"other","resourceVersion":"1"}}}\n',
  )
  await runPointsman(['import', SHOP_RECORDING, '--log', log])
  const { status, stderr } = await runPointsman(['import', other, '--log', log])
  expect(status).toBe(2)
  expect(stderr).toContain('other.jsonl:1: OTHER_CLUSTER: ')
})

describe('what cannot be imported leaves no log behind', () => {
  test.each([
    ['a file that is not there', [folder.path('none.jsonl')], /^error: .*none\.jsonl: no such file: check the path\n$/],
    ['a folder', ['/'], /^error: \/: it cannot be read \(it is a directory\)\n$/],
  ])('%s', async (_, files, message) => {
    const log = folder.path('never.db')
    const { status, stdout, stderr } = await runPointsman(['import', ...files, '--log', log])
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
    expect(stderr).toMatch(message)
    expect(existsSync(log)).toBe(false)
  })
})

test('a file that is no log is refused, and left as it is', async () => {
  const file = folder.path('letter.txt')
  writeFileSync(file, 'Dear all, this is no database, but it is long enough to be mistaken for one.\n'.repeat(20))
  const before = readFileSync(file)
  const { status, stderr } = await runPointsman(['import', SHOP_RECORDING, '--log', file])
  expect(status).toBe(2)
  expect(stderr).toMatch(/^error: .*letter\.txt: not a change log: .*\n$/)
  expect(readFileSync(file)).toEqual(before)
})

test('Ctrl-C keeps what came in, closes the log and says how to go on', async () => {
  const log = folder.path('interrupted.db')
  const child = spawn(process.execPath, [POINTSMAN, 'import', '-', '--log', log])
  let stderr = ''
  child.stderr.on('data', (text: Buffer) => (stderr += text.toString()))
  child.stdin.write(`${lines.slice(0, 60).join('\n')}\n`)
  // The log can be read while it is written: that its events are there is the sign to interrupt.
  await expect.poll(() => (existsSync(log) ? countOf(log) : 0), { timeout: 20_000, interval: 20 }).toBe(60)
  child.kill('SIGINT')
  const [status] = (await once(child, 'close')) as [number | null]
  expect(status).toBe(130)
  expect(stderr).toBe(`interrupted: the imported events are kept; to finish: pointsman import - --log ${log}\n`)
  expect(existsSync(`${log}-wal`)).toBe(false)
  const again = await runPointsman(['import', SHOP_RECORDING, '--log', log])
  expect(again.stdout).toContain('imported 68 events')
  expect(countOf(log)).toBe(128)
})

function countOf(path: string): number {
  try {
    return recordsOf(path).length
  } catch {
    // Not a log yet: the first transaction is under way.
    return 0
  }
}

test('a file system that takes no more ends the import with status 3, and what is in the log stays', async () => {
  const log = folder.path('full.db')
  const many = folder.path('many.jsonl')
  // Enough transactions for some of them to fit: a thousand events each.
  const copies = Array.from({ length: 40 }, (_, copy) =>
    lines
      .filter((line) => !line.includes('"BOOKMARK"'))
      .map((line) => line.replaceAll('"shop"', `"shop${copy}"`).replace(/"uid":"/, `"uid":"${copy}-`)),
  )
  const sorted = copies.flat().sort((one, other) => (one.slice(0, 45) < other.slice(0, 45) ? -1 : 1))
  writeFileSync(many, sorted.filter((line) => !line.includes('"kubernetes"')).join('\n'))
  const script = folder.path('limited.sh')
  writeFileSync(script, 'trap "" XFSZ; ulimit -f "$1"; shift; exec "$@"\n')
  const child = spawn('bash', [script, '1500', process.execPath, POINTSMAN, 'import', many, '--log', log])
  let stderr = ''
  child.stderr.on('data', (text: Buffer) => (stderr += text.toString()))
  const [status] = (await once(child, 'close')) as [number | null]
  expect(status).toBe(3)
  expect(stderr).toMatch(/^error: .*full\.db: .*\n$/)
  const kept = countOf(log)
  expect(kept).toBeGreaterThan(0)
  const again = await runPointsman(['import', many, '--log', log])
  expect(again.status).toBe(0)
  expect(countOf(log)).toBeGreaterThan(kept)
})
