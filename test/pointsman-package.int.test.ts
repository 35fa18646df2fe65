import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, realpathSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Ended, runScript } from './support/run-pointsman.js'
import { temporaryFolder } from './support/shop.js'
import { root } from './support/source-tree.js'

/*
 * The command as it is installed: the tarball unpacked in an empty folder, with the native addon of this workspace in place of
 * one that would have to be compiled.
 */

const CLI = join(root, 'packages/cli')

interface Packed {
  readonly filename: string
  readonly unpackedSize: number
  readonly files: readonly { readonly path: string }[]
}

const folder = temporaryFolder()
const installed = folder.path('node_modules/pointsman')
let packed: Packed

beforeAll(() => {
  const pack = ['pack', '--json', '--pack-destination', folder.path('')]
  const [made] = JSON.parse(execFileSync('npm', pack, { cwd: CLI, encoding: 'utf8' })) as [Packed]
  packed = made
  mkdirSync(installed, { recursive: true })
  execFileSync('tar', ['-xzf', folder.path(made.filename), '-C', installed, '--strip-components=1'])
  for (const name of Object.keys(manifest().dependencies)) {
    symlinkSync(realpathSync(join(CLI, 'node_modules', name)), folder.path(`node_modules/${name}`))
  }
})
afterAll(() => folder.remove())

const manifest = (): { readonly version: string; readonly dependencies: Readonly<Record<string, string>> } =>
  JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8')) as ReturnType<typeof manifest>

const pointsman = (...args: readonly string[]): Promise<Ended> =>
  runScript(join(installed, 'bin/pointsman.mjs'), args, { cwd: folder.path('') })

describe('the tarball of pointsman', () => {
  it('has the command in a bundle, its licenses and its README, and nothing of the sources', () => {
    const paths = packed.files.map(({ path }) => path)
    const own = ['LICENSE', 'README.md', 'bin/pointsman.mjs', 'package.json']
    expect(paths.filter((path) => !path.startsWith('bundle/')).toSorted()).toEqual(own)
    expect(paths).toEqual(
      expect.arrayContaining(['main.js', 'log-thread.js', 'LICENSES.txt'].map((name) => `bundle/${name}`)),
    )
    expect(paths.filter((path) => /test/.test(path))).toEqual([])
  })

  it('asks for nothing but native code', () => {
    expect(Object.keys(manifest().dependencies)).toEqual(['better-sqlite3', 'koffi'])
  })

  it('names the license of every package that is in it', () => {
    const text = readFileSync(join(installed, 'bundle/LICENSES.txt'), 'utf8')
    const titles = text.match(/^[@a-z][\w@/.-]* \d\S* \(.*\)$/gm) ?? []
    expect(titles).toEqual(
      expect.arrayContaining([expect.stringMatching(/^rxjs /), expect.stringMatching(/^commander /)]),
    )
    expect(titles.filter((title) => title.includes('see its text'))).toEqual([])
  })

  it('is small', () => {
    expect(packed.unpackedSize).toBeLessThan(10_000_000)
  })
})

describe('the installed command', () => {
  it('says its version', async () => {
    expect(await pointsman('--version')).toMatchObject({ status: 0, stdout: `${manifest().version}\n`, stderr: '' })
  })

  it('shows the demo, whose recording came along', async () => {
    const { status, stdout } = await pointsman('demo')
    expect([status, stdout]).toEqual([0, expect.stringMatching(/^shop\/checkout had no endpoints for 6\.3 s$/m)])
  })

  it('imports into a log, which a thread of its own writes, and traces a packet from it', async () => {
    const log = folder.path('shop.db')
    const imported = await pointsman(
      'import',
      join(root, 'fixtures/recordings/shop-incident/watch.jsonl'),
      '--log',
      log,
    )
    expect(imported).toMatchObject({ status: 0 })
    const traced = await pointsman('trace', 'tcp node -> shop/checkout:http', '--at', '1', '--log', log)
    expect([traced.status, traced.stderr]).toEqual([
      expect.any(Number),
      expect.not.stringMatching(/Cannot find|at file:/),
    ])
    expect(await pointsman('explain', 'shop/checkout', '--log', log)).toMatchObject({ status: 0 })
  })

  // Of `run` no more than this: it sets what it finds on the machine.
  it.each([
    ['record', '--kubeconfig', 'no-such-kubeconfig'],
    ['run', '--config', 'no-such-config'],
  ])('loads %s, and says in one line which file is missing', async (command, flag, file) => {
    const { status, stderr } = await pointsman(command, flag, folder.path(file), '--log', folder.path('new.db'))
    expect(status).not.toBe(0)
    expect(stderr).toContain(file)
    expect(stderr).not.toMatch(/^\s+at /m)
  })
})
