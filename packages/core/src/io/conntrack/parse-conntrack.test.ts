import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isTranslated, type Flow } from '../../conntrack/stale-flows.js'
import { parseConntrack } from './conntrack-commands.js'

/** A flow as one line: what was sent where, and what it is to the one who answers. */
const said = (flow: Flow | undefined): string => {
  if (flow === undefined) return 'nothing'
  const { family, protocol, zone, original, reply } = flow
  const ends = [original, reply].map(({ src, sport, dst, dport }) => `${src} ${sport} -> ${dst} ${dport}`)
  return `${family} ${protocol} ${ends.join(' | ')}${zone === 0 ? '' : ` zone ${zone}`}${isTranslated(flow) ? ' translated' : ''}`
}

describe('a line of conntrack -L -o extended', () => {
  test.each([
    [
      'ipv4     2 udp      17 29 src=10.0.1.2 dst=10.96.0.10 sport=40000 dport=53 src=10.244.1.5 dst=10.0.1.2 sport=5353 dport=40000 [ASSURED] mark=0 use=1',
      'IPv4 udp 10.0.1.2 40000 -> 10.96.0.10 53 | 10.244.1.5 5353 -> 10.0.1.2 40000 translated',
    ],
    [
      'ipv4     2 udp      17 29 src=10.0.1.2 dst=10.96.0.10 sport=40000 dport=53 [UNREPLIED] src=10.96.0.10 dst=10.0.1.2 sport=53 dport=40000 mark=0 use=1',
      'IPv4 udp 10.0.1.2 40000 -> 10.96.0.10 53 | 10.96.0.10 53 -> 10.0.1.2 40000',
    ],
    // With net.netfilter.nf_conntrack_acct.
    [
      'ipv4     2 udp      17 119 src=10.0.1.2 dst=10.96.0.10 sport=4 dport=53 packets=7 bytes=420 src=10.244.1.5 dst=10.0.1.1 sport=53 dport=61000 packets=7 bytes=800 [ASSURED] mark=16384 zone=5 use=2',
      'IPv4 udp 10.0.1.2 4 -> 10.96.0.10 53 | 10.244.1.5 53 -> 10.0.1.1 61000 zone 5 translated',
    ],
    // A zone of one direction, and what the kernel adds of time and labels.
    [
      'ipv4     2 udp      17 99 src=10.0.0.1 dst=10.0.0.3 sport=1 dport=2 zone-orig=6 [UNREPLIED] src=10.0.0.3 dst=10.0.0.1 sport=2 dport=1 mark=0 secctx=system_u:object_r:x delta-time=5 use=1 labels=0x1 [OFFLOAD]',
      'IPv4 udp 10.0.0.1 1 -> 10.0.0.3 2 | 10.0.0.3 2 -> 10.0.0.1 1',
    ],
    // The C library writes some IPv6 addresses with a dotted tail.
    [
      'ipv6     10 udp      17 99 src=fd00::1 dst=::10.0.0.2 sport=1 dport=2 [UNREPLIED] src=fd00:10:244:0:0:0:0:5 dst=fd00::1 sport=53 dport=1 mark=0 use=1',
      'IPv6 udp fd00::1 1 -> ::a00:2 2 | fd00:10:244::5 53 -> fd00::1 1 translated',
    ],
    [
      'ipv4     2 tcp      6 431999 ESTABLISHED src=10.0.1.2 dst=10.96.0.1 sport=4 dport=443 src=10.0.1.1 dst=10.0.1.2 sport=6443 dport=4 [ASSURED] mark=0 use=1',
      'IPv4 tcp 10.0.1.2 4 -> 10.96.0.1 443 | 10.0.1.1 6443 -> 10.0.1.2 4 translated',
    ],
  ])('%s', (line, flow) => {
    expect(said(parseConntrack(line))).toBe(flow)
  })

  test.each([
    [
      'a protocol without ports',
      'ipv4     2 icmp     1 29 src=1.1.1.1 dst=2.2.2.2 type=8 code=0 id=7 src=2.2.2.2 dst=1.1.1.1 type=0 code=0 id=7 use=1',
    ],
    [
      'another form of output',
      'udp      17 29 src=1.1.1.1 dst=2.2.2.2 sport=1 dport=2 src=2.2.2.2 dst=1.1.1.1 sport=2 dport=1 mark=0 use=1',
    ],
    [
      'a line that was cut off',
      'ipv4     2 udp      17 29 src=10.0.1.2 dst=10.96.0.10 sport=40000 dport=53 src=10.244.1.5 dst=10.0',
    ],
    [
      'a third direction',
      'ipv4 2 udp 17 29 src=1.1.1.1 dst=2.2.2.2 sport=1 dport=2 src=2.2.2.2 dst=1.1.1.1 sport=2 dport=1 src=3.3.3.3',
    ],
    [
      'a port that is none',
      'ipv4 2 udp 17 29 src=1.1.1.1 dst=2.2.2.2 sport=1 dport=65536 src=2.2.2.2 dst=1.1.1.1 sport=2 dport=1',
    ],
    [
      'an address of the other family',
      'ipv6 10 udp 17 29 src=fd00::1 dst=fd00::2 sport=1 dport=2 src=10.0.0.1 dst=fd00::1 sport=2 dport=1',
    ],
    ['the summary', 'conntrack v1.4.7 (conntrack-tools): 3 flow entries have been shown.'],
    ['nothing', ''],
  ])('%s is passed over', (_, line) => {
    expect(said(parseConntrack(line))).toBe('nothing')
  })

  test('whatever a line is, it is read or passed over', () => {
    const word = fc.oneof(
      fc.constantFrom('ipv4', 'udp', '2', 'src=', 'dst=10.0.0.1', 'src=10.0.0.1', 'sport=1', 'dport=2', 'zone=', '='),
      fc.string({ unit: 'binary' }),
    )
    fc.assert(
      fc.property(fc.array(word, { maxLength: 14 }), (words) => {
        expect(() => parseConntrack(words.join(' '))).not.toThrow()
      }),
    )
  })
})
