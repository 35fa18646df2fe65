import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { quoteWord, splitWords } from './words.js'

describe('the words of a restore line', () => {
  it.each([
    ['-A  X\t-j Y', ['-A', 'X', '-j', 'Y']],
    ['--comment "a -j \\"DROP\\" b" -j Y', ['--comment', 'a -j "DROP" b', '-j', 'Y']],
    ['a\\b ""', ['a\\b']],
  ])('%s', (line, words) => {
    expect(splitWords(line)).toEqual({ type: 'words', words })
  })

  it('says where a quotation that does not end begins', () => {
    expect(splitWords('-m "x')).toEqual({ type: 'unclosed-quote', column: 4 })
    expect(splitWords('"x\\"')).toEqual({ type: 'unclosed-quote', column: 1 })
  })
})

describe('quoting', () => {
  it.each([
    ['plain_word-1', 'plain_word-1'],
    ["it's", '"it\\\'s"'],
    ['default/web:http', '"default/web:http"'],
  ])('%s', (text, quoted) => {
    expect(quoteWord(text)).toBe(quoted)
  })

  it.each(['', 'a\nb', 'a\rb', 'a\0b'])('refuses what no line can say: %j', (text) => {
    expect(quoteWord(text)).toBeUndefined()
  })

  it('never lets a string be read as anything but itself, beside others', () => {
    const hostile = fc.string({ unit: fc.constantFrom('"', "'", '\\', ' ', '\t', '-', 'j', '!', 'é', '\n', '\0') })
    fc.assert(
      fc.property(hostile, (text) => {
        const quoted = quoteWord(text)
        if (quoted === undefined) return
        expect(splitWords(`-A ${quoted} -j X`)).toEqual({ type: 'words', words: ['-A', text, '-j', 'X'] })
      }),
    )
  })
})
