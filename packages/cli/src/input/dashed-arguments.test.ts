import { expect, test } from 'vitest'
import { shieldDashed } from './suggest.js'

test.each([
  [
    ['diff', '-5m', '118'],
    ['diff', ' -5m', '118'],
  ],
  [
    ['diff', '--stat', '-1h30m', '-5m'],
    ['diff', '--stat', ' -1h30m', ' -5m'],
  ],
  [
    ['blame', '-A KUBE-SERVICES -j DROP', '-o', 'json'],
    ['blame', ' -A KUBE-SERVICES -j DROP', '-o', 'json'],
  ],
  [
    ['services', '--at', '-5m'],
    ['services', '--at', '-5m'],
  ],
  [
    ['blame', '-A'],
    ['blame', '-A'],
  ],
  [[], []],
])('%j is read as %j', (given, read) => {
  expect(shieldDashed(given)).toEqual(read)
})
