import fc from 'fast-check'
import { expect, test } from 'vitest'
import { readLines } from './read-file.js'

async function* cut(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let start = 0; start < bytes.length; start += size)
    yield await Promise.resolve(bytes.subarray(start, start + size))
}

async function linesOf(text: string, size: number, maxLineBytes?: number): Promise<readonly string[]> {
  const lines: string[] = []
  for await (const block of readLines(cut(Buffer.from(text), size), maxLineBytes)) {
    if (block.type === 'too-long') {
      expect(block.line).toBe(lines.length + 1)
      lines.push('<too long>')
      continue
    }
    expect(block.firstLine).toBe(lines.length + 1)
    lines.push(...block.lines)
  }
  return lines
}

test('gives the same lines wherever the bytes are cut, in the middle of a letter too', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.string({ unit: 'grapheme' })), fc.integer({ min: 1, max: 9 }), async (parts, size) => {
      const text = parts.map((part) => part.replaceAll('\n', ' ').replaceAll('\uFEFF', ' ')).join('\n')
      const expected = text.split('\n')
      if (expected.at(-1) === '') expected.pop()
      expect(await linesOf(text, size)).toEqual(expected)
    }),
  )
})

test('a line that is too long is left out and counted', async () => {
  expect(await linesOf(`short\n${'x'.repeat(100)}\nnext\n`, 7, 20)).toEqual(['short', '<too long>', 'next'])
  expect(await linesOf(`short\n${'x'.repeat(100)}`, 7, 20)).toEqual(['short', '<too long>'])
})
