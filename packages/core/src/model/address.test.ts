import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { cidrContains, parseAddress, parseCidr } from './address.js'

describe('parseAddress', () => {
  it.each([
    // as written, family, canonical
    ['10.0.0.1', 'IPv4', '10.0.0.1'],
    ['0.0.0.0', 'IPv4', '0.0.0.0'],
    ['255.255.255.255', 'IPv4', '255.255.255.255'],
    // Leading zeros are decimal, never octal.
    ['010.0.0.1', 'IPv4', '10.0.0.1'],
    ['10.00.000.0001', 'IPv4', '10.0.0.1'],
    ['::ffff:10.0.0.1', 'IPv4', '10.0.0.1'],
    ['::FFFF:0a00:1', 'IPv4', '10.0.0.1'],
    ['0:0:0:0:0:ffff:10.0.0.01', 'IPv4', '10.0.0.1'],
    ['::', 'IPv6', '::'],
    ['::1', 'IPv6', '::1'],
    ['1::', 'IPv6', '1::'],
    ['fd00:0010:0096:0000:0000:0000:0000:000A', 'IPv6', 'fd00:10:96::a'],
    ['2001:db8:0:1:1:1:1:1', 'IPv6', '2001:db8:0:1:1:1:1:1'],
    ['2001:db8:0:0:1:0:0:1', 'IPv6', '2001:db8::1:0:0:1'],
    ['2001:0:0:1:0:0:0:1', 'IPv6', '2001:0:0:1::1'],
    ['1:2:3:4:5:6:7::', 'IPv6', '1:2:3:4:5:6:7:0'],
    ['::2:3:4:5:6:7:8', 'IPv6', '0:2:3:4:5:6:7:8'],
    ['64:ff9b::192.0.2.33', 'IPv6', '64:ff9b::c000:221'],
    ['::1.2.3.4', 'IPv6', '::102:304'],
    ['1:2:3:4:5:6:1.2.3.4', 'IPv6', '1:2:3:4:5:6:102:304'],
    ['::255.255.255.255', 'IPv6', '::ffff:ffff'],
    ['00001::', 'IPv6', '1::'],
  ])('reads %s as %s %s', (text, family, canonical) => {
    expect(parseAddress(text)).toEqual({ family, text: canonical })
  })

  it.each([
    '',
    ' ',
    '10.0.0',
    '10.0.0.0.1',
    '10.0.0.256',
    '10.0.0.',
    '.10.0.0',
    '10..0.0',
    '10.0.0.1 ',
    ' 10.0.0.1',
    '10.0.0.-1',
    '0x0a.0.0.1',
    '1e1.0.0.1',
    '10.0.0.1/8',
    '10.0.0.1\n',
    ':',
    ':::',
    '1',
    '1:2',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1:2:3:4:5:6:7:8::',
    '::1:2:3:4:5:6:7:8',
    '1::2::3',
    ':1::',
    '1:2:3:4:5:6:7:',
    'g::',
    '10000::',
    'fe80::1%eth0',
    '::1.2.3',
    '::1.2.3.4:5',
    '1.2.3.4::',
    '1:2:3:4:5:6:7:1.2.3.4',
    '1:2:3:4:5:1.2.3.4',
    '::256.1.1.1',
    '[::1]',
    'None',
    '１.2.3.4',
  ])('refuses %j', (text) => {
    expect(parseAddress(text)).toBeUndefined()
  })
})

describe('parseCidr', () => {
  it.each([
    ['10.0.0.0/8', 'IPv4', '10.0.0.0/8'],
    ['10.1.2.3/8', 'IPv4', '10.0.0.0/8'],
    ['192.168.255.255/17', 'IPv4', '192.168.128.0/17'],
    ['1.2.3.4/32', 'IPv4', '1.2.3.4/32'],
    ['1.2.3.4/0', 'IPv4', '0.0.0.0/0'],
    ['010.0.0.0/08', 'IPv4', '10.0.0.0/8'],
    ['fd00:10:244::1/64', 'IPv6', 'fd00:10:244::/64'],
    ['::/0', 'IPv6', '::/0'],
    ['fd00::1/128', 'IPv6', 'fd00::1/128'],
    ['2001:db8:ffff::/33', 'IPv6', '2001:db8:8000::/33'],
    ['::ffff:10.1.2.3/104', 'IPv4', '10.0.0.0/8'],
    ['::ffff:10.1.2.3/95', 'IPv6', '::fffe:0:0/95'],
  ])('reads %s as %s %s', (text, family, canonical) => {
    expect(parseCidr(text)).toMatchObject({ family, text: canonical, prefix: Number(canonical.split('/')[1]) })
  })

  it.each([
    '',
    '/',
    '/8',
    '10.0.0.0',
    '10.0.0.0/',
    '10.0.0.0/33',
    '10.0.0.0/-1',
    '10.0.0.0/+8',
    '10.0.0.0/8 ',
    ' 10.0.0.0/8',
    '10.0.0.0/8/8',
    '10.0.0/8',
    'fd00::/129',
    '10.0.0.0/1e1',
    '10.0.0.0/255.0.0.0',
  ])('refuses %j', (text) => {
    expect(parseCidr(text)).toBeUndefined()
  })
})

describe('properties', () => {
  const numbers = fc.oneof(
    fc.record({ bits: fc.constant(32 as const), value: fc.bigInt(0n, 2n ** 32n - 1n) }),
    fc.record({
      bits: fc.constant(128 as const),
      // Few distinct groups, so that runs of zeros of every length and place occur.
      value: fc
        .array(fc.oneof(fc.constant(0), fc.nat(0xffff)), { minLength: 8, maxLength: 8 })
        .map((groups) => groups.reduce((all, group) => (all << 16n) | BigInt(group), 0n)),
    }),
  )

  it('gives every address one canonical text, whichever way it was written', () => {
    fc.assert(
      fc.property(numbers, ({ bits, value }) => {
        const address = parseAddress(spellOut(bits, value))
        expect(address).toBeDefined()
        if (address === undefined) return
        expect(parseAddress(address.text)).toEqual(address)
        expect(numberOf(address.text)).toBe(isMapped(bits, value) ? value & 0xffffffffn : value)
        if (address.family === 'IPv6')
          expect(`http://[${address.text}]/`).toBe(new URL(`http://[${address.text}]/`).href)
      }),
    )
  })

  it('finds an address in a network exactly when their leading bits agree', () => {
    fc.assert(
      fc.property(numbers, numbers, fc.nat(128), fc.nat(128), (network, other, length, flip) => {
        const prefix = length % (network.bits + 1)
        const cidr = parseCidr(`${spellOut(network.bits, network.value)}/${prefix}`)
        expect(cidr).toBeDefined()
        // One flipped bit as well, or addresses outside would hardly ever be near the edge.
        const near = network.value ^ (1n << BigInt(flip % network.bits))
        for (const [bits, value] of [
          [network.bits, near],
          [network.bits, network.value],
          [other.bits, other.value],
        ] as const) {
          const address = parseAddress(spellOut(bits, value))
          if (cidr === undefined || address === undefined) throw new Error('did not parse')
          if (isMapped(bits, value) || isMapped(network.bits, network.value)) continue
          const rest = BigInt(network.bits - prefix)
          expect(cidrContains(cidr, address)).toBe(bits === network.bits && value >> rest === network.value >> rest)
        }
        expect(cidr && parseCidr(cidr.text)).toEqual(cidr)
      }),
    )
  })

  it('never throws, whatever it is given', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.string(), fc.string({ unit: fc.constantFrom(...'0123456789abcf:./%'), maxLength: 24 })),
        (text) => {
          const address = parseAddress(text)
          if (address !== undefined) expect(parseAddress(address.text)).toEqual(address)
          const cidr = parseCidr(text)
          if (cidr !== undefined) expect(parseCidr(cidr.text)).toEqual(cidr)
        },
      ),
    )
  })
})

const isMapped = (bits: number, value: bigint): boolean => bits === 128 && value >> 32n === 0xffffn

/** The longest spelling. */
function spellOut(bits: 32 | 128, value: bigint): string {
  return bits === 32
    ? [24n, 16n, 8n, 0n].map((shift) => ((value >> shift) & 255n).toString().padStart(3, '0')).join('.')
    : value
        .toString(16)
        .toUpperCase()
        .padStart(32, '0')
        .replace(/(.{4})(?=.)/g, '$1:')
}

/** An independent reader of canonical addresses. */
function numberOf(text: string): bigint {
  if (!text.includes(':')) return text.split('.').reduce((all, octet) => (all << 8n) | BigInt(octet), 0n)
  const [before = '', after] = text.split('::').map((side) => side.split(':').filter((group) => group !== ''))
  const zeros = after === undefined ? [] : Array.from({ length: 8 - before.length - after.length }, () => '0')
  return [...before, ...zeros, ...(after ?? [])].reduce((all, group) => (all << 16n) | BigInt(`0x${group}`), 0n)
}
