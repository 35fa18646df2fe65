import { cidrContains, parseAddress, parseCidr } from '../model/address.js'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { networkContains } from './networks.js'

describe('a network', () => {
  it.each([
    ['10.0.0.0/8', '10.255.0.1', true],
    ['10.0.0.0/8', '11.0.0.1', false],
    ['10.96.0.10/32', '10.96.0.10', true],
    ['10.0.0.1/255.0.0.255', '10.7.7.1', true],
    ['10.0.0.1/255.0.0.255', '10.7.7.2', false],
    ['fd00::/64', 'fd00::1:2', true],
    ['2001:db8::/32', '2001:db8::9', true],
    ['fd00::1/ffff::ffff', 'fd00:5::1', true],
    ['fd00::1/ffff::ffff', 'fd00:5::2', false],
    ['fd00::/64', '10.0.0.1', false],
    // iptables spells some addresses with dots.
    ['::1.2.3.4/128', '::102:304', true],
  ])('%s and %s: %s', (network, address, expected) => {
    expect(networkContains(network, address)).toBe(expected)
  })

  it('holds the addresses that it holds to the model of Kubernetes', () => {
    const ipv4 = fc.record({ address: fc.ipV4(), other: fc.ipV4(), prefix: fc.nat(32), bits: fc.constant(32) })
    const ipv6 = fc.record({ address: fc.ipV6(), other: fc.ipV6(), prefix: fc.nat(128), bits: fc.constant(128) })
    fc.assert(
      fc.property(fc.oneof(ipv4, ipv6), ({ address, other, prefix }) => {
        const cidr = parseCidr(`${address}/${prefix}`)
        fc.pre(cidr !== undefined && cidr.family === (address.includes(':') ? 'IPv6' : 'IPv4'))
        for (const text of [address, other]) {
          const parsed = parseAddress(text)
          fc.pre(parsed !== undefined && parsed.family === cidr.family)
          expect(networkContains(cidr.text, parsed.text)).toBe(cidrContains(cidr, parsed))
        }
      }),
    )
  })
})
