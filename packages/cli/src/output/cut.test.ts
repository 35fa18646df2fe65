import { expect, test } from 'vitest'
import { cutLines, cutText } from './table.js'

test('what has a sane length is shown as it is', () => {
  expect(cutText('a'.repeat(2000))).toBe('a'.repeat(2000))
  expect(cutLines(Array.from({ length: 2000 }, () => 'a'))).toHaveLength(2000)
})

test('what is longer is cut, and a note says so', () => {
  expect(cutText('a'.repeat(2001))).toBe(`${'a'.repeat(2000)}… (cut: 2001 characters; -o json has all)`)
  expect(cutLines(Array.from({ length: 2001 }, () => 'a')).slice(1999)).toEqual([
    'a',
    '… (cut: 2001 lines; -o json has all)',
  ])
})
