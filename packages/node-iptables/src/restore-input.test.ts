import { describe, expect, it } from 'vitest'
import { type RestoreInput, restoreSource } from './restore-input.js'

const all = async (pieces: AsyncIterable<string>): Promise<readonly string[]> => {
  const found: string[] = []
  for await (const piece of pieces) found.push(piece)
  return found
}

/** What a restore reads, and what is shown of it when it fails. */
const read = async (input: RestoreInput, tables?: readonly string[]): Promise<readonly [string, string]> => {
  const source = restoreSource(input, tables)
  const first = (await all(source.pieces)).join('')
  return [first, (await all(source.again())).join('')]
}

const text = '*nat\n-A A -j B\nCOMMIT\n*filter\n-A C -j D\nCOMMIT\n'
const lines = text.trimEnd().split('\n')
function* once(): Generator<string> {
  yield* lines
}
async function* late(): AsyncGenerator<string> {
  yield* lines
}

describe('what a restore reads', () => {
  it.each<readonly [string, RestoreInput]>([
    ['a text', { text }],
    ['a text without its last line end', { text: text.trimEnd() }],
    ['an array', { lines }],
    ['lines that come once', { lines: once() }],
    ['lines that come late', { lines: late() }],
    ['lines that a function gives', { lines: once }],
    ['lines that a function gives late', { lines: late }],
  ])('%s is read whole, and shown again', async (_, input) => {
    expect(await read(input)).toEqual([text, text])
  })

  it.each<readonly [string, RestoreInput]>([
    ['a text', { text }],
    ['lines', { lines: once() }],
    ['lines that a function gives', { lines: once }],
  ])('%s without the tables that are not wanted has the same line numbers', async (_, input) => {
    const filter = '\n\n\n*filter\n-A C -j D\nCOMMIT\n'
    expect(await read(input, ['filter'])).toEqual([filter, filter])
  })

  it('nothing is nothing', async () => {
    expect(await read({ text: '' })).toEqual(['', ''])
    expect(await read({ lines: [] })).toEqual(['', ''])
  })

  it('comes in pieces of whole lines, however long the text', async () => {
    const long = `${'-A CHAIN -j ACCEPT\n'.repeat(20_000)}COMMIT`
    for (const input of [{ text: long }, { lines: long.split('\n') }]) {
      const pieces = await all(restoreSource(input, undefined).pieces)
      expect(pieces.join('')).toBe(`${long}\n`)
      expect(pieces.every((piece) => piece.endsWith('\n') && piece.length < 70_000)).toBe(true)
      expect(pieces.length).toBeGreaterThan(4)
    }
  })

  it('is asked again of a function only when something is wrong with a line', async () => {
    let asked = 0
    const source = restoreSource({ lines: () => [`line ${++asked}`] }, undefined)
    await all(source.pieces)
    expect(asked).toBe(1)
    expect(await all(source.again())).toEqual(['line 2\n'])
  })
})
