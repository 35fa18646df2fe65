import { expect, it } from 'vitest'
import { addressBytes, addressText } from './addresses.js'

it.each([
  ['10.96.0.10', '0a60000a', '10.96.0.10'],
  ['::', '00000000000000000000000000000000', '::'],
  ['::1', '00000000000000000000000000000001', '::1'],
  ['fd00:96::', 'fd000096000000000000000000000000', 'fd00:96::'],
  ['FD00:0096::000A', 'fd00009600000000000000000000000a', 'fd00:96::a'],
  // RFC 5952: one group of zeros is not shortened, of two runs the longer is, of equal ones the first.
  ['2001:db8:0:1:1:1:1:1', '20010db8000000010001000100010001', '2001:db8:0:1:1:1:1:1'],
  ['2001:0:0:1:0:0:0:1', '20010000000000010000000000000001', '2001:0:0:1::1'],
  ['2001:db8:0:0:1:0:0:1', '20010db8000000000001000000000001', '2001:db8::1:0:0:1'],
  ['::ffff:10.0.0.1', '00000000000000000000ffff0a000001', '::ffff:a00:1'],
])('%s is 0x%s', (text, hex, canonical) => {
  expect(addressBytes(text).toString('hex')).toBe(hex)
  expect(addressText(Buffer.from(hex, 'hex'))).toBe(canonical)
})
