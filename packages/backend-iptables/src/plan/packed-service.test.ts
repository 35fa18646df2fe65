import fc from 'fast-check'
import { expect, it } from 'vitest'
import {
  type ChainKey,
  chainsOf,
  entriesOf,
  entryLines,
  haveSameChains,
  packService,
  type RenderedService,
} from './installed.js'

const KEY = fc.constantFrom<ChainKey>('nat KUBE-SVC-A', 'nat KUBE-SEP-B', 'filter KUBE-SERVICES', 'nat KUBE-SERVICES')
/** A rule with no words in it, put there by somebody else, is an empty line. */
const LINES = fc.array(fc.constantFrom('-j KUBE-MARK-MASQ', '', '-m comment --comment "é\u0001"'), { maxLength: 4 })
const CHAINS = fc.uniqueArray(
  fc.tuple(
    KEY,
    LINES.map((lines) => lines.join('\n')),
  ),
  { selector: ([key]) => key },
)
const SERVICE: fc.Arbitrary<RenderedService> = fc.record({ chains: CHAINS, entries: CHAINS })

it('says what was packed, empty chains and rules included', () => {
  fc.assert(
    fc.property(SERVICE, (service) => {
      const packed = packService(service)
      expect({ chains: chainsOf(packed), entries: entriesOf(packed) }).toEqual(service)
    }),
  )
})

it('is equal where what is packed is equal, and has the same chains where they are the same', () => {
  fc.assert(
    fc.property(SERVICE, SERVICE, (one, other) => {
      const mixed = packService({ chains: one.chains, entries: other.entries })
      expect(packService(structuredClone(one)) === packService(one)).toBe(true)
      expect(haveSameChains(packService(one), mixed)).toBe(true)
      expect(haveSameChains(packService(other), mixed)).toBe(
        JSON.stringify(one.chains) === JSON.stringify(other.chains),
      )
    }),
  )
})

it('has nothing of a service port that is not there, and no rules in a chain that it has none in', () => {
  expect([chainsOf(undefined), entriesOf(undefined), entryLines(undefined, 'nat KUBE-SERVICES')]).toEqual([[], [], []])
  const packed = packService({ chains: [], entries: [['nat KUBE-SERVICES', 'a\nb']] })
  expect(entryLines(packed, 'nat KUBE-SERVICES')).toEqual(['a', 'b'])
  expect(entryLines(packed, 'filter KUBE-SERVICES')).toEqual([])
})

it('has other chains when one rule says as much, and something else', () => {
  const packed = (rule: string) => packService({ chains: [['nat KUBE-SEP-A', rule]], entries: [] })
  expect(haveSameChains(packed('-s 10.0.0.1/32'), packed('-s 10.0.0.2/32'))).toBe(false)
})
