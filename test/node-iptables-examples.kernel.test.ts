import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { EXAMPLES } from '../packages/node-iptables/src/test-support/examples.js'
import {
  createNamespace,
  describeKernel,
  type Namespace,
} from '../packages/node-iptables/src/test-support/namespace.js'
import { compileExamples, packNodeIptables } from './support/packed-node-iptables.js'
import type { PackedProject } from './support/packed-node-iptables.js'

const WATCH = 'watch'

describeKernel("the examples of node-iptables' README, as its package runs them", () => {
  let project: PackedProject
  let namespace: Namespace

  beforeAll(() => {
    project = packNodeIptables()
    compileExamples(project)
    for (const variant of VARIANTS) linkVariant(variant, pathOf(variant))
  })
  afterAll(() => project.remove())

  beforeEach(() => void (namespace = createNamespace()))
  afterEach(() => namespace.remove())

  /** A folder in which `iptables` and its like are of the variant. */
  const pathOf = (variant: Variant): string => join(project.folder, variant)

  const inNamespace = (variant: Variant, ...argv: readonly string[]) => {
    const [file = '', ...args] = [...namespace.prefix, ...argv]
    return { file, args, env: { PATH: `${pathOf(variant)}:${process.env['PATH'] ?? ''}` } }
  }

  const node = (variant: Variant, name: string) =>
    inNamespace(variant, process.execPath, join(project.folder, 'out', `${name}.js`))

  describe.each(VARIANTS)('where iptables is %s', (variant) => {
    it.each(EXAMPLES.filter(({ name, needsKernel }) => needsKernel && name !== WATCH))(
      '$name prints what it says',
      ({ name, prints }) => {
        const { file, args, env } = node(variant, name)
        const { status, stdout, stderr } = spawnSync(file, args, { env, encoding: 'utf8' })
        expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
        expect(stdout).toBe(prints)
        expect(prints).not.toBe('')
      },
    )
  })

  it("the watch tells another's deletion, and ends when it is asked to", async () => {
    const { file, args, env } = node('nft', WATCH)
    const child = spawn(file, args, { env, stdio: ['ignore', 'pipe', 'pipe'] })
    const exited = once(child, 'exit')
    let stdout = ''
    let stderr = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))

    const somebody = inNamespace('nft', 'nft', 'delete', 'chain', 'ip', 'nat', 'MY-CANARY')
    const [commit = '', gone = ''] = linesOf(EXAMPLES.find(({ name }) => name === WATCH)?.prints ?? '')
    try {
      // The canary is not there until the watch has made it, nor is a deletion heard of until the monitor listens.
      await vi.waitFor(
        () => {
          spawnSync(somebody.file, somebody.args, { env: somebody.env })
          expect(linesOf(stdout)).toEqual(expect.arrayContaining([commit, gone]))
        },
        { timeout: 30_000 },
      )
    } finally {
      child.kill('SIGTERM')
    }
    expect(await exited).toEqual([0, null])
    expect(stderr).toBe('')
  })
})

type Variant = (typeof VARIANTS)[number]
const VARIANTS = ['nft', 'legacy'] as const

function linkVariant(variant: Variant, folder: string): void {
  mkdirSync(folder)
  for (const base of ['iptables', 'ip6tables']) {
    for (const suffix of ['', '-save', '-restore']) {
      const { stdout } = spawnSync('sh', ['-c', `command -v ${base}-${variant}${suffix}`], { encoding: 'utf8' })
      symlinkSync(stdout.trim(), join(folder, `${base}${suffix}`))
    }
  }
}

/** Numbers of processes and commits are others each time. */
const linesOf = (printed: string): readonly string[] =>
  printed
    .replaceAll(/\b\d+(?=,)/g, 'N')
    .trimEnd()
    .split('\n')
