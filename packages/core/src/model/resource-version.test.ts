import { expect, test } from 'vitest'
import { compareResourceVersions, isOlderVersion } from './kubernetes-object.js'

test.each([
  ['9', '10', -1],
  ['10', '9', 1],
  ['100', '99', 1],
  ['007', '7', 0],
  ['18446744073709551616', '18446744073709551617', -1],
  ['abc', '7', undefined],
  ['7', '', undefined],
])('%s against %s', (one, other, expected) => {
  const order = compareResourceVersions(one, other)
  expect(order === undefined ? undefined : Math.sign(order)).toBe(expected)
})

test('what is no number counts as newer', () => {
  expect(isOlderVersion('9', '10')).toBe(true)
  expect(isOlderVersion('10', '10')).toBe(false)
  expect(isOlderVersion('opaque', '10')).toBe(false)
  expect(isOlderVersion('10', 'opaque')).toBe(false)
})
