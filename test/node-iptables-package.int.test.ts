import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { EXAMPLES } from '../packages/node-iptables/src/test-support/examples.js'
import { compileExamples, packNodeIptables, readInstalled } from './support/packed-node-iptables.js'
import type { PackedProject } from './support/packed-node-iptables.js'
import { runScript } from './support/run-pointsman.js'
import { root } from './support/source-tree.js'

let project: PackedProject
let files: readonly string[]

beforeAll(() => {
  project = packNodeIptables()
  files = project.packed.files.map(({ path }) => path)
})
afterAll(() => project.remove())

describe('the tarball of node-iptables', () => {
  it('has what is read first, and what is imported', () => {
    expect(files).toEqual(expect.arrayContaining(['README.md', 'LICENSE', 'package.json']))
    const { exports } = JSON.parse(readInstalled(project, 'package.json')) as {
      readonly exports: Readonly<Record<string, Readonly<Record<string, string>>>>
    }
    const entries = Object.values(exports).flatMap((conditions) => Object.values(conditions))
    expect(entries).toHaveLength(4)
    expect(files).toEqual(expect.arrayContaining(entries.map((path) => path.replace('./', ''))))
  })

  it('has the licence of the repository', () => {
    expect(readInstalled(project, 'LICENSE')).toBe(readFileSync(join(root, 'LICENSE'), 'utf8'))
  })

  it('has no tests, nothing for tests of its own, and nothing of the build', () => {
    expect(files.filter((path) => /test|tsbuildinfo|tsconfig/.test(path))).toEqual([])
    expect(files.filter((path) => !/^(?:dist|src)\//.test(path)).toSorted()).toEqual([
      'LICENSE',
      'README.md',
      'package.json',
    ])
  })

  it('has every source that its source maps lead to', () => {
    const maps = files.filter((path) => path.endsWith('.map'))
    const missing = maps.flatMap((path) => {
      const { sources } = JSON.parse(readInstalled(project, path)) as { readonly sources: readonly string[] }
      return sources.map((source) => normalize(join(dirname(path), source))).filter((source) => !files.includes(source))
    })
    expect(maps).not.toEqual([])
    expect(missing).toEqual([])
  })

  it('is small', () => {
    expect(project.packed.size).toBeLessThan(250_000)
  })

  it('brings nothing else along', () => {
    expect(existsSync(join(project.folder, 'node_modules/node-iptables/node_modules'))).toBe(false)
    const lock = JSON.parse(readFileSync(join(project.folder, 'package-lock.json'), 'utf8')) as {
      readonly packages: Readonly<Record<string, unknown>>
    }
    expect(Object.keys(lock.packages)).toEqual(['', 'node_modules/node-iptables'])
  })
})

describe('in a project that has nothing else', () => {
  beforeAll(() => compileExamples(project))

  it('a CommonJS module can require it', async () => {
    const script = join(project.folder, 'required.cjs')
    writeFileSync(
      script,
      "const { parseSave } = require('node-iptables')\nconsole.log(parseSave('*nat\\nCOMMIT\\n'))\n" +
        "console.log(typeof require('node-iptables/fake').createFakeIptables)\n",
    )
    const { status, stdout, stderr } = await runScript(script, [])
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(stdout).toBe("[ { table: 'nat', chains: [] } ]\nfunction\n")
  })

  it.each(EXAMPLES.filter(({ needsKernel }) => !needsKernel))('the example $name runs', async ({ name, prints }) => {
    const { status, stdout, stderr } = await runScript(join(project.folder, 'out', `${name}.js`), [])
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(stdout).toBe(prints)
  })
})
