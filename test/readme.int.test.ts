import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { runPointsman } from './support/run-pointsman.js'
import { SHOP_RECORDING, temporaryFolder } from './support/shop.js'

const README = readFileSync(new URL('../README.md', import.meta.url), 'utf8')
const WALKTHROUGH = readFileSync(new URL('../docs/walkthrough.md', import.meta.url), 'utf8')

/** What a command prints, as an indented block of a document; where its log is differs from run to run. */
const block = (printed: string): string =>
  printed
    .replaceAll(/--log \S+/g, '--log incident.db')
    .trimEnd()
    .split('\n')
    .map((line) => (line === '' ? '' : `    ${line}`))
    .join('\n')

test('the walkthrough shows what the demo prints', async () => {
  const { status, stdout } = await runPointsman(['demo'])
  expect(status).toBe(0)
  expect(WALKTHROUGH).toContain(block(stdout))
})

test('the walkthrough shows what the history prints', async () => {
  const folder = temporaryFolder()
  try {
    const log = folder.path('incident.db')
    await runPointsman(['import', SHOP_RECORDING, '--log', log])
    const { stdout } = await runPointsman(['log', 'shop/checkout', '--log', log, '-n', '2', '--until', '108'])
    expect(WALKTHROUGH).toContain(block(stdout))
  } finally {
    folder.remove()
  }
})

test('the walkthrough shows what a trace prints', async () => {
  const folder = temporaryFolder()
  try {
    const log = folder.path('incident.db')
    await runPointsman(['import', SHOP_RECORDING, '--log', log])
    const asked = ['tcp 10.244.1.9 -> shop/checkout', '--at', '108', '--log', log, '--cluster-cidr', '10.244.0.0/16']
    const { stdout } = await runPointsman(['trace', ...asked])
    expect(WALKTHROUGH).toContain(block(stdout))
  } finally {
    folder.remove()
  }
})

test('the README shows what bisect prints', async () => {
  const folder = temporaryFolder()
  try {
    const log = folder.path('incident.db')
    await runPointsman(['import', SHOP_RECORDING, '--log', log])
    const asked = ['tcp 10.244.1.9 -> shop/checkout', '--good', '106', '--log', log]
    const { stdout } = await runPointsman(['bisect', ...asked, '--cluster-cidr', '10.244.0.0/16'])
    expect(README).toContain(block(stdout))
  } finally {
    folder.remove()
  }
})
