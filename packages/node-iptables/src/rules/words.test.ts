import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { quoteWord, splitWords } from './values.js'

const textsOf = (line: string): readonly string[] | undefined => {
  const split = splitWords(line)
  return split.type === 'words' ? split.words.map(({ text }) => text) : undefined
}

describe('the words of a restore line', () => {
  it.each([
    ['-A  X\t-j Y', ['-A', 'X', '-j', 'Y']],
    ['--comment "a -j \\"DROP\\" b" -j Y', ['--comment', 'a -j "DROP" b', '-j', 'Y']],
    ['a\\b ""', ['a\\b', '']],
    ['"a"b x"y z"-m ""', ['a', 'b', 'xy z', '-m', '']],
  ])('%s', (line, words) => {
    expect(textsOf(line)).toEqual(words)
  })

  it('keeps how each word is spelt', () => {
    expect(splitWords('-m  "a \\"b" c')).toEqual({
      type: 'words',
      words: [
        { text: '-m', spelling: '-m' },
        { text: 'a "b', spelling: '"a \\"b"' },
        { text: 'c', spelling: 'c' },
      ],
    })
  })

  it('says where a quotation that does not end begins', () => {
    expect(splitWords('-m "x')).toEqual({ type: 'unclosed-quote', column: 4 })
    expect(splitWords('"x\\"')).toEqual({ type: 'unclosed-quote', column: 1 })
  })
})

describe('quoting', () => {
  it.each([
    ['plain_word-1', 'plain_word-1'],
    ['', '""'],
    ["it's", '"it\\\'s"'],
    ['default/web:http', '"default/web:http"'],
  ])('%s', (text, quoted) => {
    expect(quoteWord(text)).toBe(quoted)
  })

  it.each(['a\nb', 'a\rb', 'a\0b'])('refuses what no line can say: %j', (text) => {
    expect(quoteWord(text)).toBeUndefined()
  })

  it('never lets a string be read as anything but itself, beside others', () => {
    const hostile = fc.string({ unit: fc.constantFrom('"', "'", '\\', ' ', '\t', '-', 'j', '!', 'é', '\n', '\0') })
    fc.assert(
      fc.property(hostile, (text) => {
        const quoted = quoteWord(text)
        if (quoted === undefined) return
        expect(textsOf(`-A ${quoted} -j X`)).toEqual(['-A', text, '-j', 'X'])
      }),
    )
  })
})
