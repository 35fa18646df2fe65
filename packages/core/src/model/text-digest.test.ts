import { expect, test } from 'vitest'
import { textDigest } from './keep-object.js'

// The vectors of the authors of FNV: http://www.isthe.com/chongo/src/fnv/test_fnv.c
test.each([
  ['', '811c9dc5'],
  ['a', 'e40c292c'],
  ['foobar', 'bf9cf968'],
])('the digest of %j is %s', (text, digest) => {
  expect(textDigest(text)).toBe(digest)
})
