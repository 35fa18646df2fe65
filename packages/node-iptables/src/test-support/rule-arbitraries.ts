import fc from 'fast-check'
import { networkOf } from '../rules/networks.js'
import type { Match, PortRange, Rule, Target } from '../rules/rule.js'

/** Rules of one family that iptables could print: every field of Rule, known and unknown matches and targets. */
export const ruleArbitrary = (family: 'IPv4' | 'IPv6'): fc.Arbitrary<Rule> =>
  fc.record(
    {
      source: negatable({ network: networkArbitrary(family) }),
      destination: negatable({ network: networkArbitrary(family) }),
      inInterface: negatable({ name: interfaceName }),
      outInterface: negatable({ name: interfaceName }),
      protocol: negatable({ name: fc.constantFrom('tcp', 'udp', 'sctp', 'icmp', '200') }),
      fragment: fc.record({ negated: fc.boolean() }),
      matches: fc.array(matchArbitrary(family), { maxLength: 4 }),
      target: targetArbitrary(family),
    },
    { requiredKeys: ['matches'] },
  )

const negatable = <T extends object>(fields: { readonly [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<
  T & { readonly negated: boolean }
> => fc.record({ ...fields, negated: fc.boolean() }) as fc.Arbitrary<T & { readonly negated: boolean }>

const networkArbitrary = (family: 'IPv4' | 'IPv6'): fc.Arbitrary<string> =>
  fc
    .tuple(family === 'IPv4' ? fc.ipV4() : fc.ipV6(), fc.integer({ min: 1, max: family === 'IPv4' ? 32 : 128 }))
    .map(([address, length]) => networkOf(`${address}/${length}`)?.network ?? '')

const interfaceName = fc.constantFrom('eth0', 'br+', 'cali1234', 'lo', 'veth@0')

const uint32 = fc.oneof(fc.constantFrom(0, 1, 0x4000, 0xff_ff_ff_ff), fc.nat(0xff_ff_ff_ff))

const ports: fc.Arbitrary<PortRange> = fc
  .tuple(fc.nat(65_535), fc.nat(65_535))
  .map(([one, other]) => ({ first: Math.min(one, other), last: Math.max(one, other) }))
  .filter(({ first, last }) => first > 0 || last < 65_535)

const wildText = fc.string({
  unit: fc.constantFrom('a', 'B', '7', '-', '_', ' ', '\t', '"', "'", '\\', '!', '/', ':', '->', 'ü', ';', '$'),
  maxLength: 40,
})

const listName = fc.constantFrom('KUBE-SEP-AAAAAAAAAAAAAAAA', 'list', 'x.y')

const matchArbitrary = (family: 'IPv4' | 'IPv6'): fc.Arbitrary<Match> =>
  fc.oneof(
    fc.record({ type: fc.constant('comment' as const), comment: wildText }),
    fc.record(
      {
        type: fc.constantFrom('tcp' as const, 'udp' as const, 'sctp' as const),
        source: negatable<PortRange>({ first: ports.map((range) => range.first), last: fc.constant(65_534) }).filter(
          ({ first, last }) => first <= last && first > 0,
        ),
        destination: ports.chain((range) => fc.boolean().map((negated) => ({ ...range, negated }))),
      },
      { requiredKeys: ['type'] },
    ),
    fc.record({
      type: fc.constant('tcp' as const),
      flags: fc.constantFrom(
        { negated: false, mask: ['FIN', 'SYN', 'RST', 'ACK'] as const, set: ['SYN'] as const },
        { negated: true, mask: ['FIN', 'SYN', 'RST', 'PSH', 'ACK', 'URG'] as const, set: [] },
      ),
    }),
    fc.record({ type: fc.constant('mark' as const), value: uint32, mask: uint32, negated: fc.boolean() }),
    fc.record({
      type: fc.constant('conntrack' as const),
      negated: fc.boolean(),
      states: fc.subarray(['INVALID', 'NEW', 'RELATED', 'ESTABLISHED', 'UNTRACKED', 'SNAT', 'DNAT'] as const, {
        minLength: 1,
      }),
    }),
    fc.record({ type: fc.constant('statistic-random' as const), negated: fc.boolean(), chances: fc.nat(2 ** 31) }),
    fc.tuple(fc.integer({ min: 1, max: 100 }), fc.nat(99), fc.boolean()).map(([every, packet, negated]) => ({
      type: 'statistic-nth' as const,
      every,
      packet: Math.min(packet, every - 1),
      negated,
    })),
    fc.record(
      {
        type: fc.constant('recent' as const),
        negated: fc.boolean(),
        operation: fc.constantFrom('set' as const, 'rcheck' as const, 'update' as const, 'remove' as const),
        seconds: fc.integer({ min: 1, max: 86_400 }),
        reap: fc.boolean(),
        hitcount: fc.integer({ min: 1, max: 20 }),
        rttl: fc.boolean(),
        name: listName,
        mask: fc.constant(family === 'IPv4' ? '255.255.255.255' : 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'),
        side: fc.constantFrom('source' as const, 'destination' as const),
      },
      { requiredKeys: ['type', 'negated', 'operation', 'reap', 'rttl'] },
    ),
    fc.record(
      {
        type: fc.constant('addrtype' as const),
        source: negatable({ types: fc.constantFrom(['LOCAL'], ['UNICAST', 'LOCAL']) }),
        destination: negatable({ types: fc.constant(['LOCAL']) }),
        limit: fc.constantFrom('in' as const, 'out' as const),
      },
      { requiredKeys: ['type'] },
    ),
    fc.record({ type: fc.constant('nfacct' as const), name: fc.constantFrom('dropped_pkts', 'a') }),
    fc.constantFrom<Match>(
      { type: 'physdev', isIn: { negated: false } },
      { type: 'physdev', in: { name: 'br0+', negated: true }, isBridged: { negated: true } },
      { type: 'other', name: 'multiport', words: ['--dports', '80,443'] },
      { type: 'other', name: 'set', words: ['!', '--match-set', 'blue', 'src'] },
      { type: 'other', name: 'string', words: ['--algo', 'bm', '--string', '"a \\"b\\" -j"'] },
      { type: 'other', name: 'socket', words: [] },
    ),
  ) as fc.Arbitrary<Match>

const targetArbitrary = (family: 'IPv4' | 'IPv6'): fc.Arbitrary<Target> =>
  fc.oneof(
    fc.record({
      type: fc.constantFrom('jump' as const, 'goto' as const),
      chain: fc.constantFrom('ACCEPT', 'KUBE-SVC-AAAAAAAAAAAAAAAA', 'x'),
    }),
    fc.record({ type: fc.constant('MARK' as const), value: uint32, mask: uint32 }),
    fc.record({
      type: fc.constant('DNAT' as const),
      to: fc.constantFrom(...(family === 'IPv4' ? ['10.1.2.3', '10.1.2.3:80'] : ['fd00::5', '[fd00::5]:80'])),
      random: fc.boolean(),
      persistent: fc.boolean(),
    }),
    fc.record({
      type: fc.constant('SNAT' as const),
      to: fc.constant(family === 'IPv4' ? '10.1.2.3:9' : '[fd00::5]:9'),
      random: fc.boolean(),
      randomFully: fc.boolean(),
      persistent: fc.boolean(),
    }),
    fc.record(
      { type: fc.constant('MASQUERADE' as const), ports, random: fc.boolean(), randomFully: fc.boolean() },
      { requiredKeys: ['type', 'random', 'randomFully'] },
    ),
    fc.record(
      { type: fc.constant('REJECT' as const), with: fc.constantFrom('tcp-reset', 'icmp6-adm-prohibited') },
      { requiredKeys: ['type'] },
    ),
    fc.constantFrom<Target>(
      { type: 'other', name: 'LOG', words: ['--log-prefix', '"a b"', '--log-level', '7'] },
      { type: 'other', name: 'CT', words: ['--notrack'] },
    ),
  )
