import { describe, expect, it } from 'vitest'
import { asJsonHasIt } from '../test-support/as-json-has-it.js'
import { GOLDEN_CASES, readGolden } from '../test-support/goldens.js'
import { formatRule } from './format.js'
import { readJsonListing, statementOf } from './read-json.js'
import { readTextListing, readTextRule } from './read-text.js'

describe('a listing', () => {
  it.each(GOLDEN_CASES)('of %s in %s is the same as text and as JSON', (scenario, family) => {
    const { listing, text } = readGolden(scenario)
    const model = readTextListing(text[family])
    expect(asJsonHasIt(model)).toEqual(readJsonListing(listing[family]))
  })
})

describe('a rule', () => {
  it.each([
    'ip daddr . meta l4proto . th dport vmap @service-ips',
    'meta mark & 0x00004000 != 0x00000000 meta mark set meta mark ^ 0x00004000 masquerade fully-random',
    'meta l4proto tcp dnat ip to numgen random mod 2 map { 0 : 10.244.1.5 . 443, 1 : 10.244.1.6 . 443 }',
    'meta l4proto tcp dnat to [fd00::1]:8080',
    'ct status ! snat,dnat drop',
    'update @affinity-O5ZKUJWF-default/sticky/tcp/http__10.244.1.51/8080 { ip saddr }',
  ])('reads as it is written: %s', (text) => {
    expect(formatRule(readTextRule(text))).toBe(text)
  })
})

it('an address of conntrack is the same in both forms, though JSON has its family in the key', () => {
  const left = { ct: { key: 'ip daddr', dir: 'original' } }
  const statements = [statementOf({ match: { op: '==', left, right: '10.96.0.10' } })]
  expect(readTextRule('ct original ip daddr 10.96.0.10').statements).toEqual(statements)
})

it('that none of several flags is set is the same in both forms, as nft 1.0.6 lists `ct status & (dnat | snat) == 0`', () => {
  const match = { op: '!', left: { ct: { key: 'status' } }, right: ['snat', 'dnat'] }
  expect(readTextRule('ct status ! snat,dnat').statements).toEqual([statementOf({ match })])
})

it('a comparison that is not known is none', () => {
  const match = { op: '~', left: { ct: { key: 'status' } }, right: 'dnat' }
  expect(statementOf({ match })).toMatchObject({ type: 'other' })
})
