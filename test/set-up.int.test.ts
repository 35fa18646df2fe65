import { spawn } from 'node:child_process'
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { root } from './support/source-tree.js'

const INSTALLING = 'setting up: installing (about a minute, once)\n'

/** A clone with a space in its path, whose installer notes when it starts and ends, and leaves what set-up asks for. */
let clone: string

beforeEach(() => {
  clone = join(mkdtempSync(join(tmpdir(), 'set-up-')), 'a clone')
  mkdirSync(join(clone, 'packages/core'), { recursive: true })
  cpSync(join(root, 'scripts'), join(clone, 'scripts'), { recursive: true })
  write('package.json', '{}')
  write('packages/core/package.json', '{}')
  write('pnpm-workspace.yaml', '')
  write('pnpm-lock.yaml', 'lockfileVersion: 1')
  write('tsc.js', '')
  write('esbuild.js', 'export const build = () => ({ metafile: { inputs: {} } })')
  for (const folder of ['packages/cli', 'fixtures/recordings/shop-incident'])
    mkdirSync(join(clone, folder), { recursive: true })
  write('fixtures/recordings/shop-incident/watch.jsonl', '')
  write('addon.js', 'module.exports = class { close() {} }')
  write('installer.mjs', INSTALLER)
  chmodSync(join(clone, 'installer.mjs'), 0o755)
})

afterEach(() => rmSync(join(clone, '..'), { recursive: true, force: true }))

describe('set-up', () => {
  it('installs once, and says so in one line', async () => {
    expect(await setUp()).toEqual({ status: 0, stdout: '', stderr: INSTALLING })
    expect(await setUp()).toEqual({ status: 0, stdout: '', stderr: '' })
    expect(installs()).toBe('start end')
  })

  it.each(['pnpm-lock.yaml', 'pnpm-workspace.yaml', 'package.json', 'packages/core/package.json'])(
    'installs again when %s has changed',
    async (file) => {
      await setUp()
      write(file, '{"changed": true}')
      expect(await setUp()).toEqual({ status: 0, stdout: '', stderr: INSTALLING })
      expect(installs()).toBe('start end start end')
    },
  )

  it('installs from nothing when what is there was made for another Node', async () => {
    await setUp()
    write('node_modules/.pointsman-set-up', `1 linux x64\nhash`)
    write('node_modules/left-over', '')
    expect((await setUp()).status).toBe(0)
    expect(existsSync(join(clone, 'node_modules/left-over'))).toBe(false)
  })

  it('installs from nothing when the addon does not load', async () => {
    await setUp()
    write('packages/core/node_modules/better-sqlite3/index.js', "throw new Error('ERR_DLOPEN_FAILED')")
    expect((await setUp()).status).toBe(0)
    expect(installs()).toBe('start end start end')
  })

  it('says what to do when the addon does not load whatever is installed', async () => {
    write('esbuild.js', 'export const build = () => ({ metafile: { inputs: {} } })')
    for (const folder of ['packages/cli', 'fixtures/recordings/shop-incident'])
      mkdirSync(join(clone, folder), { recursive: true })
    write('fixtures/recordings/shop-incident/watch.jsonl', '')
    write('addon.js', "throw new Error('ERR_DLOPEN_FAILED')")
    const { status, stderr } = await setUp()
    expect(status).toBe(1)
    expect(stderr).toMatch(/better-sqlite3 .* does not load: install python3/)
  })

  it('shows what the installer printed when it fails, then one line, and tries again the next time', async () => {
    write('fail', '')
    const { status, stderr } = await setUp()
    expect(status).toBe(1)
    expect(stderr).toBe(
      `${INSTALLING}no such lockfile\nset-up: the install failed, its output is above: see that the npm registry is reached, then run this again\n`,
    )
    rmSync(join(clone, 'fail'))
    expect((await setUp()).status).toBe(0)
  })

  it('shows what the compiler printed when the build fails', async () => {
    write('tsc.js', "console.log('x.ts(1,1): error'); process.exit(2)")
    const { status, stderr } = await setUp()
    expect(status).toBe(1)
    expect(stderr).toContain('x.ts(1,1): error\nset-up: the build failed')
  })

  it('lets one caller install while the others wait', async () => {
    const results = await Promise.all(Array.from({ length: 4 }, () => setUp()))
    expect(results.map(({ status }) => status)).toEqual([0, 0, 0, 0])
    expect(installs()).toBe('start end')
  })

  it('is not held up by a set-up that was killed, and waits for the installer that it left behind', async () => {
    write('slow', '')
    const first = start()
    await vi.waitFor(() => expect(installs()).toBe('start'), { timeout: 30_000 })
    first.child.kill('SIGKILL')
    const second = start()
    await second.says('setting up: waiting for another set-up (process ')
    expect(installs()).toBe('start')
    rmSync(join(clone, 'slow'))
    expect((await second.done).status).toBe(0)
    expect(installs()).toBe('start end start end')
    expect(existsSync(join(clone, '.set-up-lock'))).toBe(false)
  })
})

describe('a Node version', () => {
  it.each([
    ['18.20.4', false],
    ['20.18.3', false],
    ['20.19.0', true],
    ['21.7.3', false],
    ['22.11.0', false],
    ['22.12.0', true],
    ['24.1.0', true],
  ])('%s is supported: %s', async (version, supported) => {
    const path = join(root, 'scripts/lib/node-version.mjs')
    const { refusalOf } = (await import(path)) as { readonly refusalOf: (version: string) => string | undefined }
    expect(refusalOf(version) === undefined).toBe(supported)
  })
})

/** Fails where the file `fail` is there; goes on for as long as `slow` is. */
const INSTALLER = `#!/usr/bin/env node
import { appendFileSync, existsSync, mkdirSync, copyFileSync, writeFileSync } from 'node:fs'
if (process.argv.slice(2).join(' ') !== 'install --frozen-lockfile') throw new Error('not as expected: ' + process.argv)
if (existsSync('fail')) {
  console.error('no such lockfile')
  process.exit(1)
}
appendFileSync('installs', 'start ')
while (existsSync('slow')) await new Promise((resolve) => setTimeout(resolve, 5))
mkdirSync('node_modules/typescript/bin', { recursive: true })
mkdirSync('packages/core/node_modules/better-sqlite3', { recursive: true })
mkdirSync('node_modules/esbuild', { recursive: true })
copyFileSync('tsc.js', 'node_modules/typescript/bin/tsc')
copyFileSync('esbuild.js', 'node_modules/esbuild/index.mjs')
writeFileSync('node_modules/esbuild/package.json', '{ "exports": "./index.mjs" }')
copyFileSync('addon.js', 'packages/core/node_modules/better-sqlite3/index.js')
appendFileSync('installs', 'end ')
`

const write = (path: string, text: string): void => writeFileSync(join(clone, path), text)
const installs = (): string => readFileSync(join(clone, 'installs'), { encoding: 'utf8', flag: 'a+' }).trim()

interface Result {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

const setUp = (): Promise<Result> => start().done

function start() {
  const child = spawn(process.execPath, [join(clone, 'scripts/set-up.mjs')], {
    cwd: tmpdir(),
    env: { ...process.env, POINTSMAN_PNPM: join(clone, 'installer.mjs') },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const printed = { stdout: '', stderr: '' }
  child.stdout.on('data', (chunk: Buffer) => (printed.stdout += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (printed.stderr += chunk.toString()))
  const says = (text: string) => vi.waitFor(() => expect(printed.stderr).toContain(text), { timeout: 20_000 })
  // On a busy machine the build takes long enough to be named.
  const stderr = (): string => printed.stderr.replace('setting up: building\n', '')
  const done = new Promise<Result>((resolve) =>
    child.on('close', (status) => resolve({ status, ...printed, stderr: stderr() })),
  )
  return { child, says, done }
}
