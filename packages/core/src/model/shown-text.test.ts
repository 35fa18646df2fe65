import { describe, expect, it, test } from 'vitest'
import { escapeControls, printable } from './shown-text.js'

test.each([
  ['a line feed, a return and a tab', 'a\nb\rc\td', String.raw`a\nb\rc\td`],
  ['an escape sequence', '\u001B[31mred\u0007', String.raw`\u001b[31mred\u0007`],
  ['DEL and C1: NEL, CSI', '\u007F\u0085\u009B2J', String.raw`\u007f\u0085\u009b2J`],
  [
    'bidi controls',
    '\u061C\u200E\u200F\u202A\u202E\u2066\u2069',
    String.raw`\u061c\u200e\u200f\u202a\u202e\u2066\u2069`,
  ],
  ['line separators', '\u2028\u2029', String.raw`\u2028\u2029`],
  ['zero widths and the BOM', '\u200B\u200D\u2060\uFEFF', String.raw`\u200b\u200d\u2060\ufeff`],
  ['tag characters', '\u{E0041}', String.raw`\udb40\udc41`],
  ['halves of surrogate pairs', 'x\uD800y\uDC00', String.raw`x\ud800y\udc00`],
])('%s are escaped', (_, text, shown) => {
  expect(escapeControls(text)).toBe(shown)
})

describe('what a terminal prints', () => {
  it('stays as it is', () => {
    expect(escapeControls('shop/web \\n "é" 日本 😀 \u00A0')).toBe('shop/web \\n "é" 日本 😀 \u00A0')
  })

  it('means the same in JSON', () => {
    const value = { 'k\u0085\u202E': 'v\u007F\u2028\u{E0041}\uD800\n😀' }
    expect(JSON.parse(escapeControls(JSON.stringify(value)))).toEqual(value)
  })
})

test('a message is one line, and cut', () => {
  expect(printable('no\n\r such \u202E thing')).toBe(String.raw`no  such \u202e thing`)
  expect(printable('x'.repeat(400), 5)).toBe('xxxxx...')
})
