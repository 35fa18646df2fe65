import { TraceError } from '@pointsman/core'
import { describe, expect, test } from 'vitest'
import { traceOf, type TracedCase } from '../test-support/tell-trace.js'
import { parseIpsets } from './ip-sets.js'

const SAVED = `create hosts hash:ip family inet hashsize 1024 maxelem 65536 bucketsize 12 initval 0x7008e08b
add hosts 10.244.1.5 timeout 300
create slash24 hash:ip family inet netmask 24
add slash24 10.96.0.0
create nets hash:net family inet
add nets 10.244.0.0/16
add nets 10.244.1.0/24 nomatch
add nets 10.244.1.4/31
create six hash:net family inet6
add six ::/1
create services hash:ip,port family inet
add services 10.96.0.10,tcp:80
add services 10.96.0.11,80
create pairs hash:net,net family inet
add pairs 10.244.0.0/16,10.96.0.0/12
create three hash:ip,port,net family inet
add three 10.96.0.10,tcp:80,10.244.1.0/24
create ports bitmap:port range 0-1000
add ports 79-81
create range bitmap:ip range 10.96.0.0-10.96.0.255
add range 10.96.0.10
create marks hash:ip,mark family inet markmask 0x0000000f
add marks 10.96.0.10,0x00000003
create places hash:net,iface family inet
add places 10.244.0.0/16,eth0
create macs hash:mac
add macs 02:00:00:00:00:05
create both list:set size 8
add both six
add both services
create empty hash:ip family inet
create later hash:ip,port,unheard family inet
`

/** As `ipset list` prints two of them. */
const LISTED = `Name: hosts
Type: hash:ip
Revision: 6
Header: family inet hashsize 1024 maxelem 65536 timeout 300 bucketsize 12 initval 0x7008e08b
Size in memory: 216
References: 1
Number of entries: 1
Members:
10.244.1.5 timeout 299

Name: nets
Type: hash:net
Revision: 7
Header: family inet hashsize 1024 maxelem 65536
Size in memory: 512
References: 0
Number of entries: 2
Members:
10.244.0.0/16
10.244.1.0/24 nomatch
`

/** Of `tcp 10.244.1.5 -> 10.96.0.10:80`, what becomes of it where a set that has it drops it. */
const fateOf = (match: string, asked: Partial<TracedCase> = {}): string =>
  traceOf({ rules: [`filter FORWARD -m set --match-set ${match} -j DROP`], ipsets: SAVED, ...asked }).fate

describe('a packet is in a set', () => {
  test.each([
    ['hosts src', 'dropped'],
    ['hosts dst', 'no-service'],
    ['hosts src,dst', 'dropped'],
    ['slash24 dst', 'dropped'],
    // The smallest network decides.
    ['nets src', 'dropped'],
    ['six dst', 'no-service'],
    ['services dst,dst', 'dropped'],
    // Fewer fields than an element has parts never match.
    ['services dst', 'no-service'],
    ['services src,dst', 'no-service'],
    ['pairs src,dst', 'dropped'],
    ['pairs dst,src', 'no-service'],
    ['three dst,dst,src', 'dropped'],
    ['ports dst', 'dropped'],
    ['range dst', 'dropped'],
    ['both dst,dst', 'dropped'],
    ['empty src', 'no-service'],
    // Unknown, or not given.
    ['places src,src', 'depends'],
    ['macs src', 'depends'],
    ['ports src', 'depends'],
    ['services src,src', 'no-service'],
    ['later src,dst,dst', 'depends'],
    ['missing src', 'depends'],
    ['hosts src --return-nomatch', 'depends'],
    ['hosts src ! --update-counters', 'dropped'],
  ])('%s: %s', (match, fate) => {
    expect(fateOf(match)).toBe(fate)
  })

  test('whose mark, interface or MAC address is known', () => {
    expect(fateOf('marks dst,dst', { mark: 0x13 })).toBe('dropped')
    expect(fateOf('marks dst,dst', { mark: 0x12 })).toBe('no-service')
    expect(fateOf('places src,src', { inInterface: 'eth0' })).toBe('dropped')
    expect(fateOf('places src,src', { inInterface: 'eth1' })).toBe('no-service')
    expect(fateOf('macs src', { mac: '02:00:00:00:00:05' })).toBe('dropped')
  })

  test('of `ipset list` as well', () => {
    expect(fateOf('hosts src', { ipsets: LISTED })).toBe('dropped')
    expect(fateOf('nets src', { ipsets: LISTED })).toBe('no-service')
  })

  test('until a rule changes that', () => {
    const rules = [
      'mangle FORWARD -j SET --add-set empty src',
      'mangle FORWARD -j SET --del-set services dst,dst',
      'filter FORWARD -m set ! --match-set empty src -j REJECT',
      'filter FORWARD -m set --match-set services dst,dst -j DROP',
    ]
    expect(traceOf({ rules, ipsets: SAVED }).fate).toBe('no-service')
  })
})

test.each(['nonsense', 'add hosts 10.0.0.1', '{"sets": []}', 'create hosts hash:ip\nflush hosts'])(
  '%j is no listing',
  (text) => {
    expect(() => parseIpsets(text)).toThrow(TraceError)
  },
)
