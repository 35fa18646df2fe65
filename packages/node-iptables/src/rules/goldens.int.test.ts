import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { formatSave, parseSave } from './saved-tables.js'

const GOLDEN = fileURLToPath(new URL('../../../../fixtures/golden/', import.meta.url))

const saves = readdirSync(GOLDEN, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('save.txt'))

describe('what real kube-proxies wrote', () => {
  it('is there', () => {
    expect(saves.length).toBeGreaterThan(40)
  })

  it.each(saves)('%s is read whole, and printed as it was', (path) => {
    const text = readFileSync(`${GOLDEN}${path}`, 'utf8')
    const tables = parseSave(text)
    expect(formatSave(tables)).toBe(text)
    const kept = tables.flatMap(({ chains }) =>
      chains.flatMap(({ rules }) =>
        rules.filter(({ rule }) => [...rule.matches, rule.target].some((part) => part?.type === 'other')),
      ),
    )
    expect(kept).toEqual([])
  })
})
