import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync, readdirSync, truncateSync, writeFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Ended, runPointsman } from '../support/run-pointsman.js'
import { SHOP_RECORDING, temporaryFolder } from '../support/shop.js'

/** A log from somebody else is input: it is refused in one line, at once, by each command. */
const folder = temporaryFolder()
const shop = folder.path('shop.db')
const VIEWS = 'fixtures/security/05-sqlite-views-hang'
beforeAll(async () => {
  await runPointsman(['import', SHOP_RECORDING, '--log', shop])
})
afterAll(folder.remove)

const COMMANDS: readonly (readonly string[])[] = [
  ['services'],
  ['log'],
  ['log', 'info'],
  ['log', '--follow'],
  ['replay'],
  ['diff', '1', '2'],
  ['blame', 'shop/checkout'],
  ['explain', 'shop/checkout'],
  ['bisect', 'no-endpoints', 'shop/checkout'],
  ['trace', 'tcp', '10.244.1.9', '->', '10.96.0.1:443'],
  ['export'],
  ['render'],
]

/** One line says it; a hang is ended by the test's time limit. */
const expectRefused = ({ status, stdout, stderr }: Ended, expected: readonly number[] = [2, 3]): void => {
  expect(expected).toContain(status)
  expect(stdout).toBe('')
  expect(stderr).toMatch(/^(?:warning: [^\n]+\n)*error: [^\n]+\n$/)
}

describe('a schema that never ends is refused before the first query (fixtures/security/05)', () => {
  test.each(COMMANDS.map((command) => [command.join(' '), command] as const))('by %s', async (_name, command) => {
    expectRefused(await runPointsman([...command, '--log', `${VIEWS}/viewloop.db`]), [2])
  })

  test.each(readdirSync(VIEWS).filter((name) => name.endsWith('.db')))('%s', async (name) => {
    for (const command of [['services'], ['log'], ['log', 'info']])
      expectRefused(await runPointsman([...command, '--log', `${VIEWS}/${name}`]), [2])
    const copy = folder.path(name)
    copyFileSync(`${VIEWS}/${name}`, copy)
    expectRefused(await runPointsman(['import', SHOP_RECORDING, '--log', copy]), [2])
  })
})

test('a log that was cut is damaged, for a reader and for an import', async () => {
  const cut = folder.path('cut.db')
  copyFileSync(shop, cut)
  truncateSync(cut, 20_000)
  const { status, stderr } = await runPointsman(['services', '--log', cut])
  expect(stderr).toMatch(/^error: [^\n]*damaged[^\n]*\n$/)
  expect(status).toBe(3)
  expectRefused(await runPointsman(['import', SHOP_RECORDING, '--log', cut]), [3])
})

describe('--log that is no log', () => {
  const fifo = folder.path('fifo')
  const directory = folder.path('directory')
  const json = folder.path('objects.json')
  beforeAll(() => {
    execFileSync('mkfifo', [fifo])
    mkdirSync(directory)
    writeFileSync(json, '{"kind":"List","items":[]}')
  })
  test.each([
    ['a FIFO', fifo],
    ['a directory', directory],
    ['a device', '/dev/zero'],
    ['JSON', json],
  ])('%s', async (_name, path) => {
    expectRefused(await runPointsman(['services', '--log', path]), [2])
    expectRefused(await runPointsman(['log', 'info', '--log', path]), [2])
    expectRefused(await runPointsman(['import', SHOP_RECORDING, '--log', path]), [2])
  })
})

describe('a file that is no text where text is read', () => {
  test.each([
    ['a change log', shop, 'a SQLite database'],
    ['/dev/zero', '/dev/zero', 'begins with bytes that are 0'],
  ])('%s', async (_name, path, cause) => {
    for (const args of [
      ['services', '--objects', path],
      ['import', path, '--log', folder.path('new.db')],
    ]) {
      const ended = await runPointsman(args)
      expectRefused(ended, [2])
      expect(ended.stderr).toContain(cause)
    }
  })
})
