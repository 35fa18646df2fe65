import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compareEndpoints, endpointKey } from './endpoint.js'

const addresses = [
  '10.0.0.1',
  '10.0.0.10',
  '10.0.0.2',
  '1.0.0.1',
  '110.0.0.1',
  'fd00::1',
  'fd00::1f',
  'fd00::10',
  'fd00::',
  '::1',
]

describe('the order of endpoints', () => {
  it('is that of their keys as texts', () => {
    const target = fc.record({ address: fc.constantFrom(...addresses), port: fc.constantFrom(8, 80, 8080, 90) })
    fc.assert(
      fc.property(target, target, (a, b) => {
        const [left, right] = [endpointKey(a), endpointKey(b)]
        expect(Math.sign(compareEndpoints(a, b))).toBe(left === right ? 0 : left < right ? -1 : 1)
      }),
    )
  })
})
