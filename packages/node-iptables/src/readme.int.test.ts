import { readFileSync } from 'node:fs'
import { format } from 'node:util'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { IPTABLES_ERRORS } from './iptables-error.js'
import { IPTABLES_PARSE_ERRORS } from './rules/parse-rule.js'
import { EXAMPLES } from './test-support/examples.js'

const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')

it('the code in the README is the examples, all of them', () => {
  const blocks = [...readme.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, text = '']) => text)
  expect(blocks.toSorted()).toEqual(EXAMPLES.map(({ text }) => text).toSorted())
})

it('the links within the README lead to its headings', () => {
  const headings = [...readme.matchAll(/^#+ (.*)$/gm)].map(([, text = '']) => text.toLowerCase().replaceAll(' ', '-'))
  const links = [...readme.matchAll(/\]\(#([^)]+)\)/g)].map(([, target = '']) => target)
  expect(links.length).toBeGreaterThan(5)
  expect(headings).toEqual(expect.arrayContaining(links.map((link) => link.toLowerCase())))
})

describe('an example that needs no kernel prints what it says', () => {
  afterEach(() => vi.restoreAllMocks())

  it.each(EXAMPLES.filter(({ needsKernel }) => !needsKernel))('$name', async ({ name, prints }) => {
    let printed = ''
    vi.spyOn(console, 'log').mockImplementation((...values: readonly unknown[]) => {
      printed += `${format(...values)}\n`
    })
    await import(`../examples/${name}.ts`)
    expect(printed).toBe(prints)
    expect(prints).not.toBe('')
  })
})

describe('the README lists the codes with what they mean', () => {
  it.each([
    ['IptablesError', IPTABLES_ERRORS],
    ['IptablesParseError', IPTABLES_PARSE_ERRORS],
  ])('of %s', (name, meanings) => {
    const rows = Object.entries(meanings).map(([code, meaning]) => `| \`${code}\` | ${meaning} |`)
    expect(tableUnder(name)).toEqual(rows)
  })
})

/** The rows of the first table after a heading that names it. */
function tableUnder(name: string): readonly string[] {
  const section = readme.split(/^#+ /m).find((text) => text.split('\n')[0]?.includes(`\`${name}\``)) ?? ''
  return section.split('\n').filter((line) => /^\| `[A-Z_]+` \|/.test(line))
}
