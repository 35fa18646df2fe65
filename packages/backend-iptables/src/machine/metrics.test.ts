import { expect, test } from 'vitest'
import { parseNfacct } from '../dataplane.js'

test('counters of nfacct(8) are read, those with a quota too', () => {
  const text = [
    '{ pkts = 00000000000000000007, bytes = 00000000000000000420 } = ct_state_invalid_dropped_pkts;',
    '{ pkts = 00000000000000000012, bytes = 00000000000000000720, quota = 100000, flags = 1 } = other;',
    '',
  ].join('\n')
  expect(parseNfacct(text)).toEqual({ ct_state_invalid_dropped_pkts: 7, other: 12 })
  expect(parseNfacct('')).toEqual({})
})
