import { IptablesParseError, parseSave } from 'node-iptables'
import { describe, expect, it } from 'vitest'
import { GOLDENS, readGolden } from '../test-support/goldens.js'
import { isTextChain, readTables, sizeOf } from './text-tables.js'

const SAVE = ['*nat', ':KUBE-A - [0:0]', ':OTHER - [0:0]', '-A KUBE-A -j OTHER', '-A OTHER -j ACCEPT', 'COMMIT']
const withLine = (at: number, line: string): readonly string[] => SAVE.toSpliced(at, 0, line)
const refused = { refuse: (error: IptablesParseError) => new RangeError(`${error.code} ${error.line}`) }

describe('tables whose rules are read when they are asked for', () => {
  it.each(GOLDENS)('have the rules that are read at once: %s', async (scenario) => {
    for (const text of Object.values(readGolden(scenario).saved)) {
      const tables = await readTables(text.split('\n'))
      const chains = tables.flatMap((table) => table.chains)
      expect(chains.map(sizeOf)).toEqual(
        parseSave(text).flatMap((table) => table.chains.map(({ rules }) => rules.length)),
      )
      expect(chains.filter(isTextChain).length).toBeGreaterThan(0)
      const plain = tables.map(({ table, chains: own }) => ({
        table,
        chains: own.map((chain) => {
          const { lines: _, ...rest } = { lines: [], ...chain }
          return rest
        }),
      }))
      expect(plain).toEqual(parseSave(text))
    }
  })

  it('have those with counters at once', async () => {
    const counted = SAVE.map((line) => line.replace(/^-A /, '[3:180] -A '))
    const tables = await readTables(counted)
    expect(tables).toEqual(parseSave(counted.join('\n')))
    expect(tables.flatMap(({ chains }) => chains).map(sizeOf)).toEqual([1, 1])
  })

  it('are refused where the text is no save, with the line', async () => {
    await expect(readTables(withLine(4, 'hello'), refused)).rejects.toThrow(/ 5$/)
    await expect(readTables(withLine(4, '-A KUBE-B -j OTHER'), refused)).rejects.toThrow('UNDECLARED_CHAIN 5')
    await expect(readTables(SAVE.slice(0, -1), refused)).rejects.toThrow('UNFINISHED_TABLE')
    await expect(readTables(['-A KUBE-A -j OTHER', ...SAVE], refused)).rejects.toThrow('OUTSIDE_TABLE 1')
    await expect(readTables(withLine(4, 'hello'))).rejects.toBeInstanceOf(IptablesParseError)
  })

  it('refuse a rule that cannot be read when it is asked for', async () => {
    const [table] = await readTables(withLine(4, '-A KUBE-A -j OTHER -j'), refused)
    expect(() => table?.chains.map(({ rules }) => rules)).toThrow(/ 5$/)
  })
})
