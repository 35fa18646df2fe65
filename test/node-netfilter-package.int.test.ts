import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { root } from './support/source-tree.js'
import type { Packed } from './support/packed-node-iptables.js'

const folder = join(root, 'packages/node-netfilter')

describe('the tarball of node-netfilter', () => {
  // Without its scripts, which would build: what set-up built is packed.
  const argv = ['pack', '--dry-run', '--json', '--ignore-scripts']
  const [packed] = JSON.parse(execFileSync('npm', argv, { cwd: folder, encoding: 'utf8' })) as [Packed]
  const files = packed.files.map(({ path }) => path)

  it('has what is read first, what is imported, and nothing for tests', () => {
    expect(files).toEqual(
      expect.arrayContaining(['LICENSE', 'README.md', 'package.json', 'dist/index.js', 'dist/index.d.ts']),
    )
    expect(files.filter((path) => /test|tsbuildinfo|tsconfig/.test(path))).toEqual([])
    expect(readFileSync(join(folder, 'LICENSE'), 'utf8')).toBe(readFileSync(join(root, 'LICENSE'), 'utf8'))
  })

  it('is small, and takes one package, of one version', () => {
    expect(packed.size).toBeLessThan(80_000)
    const { dependencies } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as {
      readonly dependencies: Readonly<Record<string, string>>
    }
    expect(dependencies).toEqual({ koffi: expect.stringMatching(/^\d+\.\d+\.\d+$/) as string })
  })
})
