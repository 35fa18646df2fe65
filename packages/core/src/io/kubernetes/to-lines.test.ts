import { from, lastValueFrom, toArray } from 'rxjs'
import { expect, test } from 'vitest'
import { type AnswerPart, toLines } from './answer.js'
import { toPage } from './list.js'

const bytes = (text: string): AnswerPart => ({ type: 'bytes', bytes: Buffer.from(text) })
const closed: AnswerPart = { type: 'ended', ending: { type: 'closed' } }

async function linesOf(parts: readonly AnswerPart[], limit = 100): Promise<readonly string[]> {
  const lines = await lastValueFrom(from(parts).pipe(toLines(limit), toArray()))
  return lines.map((part) => {
    if (part.type === 'line') return Buffer.from(part.bytes).toString()
    return part.type === 'ended' ? `<${part.ending.type}>` : `<${part.type}>`
  })
}

test('gives lines as they become whole', async () => {
  expect(await linesOf([{ type: 'opened' }, bytes('{"a":1}\n{"b"'), bytes(':2}\n'), closed])).toEqual([
    '<opened>',
    '{"a":1}',
    '{"b":2}',
    '<closed>',
  ])
})

test('an answer that closes within a line was cut', async () => {
  expect(await linesOf([bytes('{"a":1}\n{"b"'), closed])).toEqual(['{"a":1}', '<cut>'])
})

test('an answer that breaks says so, within a line or not', async () => {
  const broken: AnswerPart = { type: 'ended', ending: { type: 'threw', error: new Error('reset') } }
  expect(await linesOf([bytes('{"b"'), broken])).toEqual(['<threw>'])
})

test('a line that grows over the limit ends the answer, one that came whole does not', async () => {
  expect(await linesOf([bytes('x'.repeat(60)), bytes('y'.repeat(60)), bytes('\nz\n'), closed])).toEqual(['<too-long>'])
  expect(await linesOf([bytes(`${'x'.repeat(120)}\nz\n`), closed])).toEqual(['x'.repeat(120), 'z', '<closed>'])
})

test('a page that grows over the limit is given up before it is whole', async () => {
  const parts = from([bytes('x'.repeat(60)), bytes('y'.repeat(60)), closed])
  expect(await lastValueFrom(parts.pipe(toPage('Service', 100), toArray()))).toEqual([
    { type: 'ended', ending: { type: 'too-long', limitBytes: 100 } },
  ])
})
