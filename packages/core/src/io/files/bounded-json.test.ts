import { expect, test } from 'vitest'
import { parseBoundedJson } from './parse-documents.js'

test('refuses text that is short and takes gigabytes as values', () => {
  expect(() => parseBoundedJson(`[${'{},'.repeat(6_000_000)}{}]`)).toThrow('it holds more than 8000000 values')
})

test('takes long text of few values', () => {
  const long = String.raw`\\\"[,{`.repeat(4_000_000)
  expect(parseBoundedJson(`{"a":"${long}","b":[1,2]}`)).toMatchObject({ b: [1, 2] })
})
