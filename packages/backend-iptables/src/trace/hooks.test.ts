import { describe, expect, it } from 'vitest'
import { endsOf, stepsTold, traceOf, type TracedCase } from '../test-support/tell-trace.js'

const NODE = '192.168.55.10'

const EVERYWHERE = Object.entries({
  raw: ['PREROUTING', 'OUTPUT'],
  mangle: ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'],
  nat: ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'],
  filter: ['INPUT', 'FORWARD', 'OUTPUT'],
  security: ['INPUT', 'FORWARD', 'OUTPUT'],
}).flatMap(([table, chains]) => chains.map((chain) => `${table} ${chain}`))

/** The tables that are asked, and the routing between. */
const asked = (packet: Partial<TracedCase>): readonly string[] =>
  stepsTold(traceOf({ rules: EVERYWHERE, ...packet })).flatMap((step) => {
    if (step.startsWith('policy')) return []
    return [step.replace(/:.*/, '')]
  })

describe('the tables are asked in the order of the kernel', () => {
  it('of a packet that is forwarded', () => {
    expect(asked({})).toEqual([
      'PREROUTING raw',
      'PREROUTING mangle',
      'PREROUTING nat',
      'routed to forward',
      'FORWARD mangle',
      'FORWARD filter',
      'FORWARD security',
      'POSTROUTING mangle',
      'POSTROUTING nat',
    ])
  })

  it('of a packet for the node', () => {
    expect(asked({ destination: NODE })).toEqual([
      'PREROUTING raw',
      'PREROUTING mangle',
      'PREROUTING nat',
      'routed to node',
      'INPUT mangle',
      'INPUT filter',
      'INPUT security',
      'INPUT nat',
    ])
  })

  it('of a packet that the node sends', () => {
    expect(asked({ source: NODE })).toEqual([
      'OUTPUT raw',
      'OUTPUT mangle',
      'OUTPUT nat',
      'OUTPUT filter',
      'OUTPUT security',
      'routed to out',
      'POSTROUTING mangle',
      'POSTROUTING nat',
    ])
  })

  it('of a packet that the node sends to itself: nat has spoken when it comes back', () => {
    expect(asked({ source: NODE, destination: '127.0.0.1' }).slice(5)).toEqual([
      'routed to out',
      'POSTROUTING mangle',
      'POSTROUTING nat',
      'routed to node',
      'PREROUTING raw',
      'PREROUTING mangle',
      'INPUT mangle',
      'INPUT filter',
      'INPUT security',
    ])
  })

  it('of a packet that is not the first of its connection: nat is not asked', () => {
    expect(asked({ state: 'ESTABLISHED' }).filter((step) => step.includes('nat'))).toEqual([
      'PREROUTING nat is not asked',
      'POSTROUTING nat is not asked',
    ])
  })
})

const DNAT = '-j DNAT --to-destination'

describe('where it goes on', () => {
  const cases: readonly (readonly [name: string, packet: TracedCase, ends: readonly string[]])[] = [
    [
      'rewriting decides between FORWARD and INPUT',
      { rules: [`nat PREROUTING ${DNAT} ${NODE}:22`, 'filter FORWARD -j DROP'] },
      [`${NODE}:22`],
    ],
    [
      'what was for the node may be forwarded',
      { rules: [`nat PREROUTING ${DNAT} 10.244.2.7:80`, 'filter INPUT -j DROP'], destination: NODE },
      ['10.244.2.7:80'],
    ],
    [
      'FORWARD sees the rewritten address',
      { rules: [`nat PREROUTING ${DNAT} 10.244.2.7:80`, 'filter FORWARD -d 10.96.0.10/32 -j DROP'] },
      ['10.244.2.7:80'],
    ],
    [
      'the node itself is not asked in PREROUTING',
      { rules: [`nat PREROUTING ${DNAT} 10.244.2.7:80`], source: NODE },
      ['untouched 10.96.0.10:80'],
    ],
    [
      'what the node sends arrives by no interface',
      { rules: ['filter OUTPUT -j X', 'filter X -i eth0 -j DROP', 'filter X ! -i cbr0 -j REJECT'], source: NODE },
      ['rejected with icmp-port-unreachable by filter X 2'],
    ],
    [
      'what it sends to itself goes by lo, both ways',
      {
        rules: ['filter OUTPUT ! -o lo -j DROP', 'filter INPUT ! -i lo -j DROP'],
        source: NODE,
        destination: NODE,
      },
      [`untouched ${NODE}:80`],
    ],
    [
      // The kernel finds the way anew when nat has spoken; the rest of OUTPUT sees the interface of before.
      'by way of nat it may leave after all',
      {
        rules: [
          `nat OUTPUT ${DNAT} 10.244.2.7:80`,
          'filter OUTPUT ! -o lo -j DROP',
          'nat POSTROUTING -o eth1 -j MASQUERADE',
        ],
        source: NODE,
        destination: NODE,
        outInterface: 'eth1',
        interfaces: [{ name: 'eth1', addresses: [NODE] }],
      },
      [`10.244.2.7:80 MASQUERADE ${NODE}`],
    ],
    [
      'a connection that was rewritten is known as such',
      {
        rules: [
          `nat PREROUTING ${DNAT} 10.244.2.7:80`,
          'filter FORWARD -m conntrack ! --ctstate DNAT -j DROP',
          'nat POSTROUTING -j MASQUERADE',
        ],
      },
      ['10.244.2.7:80 MASQUERADE'],
    ],
    [
      'one that is sent where it went anyway is not',
      {
        rules: [`nat PREROUTING ${DNAT} 10.96.0.10:80`, 'filter FORWARD -m conntrack --ctstate DNAT -j DROP'],
      },
      ['10.96.0.10:80'],
    ],
    [
      'later packets of a connection are rewritten like the first',
      {
        rules: [`nat PREROUTING ${DNAT} 10.244.2.7:80`],
        state: 'ESTABLISHED',
        connection: { destination: { address: '10.244.9.9', port: 8080 }, source: '192.168.55.10' },
      },
      ['10.244.9.9:8080 SNAT 192.168.55.10'],
    ],
    [
      'the raw table meets packets before conntrack: to it, they are INVALID',
      {
        rules: [
          'raw PREROUTING -m conntrack --ctstate NEW -j DROP',
          'mangle PREROUTING -m conntrack --ctstate NEW -j DROP',
        ],
      },
      ['dropped by mangle PREROUTING 1'],
    ],
    [
      'before it is known where it goes, it leaves by no interface',
      { rules: ['mangle PREROUTING -j X', 'mangle X -o eth1 -j DROP'], outInterface: 'eth1' },
      ['untouched 10.96.0.10:80'],
    ],
    [
      'what comes back by lo is known to conntrack, whatever the raw table says then',
      {
        rules: ['raw PREROUTING -j CT --notrack', 'filter INPUT -m conntrack --ctstate UNTRACKED -j DROP'],
        source: NODE,
        destination: NODE,
      },
      [`untouched ${NODE}:80`],
    ],
    [
      'a source that is given its own address is not rewritten for conntrack, but for a new port',
      {
        rules: [
          'nat POSTROUTING -j X',
          'nat X -p tcp -m tcp --dport 80 -j MASQUERADE',
          'nat X -p tcp -m tcp --dport 81 -j MASQUERADE --random-fully',
          'filter INPUT -m conntrack --ctstate SNAT -j DROP',
        ],
        source: NODE,
        destination: NODE,
        interfaces: [{ name: 'lo', addresses: [NODE] }],
      },
      [`untouched ${NODE}:80 MASQUERADE ${NODE}`],
    ],
    ...['--random-fully', '--random', '--to-ports 1024-65535'].map((option): (typeof cases)[number] => [
      `a source that is given its own address, with ${option}, is rewritten for conntrack`,
      {
        rules: [`nat POSTROUTING -p tcp -j MASQUERADE ${option}`, 'filter INPUT -m conntrack --ctstate SNAT -j DROP'],
        source: NODE,
        destination: NODE,
      },
      ['dropped by filter INPUT 1'],
    ]),
    [
      'what conntrack is told to leave alone is not rewritten',
      { rules: ['raw PREROUTING -j CT --notrack', `nat PREROUTING ${DNAT} 10.244.2.7:80`] },
      ['untouched 10.96.0.10:80'],
    ],
  ]

  it.each(cases)('%s', (_, packet, ends) => {
    expect(endsOf(traceOf(packet))).toEqual(ends)
  })
})
