import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { codesByTable, relativeLinksOf } from './support/markdown.js'
import { readTree, root } from './support/source-tree.js'
import { withoutComments } from './support/source-file.js'

const tree = readTree()
const documents = tree.filter(({ path }) => path.endsWith('.md'))

describe('links of the documents', () => {
  it.each(documents.map(({ path, text }) => [path, text] as const))('%s leads to what exists', (path, text) => {
    const broken = relativeLinksOf(text).filter((target) => !existsSync(join(root, dirname(path), decodeURI(target))))
    expect(broken).toEqual([])
  })

  it('are found where they are, and not in code', () => {
    const text =
      'See [a](a.md#part), ![b](b.png "title") and [c].\n\n[c]: c.md\n\n`[d](d.md)` [e](https://e.test) [f](#f)\n```\n[g](g.md)\n```\n'
    expect(relativeLinksOf(text)).toEqual(['a.md', 'b.png', 'c.md'])
  })
})

describe('docs/errors.md', () => {
  const listed = codesByTable(readFileSync(join(root, 'docs/errors.md'), 'utf8'))

  it('lists the codes of every table in the source, in its order, and no others', async () => {
    const inSource = await codeTables()
    expect([...inSource.keys()]).toEqual(expect.arrayContaining(['DIAGNOSTIC_CODES', 'SKIP_REASONS']))
    expect(Object.fromEntries(listed)).toEqual(Object.fromEntries(inSource))
  })

  it('is read by heading and first column', () => {
    const text =
      '# Errors\n\n## Log: `LOG_ERRORS`\n\n| code | what to do |\n|---|---|\n| `LOG_FULL` | make `ROOM` |\n| `LOG_GONE` | x |\n'
    expect(codesByTable(text)).toEqual(new Map([['LOG_ERRORS', ['LOG_FULL', 'LOG_GONE']]]))
  })
})

describe('docs/security.md', () => {
  const text = readFileSync(join(root, 'docs/security.md'), 'utf8')
  const limits = [...text.matchAll(/^\| .* \| `([\w./-]+\.(?:ts|mjs))`: `([^`]+)` \|$/gm)].map(
    ([, path = '', constant = '']) => [path, constant] as const,
  )

  it.each(limits)('names a limit of %s as the source has it: %s', (path, constant) => {
    expect(withoutComments(readFileSync(join(root, path), 'utf8'))).toContain(constant)
  })

  it('names where each limit is', () => {
    const table = /## What is bounded\n(.*?)\n## /s.exec(text)?.[1] ?? ''
    const rows = table.split('\n').filter((line) => line.startsWith('| ') && !line.startsWith('| input |'))
    expect(rows.length).toBeGreaterThan(10)
    expect(limits).toHaveLength(rows.length)
  })
})

/** The keys of every exported `..._ERRORS`, `..._CODES` and `..._REASONS` of the packages, by the table's name. */
async function codeTables(): Promise<ReadonlyMap<string, readonly string[]>> {
  const tables = new Map<string, readonly string[]>()
  for (const { path, text } of tree) {
    if (!/^packages\/[^/]+\/src\/.*(?<!\.test)\.ts$/.test(path)) continue
    const names = [...withoutComments(text).matchAll(/^export const ([A-Z_]+_(?:ERRORS|CODES|REASONS))\b/gm)]
    if (names.length === 0) continue
    const exported = (await import(join(root, path))) as { readonly [name: string]: unknown }
    for (const [, name = ''] of names) {
      const table = exported[name] ?? {}
      // Codes that are numbers are how something is stored, not what a caller is told.
      const stored = Object.values(table).every((meaning) => typeof meaning === 'number') && !name.endsWith('_ERRORS')
      if (!stored) tables.set(name, Object.keys(table))
    }
  }
  return tables
}
