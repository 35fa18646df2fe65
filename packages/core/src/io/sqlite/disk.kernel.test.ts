import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { describeKernel } from '../../testing/kernel-test.js'

const BUILT = fileURLToPath(new URL('../../../dist/', import.meta.url))

/** In a mount namespace of its own: a disk of one megabyte that vanishes with the process. */
const PRELUDE = `
  import { openChangeLog, openChangeLogWriter } from ${JSON.stringify(join(BUILT, 'io/sqlite/change-log.js'))}
  import { churn } from ${JSON.stringify(join(BUILT, 'testing/churn.js'))}
  import { execFileSync } from 'node:child_process'
  import { existsSync, rmSync, writeFileSync } from 'node:fs'
  const disk = process.argv[1]
  const file = disk + '/log.db'
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', disk])
  const events = [...churn({ services: 20, events: 5000 })]
  const entries = (from, to) => events.slice(from, to).map((event) => ({ type: 'event', event }))
  const codeOf = (run) => { try { run(); return 'ok' } catch (error) { return error.code ?? String(error) } }
  const tell = (what) => console.log(JSON.stringify(what))
  const remount = (how) => execFileSync('mount', ['-o', 'remount,' + how, disk])
`

const missing =
  spawnSync('unshare', ['-m', 'true']).status === 0 ? undefined : 'it needs root and unshare(1), to mount a small disk'

describeKernel('a change log on a disk that fails', missing, () => {
  let disk = ''
  beforeEach(() => {
    disk = mkdtempSync(join(tmpdir(), 'pointsman-disk-'))
  })
  afterEach(() => rmSync(disk, { recursive: true }))

  const onDisk = (script: string): unknown[] => {
    if (!existsSync(BUILT)) throw new Error('run `npm run check` or `npm test` first: this test runs what they build')
    const args = ['-m', process.execPath, '--input-type=module', '-e', PRELUDE + script, disk]
    const { status, stdout, stderr } = spawnSync('unshare', args, { encoding: 'utf8' })
    if (status !== 0) throw new Error(stderr)
    return stdout
      .trim()
      .split('\n')
      .map((line): unknown => JSON.parse(line))
  }

  test('full: the batch is not in the log, nothing is torn, and with space again it goes on', () => {
    const [full, after, goneOn, whole] = onDisk(`
      writeFileSync(disk + '/ballast', Buffer.alloc(400_000))
      const log = openChangeLogWriter(file, { durability: 'full', snapshotEvery: 200 })
      let code = 'ok'
      let at = 0
      while (code === 'ok' && at < events.length) { code = codeOf(() => log.appendSync(entries(at, at + 50))); if (code === 'ok') at += 50 }
      tell({ code, head: log.head === at, again: codeOf(() => log.appendSync(entries(at, at + 50))) })
      const reader = openChangeLog(file)
      tell({ records: [...reader.records()].length === at, head: reader.info().lastSeq === at, objects: reader.objectsAt(at).objects.length })
      reader.close()
      rmSync(disk + '/ballast')
      tell({ code: codeOf(() => log.appendSync(entries(at, at + 50))), head: log.head === at + 50 })
      log.close()
      tell(codeOf(() => { const log = openChangeLog(file); if ([...log.records()].length !== at + 50) throw new Error('records are missing'); log.close() }))
    `)
    expect(full).toEqual({ code: 'LOG_FULL', head: true, again: 'LOG_FULL' })
    expect(after).toEqual({ records: true, head: true, objects: 41 })
    expect(goneOn).toEqual({ code: 'ok', head: true })
    expect(whole).toBe('ok')
  })

  test('full before there is a log', () => {
    const [code] = onDisk(`
      try { writeFileSync(disk + '/ballast', Buffer.alloc(2_000_000)) } catch {}
      tell(codeOf(() => openChangeLogWriter(file, { durability: 'full' })))
    `)
    expect(code).toBe('LOG_FULL')
  })

  test('read-only: it cannot be written, and can be read', () => {
    expect(
      onDisk(`
        const log = openChangeLogWriter(file, { durability: 'full' })
        log.appendSync(entries(0, 100))
        log.close()
        remount('ro')
        tell(codeOf(() => openChangeLogWriter(file, { durability: 'full' })))
        const reader = openChangeLog(file)
        tell([...reader.records()].length)
        reader.close()
      `),
    ).toEqual(['LOG_READ_ONLY', 100])
  })

  test('read-only, with what a killed writer left: all of it can be read, and nothing is left behind', () => {
    expect(
      onDisk(`
        const script = "import { openChangeLogWriter } from '" + ${JSON.stringify(join(BUILT, 'io/sqlite/change-log.js'))} + "';"
          + "import { churn } from '" + ${JSON.stringify(join(BUILT, 'testing/churn.js'))} + "';"
          + "const log = openChangeLogWriter(process.argv[1], { durability: 'full' });"
          + "log.appendSync([...churn({ services: 20, events: 10 })].map((event) => ({ type: 'event', event })));"
          + "process.kill(process.pid, 'SIGKILL')"
        try { execFileSync(process.execPath, ['--input-type=module', '-e', script, file]) } catch {}
        rmSync(file + '-shm')
        tell(existsSync(file + '-wal'))
        remount('ro')
        const reader = openChangeLog(file)
        tell([...reader.records()].length)
        reader.close()
      `),
    ).toEqual([true, 54])
  })

  test('read-only while it is open: an append says so, and goes on when it can be written again', () => {
    const [first, second] = onDisk(`
      const log = openChangeLogWriter(file, { durability: 'full' })
      log.appendSync(entries(0, 100))
      rmSync(disk + '/none', { force: true })
      tell(codeOf(() => { remount('ro'); log.appendSync(entries(100, 200)) }))
      try { remount('rw') } catch {}
      tell(codeOf(() => log.appendSync(entries(100, 200))))
    `)
    // A kernel may refuse to make a disk read-only under an open file; then the command fails, and not the log.
    expect([first, second]).toEqual([expect.anything(), 'ok'])
  })
})
