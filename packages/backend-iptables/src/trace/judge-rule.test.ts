import { describe, expect, it, test } from 'vitest'
import { traceOf, type TracedCase } from '../test-support/tell-trace.js'

/** Whether a rule of FORWARD with this condition drops the packet. */
const CONDITIONS: readonly (readonly [condition: string, asked: Partial<TracedCase>, matches: boolean])[] = [
  ['-s 10.244.0.0/16', {}, true],
  ['! -s 10.244.0.0/16', {}, false],
  ['-d 10.96.0.10/32', {}, true],
  ['-d 10.96.0.0/255.255.0.255', {}, false],
  ['-p udp', {}, false],
  ['! -p udp', {}, true],
  ['-f', {}, false],
  ['! -f', {}, true],
  ['-p tcp -m tcp --dport 80', {}, true],
  ['-p tcp -m tcp ! --dport 1:79', {}, true],
  ['-p tcp -m tcp --sport 1024:65535', {}, true],
  ['-p tcp -m tcp --sport 40000', { sourcePort: 40_000 }, true],
  ['-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN', {}, true],
  ['-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN', { state: 'ESTABLISHED' }, false],
  ['-p tcp -m tcp --tcp-flags ALL ACK', { state: 'ESTABLISHED' }, true],
  ['-i cali+', { inInterface: 'cali123' }, true],
  ['-i cali+', { inInterface: 'eth0' }, false],
  ['! -i cbr0', { inInterface: 'eth0' }, true],
  ['-o eth0', { outInterface: 'eth0' }, true],
  ['-m mark --mark 0x8/0xf', { mark: 0x18 }, true],
  ['-m mark ! --mark 0x8', { mark: 0x18 }, true],
  ['-m conntrack --ctstate NEW', {}, true],
  ['-m conntrack --ctstate RELATED,ESTABLISHED', {}, false],
  ['-m conntrack --ctstate RELATED,ESTABLISHED', { state: 'ESTABLISHED' }, true],
  ['-m conntrack ! --ctstate DNAT', {}, true],
  ['-m conntrack --ctstate INVALID', { state: 'INVALID' }, true],
  ['-m addrtype --dst-type LOCAL', {}, false],
  ['-m addrtype ! --src-type LOCAL', {}, true],
  ['-m addrtype --dst-type UNICAST,MULTICAST', {}, true],
  ['-m comment --comment x -m nfacct --nfacct-name y', {}, true],
  ['-m recent --set --name L --mask 255.255.255.255 --rsource', {}, true],
  ['-m recent --rcheck --seconds 60 --name L --mask 255.255.255.255 --rsource', {}, false],
  ['-m recent ! --rcheck --seconds 60 --name L --mask 255.255.255.255 --rsource', {}, true],
  [
    '-m recent --rcheck --seconds 60 --name L --mask 255.255.255.255 --rsource',
    { affinity: [{ list: 'L', address: '10.244.1.5', secondsAgo: 60 }] },
    true,
  ],
  [
    '-m recent --rcheck --seconds 60 --name L --mask 255.255.255.255 --rsource',
    { affinity: [{ list: 'L', address: '10.244.1.5', secondsAgo: 61 }] },
    false,
  ],
  [
    '-m recent --rcheck --name L --mask 255.255.255.255 --rsource',
    { affinity: [{ list: 'M', address: '10.244.1.5' }] },
    false,
  ],
  [
    '-m recent --update --hitcount 3 --name L --mask 255.255.255.255 --rdest',
    { affinity: [{ list: 'L', address: '10.96.0.10', hits: 3 }] },
    true,
  ],
  [
    '-m recent --rcheck --name L --mask 255.255.0.0 --rsource',
    { affinity: [{ list: 'L', address: '10.244.9.9' }] },
    true,
  ],
]

describe('a rule with the condition', () => {
  it.each(CONDITIONS)('%s, of %o: %s', (condition, asked, matches) => {
    const trace = traceOf({ rules: [`filter FORWARD ${condition} -j DROP`], ...asked })
    expect(trace.fate).toBe(matches ? 'dropped' : 'no-service')
  })
})

test('what the node sends is from an address of its own, though no other is known', () => {
  const rules = ['filter OUTPUT -m addrtype --src-type LOCAL -j DROP']
  expect(traceOf({ rules, from: 'node', nodeAddresses: [] }).fate).toBe('dropped')
})

test('a client is remembered by a rule that then fails, in a large chain as well', () => {
  const set =
    'mangle FORWARD -p tcp -m recent --set --name L --mask 255.255.255.255 --rsource -m tcp --dport 81 -j ACCEPT'
  const fillers = Array.from({ length: 50 }, () => 'mangle FORWARD -s 10.9.9.9/32 -j ACCEPT')
  const rules = [set, ...fillers, 'filter FORWARD -m recent --rcheck --name L --mask 255.255.255.255 --rsource -j DROP']
  expect(traceOf({ rules, affinity: [] }).fate).toBe('dropped')
})

test('in IPv6 an address of the node is unicast as well, and every type that is asked for has to hold', () => {
  const own = { nodeAddresses: ['fd00:55::10'], source: 'fd00:10:244:1::5', destination: 'fd00:55::10' }
  const fates = ['UNICAST', 'LOCAL', 'UNICAST,LOCAL', 'MULTICAST,LOCAL'].map(
    (types) => traceOf({ ...own, rules: [`filter INPUT -m addrtype --dst-type ${types} -j DROP`] }).fate,
  )
  expect(fates).toEqual(['dropped', 'dropped', 'dropped', 'no-service'])
})
