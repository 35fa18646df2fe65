import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createLineCutter } from './answer.js'

function cut(text: string, sizes: readonly number[]): { lines: readonly string[]; pendingBytes: number } {
  const cutter = createLineCutter()
  const bytes = Buffer.from(text)
  const lines: string[] = []
  for (let start = 0, i = 0; start < bytes.length; i++) {
    const size = sizes[i % sizes.length] ?? 1
    lines.push(...cutter.push(bytes.subarray(start, start + size)).map((line) => Buffer.from(line).toString()))
    start += size
  }
  return { lines, pendingBytes: cutter.pendingBytes }
}

test('gives the same lines wherever the bytes are cut, within a character too', () => {
  fc.assert(
    fc.property(
      fc.array(fc.string({ unit: 'grapheme' })),
      fc.string({ unit: 'grapheme' }),
      fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }),
      (parts, rest, sizes) => {
        const flat = (part: string): string => part.replaceAll('\n', ' ')
        const lines = parts.map(flat)
        const text = lines.map((line) => `${line}\n`).join('') + flat(rest)
        expect(cut(text, sizes)).toEqual({
          lines: lines.filter((line) => !/^[ \t\r]*$/.test(line)),
          pendingBytes: Buffer.byteLength(flat(rest)),
        })
      },
    ),
  )
})

test('says how much of a line without an end it holds', () => {
  const cutter = createLineCutter()
  cutter.push(Buffer.from('abc'))
  cutter.push(Buffer.from('def'))
  expect(cutter.pendingBytes).toBe(6)
  cutter.push(Buffer.from('\ng'))
  expect(cutter.pendingBytes).toBe(1)
})
