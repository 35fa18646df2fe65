import { CERTAIN, oddsToNumber, type Trace } from '@pointsman/core'
import { describe, expect, it, test } from 'vitest'
import { casesTold, endsOf, stepsTold, traceOf, type TracedCase } from '../test-support/tell-trace.js'

const NODE = '192.168.55.10'
const TO_NAT = 'nat PREROUTING -j X'
const DNAT = 'DNAT --to-destination 10.244.2.7:8080'

/** What becomes of `tcp 10.244.1.5 -> 10.96.0.10:80`, from a pod, unless the case says otherwise. */
const CASES: readonly (readonly [name: string, asked: TracedCase, ends: readonly string[]])[] = [
  ['without rules', { rules: [] }, ['untouched 10.96.0.10:80']],
  ['rewritten', { rules: [`nat PREROUTING -j ${DNAT}`] }, ['10.244.2.7:8080']],
  [
    'rewritten where it keeps its port',
    { rules: ['nat PREROUTING -j DNAT --to-destination 10.244.2.7'] },
    ['10.244.2.7:80'],
  ],
  ['rewritten to what it was', { rules: ['nat PREROUTING -j DNAT --to-destination 10.96.0.10:80'] }, ['10.96.0.10:80']],
  ['dropped', { rules: ['filter FORWARD -j DROP'] }, ['dropped by filter FORWARD 1']],
  ['dropped by policy', { rules: ['filter FORWARD policy DROP'] }, ['dropped by filter FORWARD policy']],
  [
    'let in before the policy',
    { rules: ['filter FORWARD policy DROP', 'filter FORWARD -j ACCEPT'] },
    ['untouched 10.96.0.10:80'],
  ],
  ['rejected', { rules: ['filter FORWARD -j REJECT'] }, ['rejected with icmp-port-unreachable by filter FORWARD 1']],
  [
    'rejected in words',
    { rules: ['filter FORWARD -p tcp -j REJECT --reject-with tcp-reset'] },
    ['rejected with tcp-reset by filter FORWARD 1'],
  ],
  [
    'a jump comes back to the next rule',
    { rules: ['filter FORWARD -j X', 'filter FORWARD -j DROP', 'filter X -p udp -j ACCEPT'] },
    ['dropped by filter FORWARD 2'],
  ],
  [
    'a goto comes back to where the last jump was',
    {
      rules: [
        'filter FORWARD -j X',
        'filter FORWARD -j DROP',
        'filter X -g Y',
        'filter X -j ACCEPT',
        'filter Y -p udp -j ACCEPT',
      ],
    },
    ['dropped by filter FORWARD 2'],
  ],
  [
    'RETURN leaves one chain',
    { rules: ['filter FORWARD -j X', 'filter FORWARD -j DROP', 'filter X -j RETURN', 'filter X -j ACCEPT'] },
    ['dropped by filter FORWARD 2'],
  ],
  [
    'RETURN from a built-in chain is its policy',
    { rules: ['filter FORWARD policy DROP', 'filter FORWARD -j RETURN', 'filter FORWARD -j ACCEPT'] },
    ['dropped by filter FORWARD policy'],
  ],
  [
    'accepted in one table, asked by the next',
    { rules: ['mangle FORWARD -j ACCEPT', 'filter FORWARD -j DROP'] },
    ['dropped by filter FORWARD 1'],
  ],
  [
    'a mark is carried on',
    {
      rules: [
        'nat PREROUTING -j MARK --set-xmark 0x4000/0x4000',
        'nat POSTROUTING -m mark --mark 0x4000/0x4000 -j MASQUERADE',
      ],
    },
    ['untouched 10.96.0.10:80 MASQUERADE'],
  ],
  [
    'masqueraded as the interface that it leaves by, where that is known',
    {
      rules: ['nat POSTROUTING -j MASQUERADE'],
      outInterface: 'cni0',
      interfaces: [{ name: 'cni0', addresses: ['fd00::1', '10.244.1.1'] }],
    },
    ['untouched 10.96.0.10:80 MASQUERADE 10.244.1.1'],
  ],
  [
    'a bit that is flipped twice is gone',
    {
      rules: [
        'mangle PREROUTING -j MARK --set-xmark 0x1/0x0',
        'mangle FORWARD -j MARK --set-xmark 0x1/0x0',
        'nat POSTROUTING -m mark --mark 0x1/0x1 -j MASQUERADE',
      ],
    },
    ['untouched 10.96.0.10:80'],
  ],
  ['SNAT', { rules: ['nat POSTROUTING -j SNAT --to-source 192.0.2.1'] }, ['untouched 10.96.0.10:80 SNAT 192.0.2.1']],
  [
    'chance',
    {
      rules: [
        TO_NAT,
        'nat X -m statistic --mode random --probability 0.5 -j DNAT --to-destination 10.0.0.1:1',
        'nat X -m statistic --mode random --probability 0.5 -j DNAT --to-destination 10.0.0.2:1',
        'nat X -j DNAT --to-destination 10.0.0.3:1',
      ],
    },
    ['10.0.0.1:1 1/2', '10.0.0.2:1 1/4', '10.0.0.3:1 1/4'],
  ],
  [
    'chance upside down',
    { rules: ['filter FORWARD -m statistic --mode random ! --probability 0.75 -j DROP'] },
    ['dropped by filter FORWARD 1 1/4', 'untouched 10.96.0.10:80 75.0%'],
  ],
  [
    'the first match of a chance comes back',
    {
      rules: [
        'filter FORWARD -m statistic --mode random --probability 0.5 -j X',
        'filter FORWARD -m mark --mark 0x1 -j DROP',
        'filter X -j MARK --set-xmark 0x1/0x1',
      ],
    },
    ['dropped by filter FORWARD 2 1/2', 'untouched 10.96.0.10:80 1/2'],
  ],
  [
    'chance that decides nothing parts nothing',
    { rules: ['filter FORWARD -m statistic --mode random --probability 0.5 -j LOG'] },
    ['untouched 10.96.0.10:80'],
  ],
  [
    'no chance at all',
    {
      rules: [
        'filter FORWARD -m statistic --mode random --probability 0 -j DROP',
        'filter FORWARD -m statistic --mode random --probability 1 -j ACCEPT',
        'filter FORWARD -j DROP',
      ],
    },
    ['untouched 10.96.0.10:80'],
  ],
  [
    'one packet in three',
    { rules: ['filter FORWARD -m statistic --mode nth --every 3 --packet 0 -j DROP'] },
    ['dropped by filter FORWARD 1 1/3', 'untouched 10.96.0.10:80 66.7%'],
  ],
  [
    'a client is remembered by a rule that then fails, and by one that says not',
    {
      rules: [
        'mangle FORWARD -m recent --set --name L --mask 255.255.255.255 --rsource -m mark --mark 0x7 -j ACCEPT',
        'mangle FORWARD -m mark --mark 0x7 -m recent --set --name M --mask 255.255.255.255 --rsource -j ACCEPT',
        'mangle FORWARD -m recent ! --set --name N --mask 255.255.255.255 --rdest -j ACCEPT',
        'filter FORWARD -m recent --rcheck --name M --mask 255.255.255.255 --rsource -j REJECT',
        'filter FORWARD -m recent --remove --name L --mask 255.255.255.255 --rsource -m mark --mark 0x7 -j REJECT',
        'filter FORWARD -m recent --rcheck --name L --mask 255.255.255.255 --rsource -j REJECT',
        'filter FORWARD -m recent --rcheck --name N --mask 255.255.255.255 --rdest -j DROP',
      ],
      affinity: [],
    },
    ['dropped by filter FORWARD 4'],
  ],
  [
    'redirected to the node',
    { rules: ['nat PREROUTING -p tcp -j REDIRECT --to-ports 15001', 'filter FORWARD -j DROP'] },
    [`${NODE}:15001`],
  ],
  [
    'a port of its own that is in the range',
    { rules: ['nat PREROUTING -p tcp -j DNAT --to-destination 10.0.0.1:1-9000'] },
    ['10.0.0.1:80'],
  ],
  ['a port alone', { rules: ['nat PREROUTING -p tcp -j DNAT --to-destination :8080'] }, ['10.96.0.10:8080']],
  [
    'a port by its distance from another',
    { rules: ['nat PREROUTING -p tcp -j DNAT --to-destination 10.0.0.1:8000-8010/78'] },
    ['10.0.0.1:8002'],
  ],
  [
    'one of few addresses and ports',
    { rules: ['nat PREROUTING -p tcp -j DNAT --to-destination 10.0.0.1-10.0.0.2:90-91'] },
    ['10.0.0.1:90', '10.0.0.1:91', '10.0.0.2:90', '10.0.0.2:91'].map(
      (end, at) =>
        `${end} if ${at < 2 ? '' : 'not '}DNAT chooses the address 10.0.0.1 from 10.0.0.1-10.0.0.2:90-91 and ` +
        `${at % 2 === 0 ? '' : 'not '}DNAT chooses the port 90 from 90-91`,
    ),
  ],
  ['another network', { rules: ['nat PREROUTING -j NETMAP --to 10.7.0.0/16'] }, ['10.7.0.10:80']],
  [
    'a mark that the connection keeps',
    {
      rules: [
        'mangle PREROUTING -j MARK --set-xmark 0x1/0xffffffff',
        'mangle PREROUTING -j CONNMARK --save-mark --nfmask 0xffffffff --ctmask 0xffffffff',
        'mangle FORWARD -j MARK --set-xmark 0x0/0xffffffff',
        'mangle FORWARD -j CONNMARK --restore-mark --nfmask 0xffffffff --ctmask 0xffffffff',
        'filter FORWARD -m mark --mark 0x1 -j DROP',
      ],
    },
    ['dropped by filter FORWARD 1'],
  ],
  [
    'an unknown target',
    { rules: ['filter FORWARD -j TARPIT --honeypot'] },
    [
      'untouched 10.96.0.10:80 if -j TARPIT --honeypot lets it go on as it is',
      '-j TARPIT --honeypot decides if not -j TARPIT --honeypot lets it go on as it is',
    ],
  ],
  [
    'the first of a long range',
    { rules: ['nat PREROUTING -p tcp -j DNAT --to-destination 10.0.0.1-10.0.0.9:90-190'] },
    ['10.0.0.1:90'],
  ],
]

/** The refusals that come after much work. */
const QUICK = process.env['POINTSMAN_QUICK'] === '1'

describe('tcp 10.244.1.5 -> 10.96.0.10:80', () => {
  it.each(CASES)('%s', (_, asked, ends) => {
    expect(endsOf(traceOf(asked))).toEqual(ends)
  })
})

describe('what had to be assumed', () => {
  const assumed = (asked: TracedCase): readonly string[] => traceOf(asked).assumptions.map(({ code }) => code)

  test.each([
    ['-p tcp -m tcp --sport 1000 -j DROP', ['SOURCE_PORT']],
    ['-m recent --rcheck --name L --mask 255.255.255.255 --rsource -j DROP', ['NEW_CLIENT']],
    ['-m statistic --mode nth --every 2 --packet 0 -j DROP', ['PACKET_COUNT']],
    ['-m limit --limit 3/min -j DROP', ['RATE_LIMIT']],
    ['-m hashlimit --hashlimit-above 3/sec --hashlimit-burst 5 --hashlimit-name q -j DROP', ['RATE_LIMIT']],
    ['-p tcp -m connlimit --connlimit-above 3 --connlimit-mask 32 --connlimit-saddr -j DROP', ['RATE_LIMIT']],
    ['-j LOG --log-prefix x', []],
    // These rules fail by a known fact as well.
    ['-p udp -m set --match-set blue src -j DROP', []],
    ['-s 10.0.0.1/32 -i eth7 -j DROP', []],
  ])('%s', (rule, codes) => {
    expect(assumed({ rules: [`filter FORWARD ${rule}`, 'nat PREROUTING'] })).toEqual(codes)
  })

  it('says which of the tables that matter are not there', () => {
    expect(assumed({ rules: ['nat PREROUTING'] })).toEqual(['TABLE_MISSING'])
  })
})

describe('what is unknown', () => {
  const dependsOn = ({ cases = [] }: Trace): readonly string[] => [
    ...new Set(cases.flatMap(({ when }) => when.map(({ code }) => code))),
  ]

  test.each([
    ['-m set --match-set blue src', 'SET_MEMBER'],
    ['-i eth7', 'IN_INTERFACE'],
    ['-o eth7', 'OUT_INTERFACE'],
    ['-p tcp -m tcp --sport 4000', 'SOURCE_PORT'],
    ['-p tcp -m multiport --sports 4000,5000:6000', 'SOURCE_PORT'],
    ['-m physdev --physdev-is-in', 'BRIDGE_PORT'],
    ['-m mac --mac-source 00:16:3e:00:00:01', 'MAC_ADDRESS'],
    ['-m string --string "x" --algo bm', 'MATCH'],
    ['-m u32 --u32 "0x0=0x0"', 'MATCH'],
    ['-m conntrack --ctexpire 1:5', 'CONNECTION'],
  ])('%s parts the ways: the contrary of the same holds where it does not', (condition, code) => {
    const [option = '', ...rest] = condition.replace(/^(?:-m \S+ |-p tcp -m \S+ )?/, (head) => `${head}\n`).split('\n')
    const denied = `${option}! ${rest.join('')}`
    for (const rules of [
      [`filter FORWARD ${condition} -j DROP`],
      [`filter FORWARD ${denied} -j ACCEPT`, 'filter FORWARD policy DROP'],
      [`filter FORWARD ${condition} -j ACCEPT`, `filter FORWARD ${denied} -j DROP`, 'filter FORWARD -j REJECT'],
    ]) {
      const trace = traceOf({ rules })
      expect(trace.fate).toBe('depends')
      expect(dependsOn(trace)).toEqual([code])
      expect(trace.fates.map(({ fate }) => fate).toSorted()).toEqual(['dropped', 'no-service'])
    }
  })

  it('is decided the same way in every table', () => {
    const rules = [
      'raw PREROUTING -m set --match-set blue src -j MARK --set-xmark 0x1/0x1',
      'nat PREROUTING -m set --match-set blue src -j DNAT --to-destination 10.244.2.7:80',
      'filter FORWARD -m set ! --match-set blue src -j REJECT',
      'filter FORWARD -m mark --mark 0x1/0x1 -j ACCEPT',
      'filter FORWARD -j DROP',
    ]
    expect(casesTold(traceOf({ rules }))).toEqual([
      'the set blue has 10.244.1.5 (src): 10.244.2.7:80',
      'not the set blue has 10.244.1.5 (src): rejected with icmp-port-unreachable by filter FORWARD 1',
    ])
  })

  it('is asked anew of an address that was rewritten', () => {
    const rules = [
      'raw PREROUTING -m set --match-set blue dst -j DROP',
      'nat PREROUTING -j DNAT --to-destination 10.244.2.7:80',
      'filter FORWARD -m set --match-set blue dst -j DROP',
    ]
    expect(casesTold(traceOf({ rules }))).toEqual([
      'the set blue has 10.96.0.10 (dst): dropped by raw PREROUTING 1',
      'not the set blue has 10.96.0.10 (dst) and the set blue has 10.244.2.7 (dst): dropped by filter FORWARD 1',
      'not the set blue has 10.96.0.10 (dst) and not the set blue has 10.244.2.7 (dst): 10.244.2.7:80',
    ])
  })

  it('of interfaces, one name excludes another, and is one of those that begin so', () => {
    const rules = [
      'filter FORWARD -i eth0 -j X',
      'filter FORWARD -i eth+ -j DROP',
      'filter X -i eth1 -j REJECT',
      'filter X ! -i eth+ -j REJECT',
    ]
    expect(casesTold(traceOf({ rules }))).toEqual([
      'it arrives by an interface eth...: dropped by filter FORWARD 2',
      'not it arrives by an interface eth...: untouched 10.96.0.10:80',
    ])
  })

  it('is no matter where the same becomes of the packet', () => {
    const rules = [
      'filter FORWARD -m set --match-set blue src -j X',
      'filter FORWARD -m set --match-set red src -j LOG',
      'filter FORWARD -i eth0 -g Y',
      'filter FORWARD -g Y',
      'filter X -j LOG',
      'filter Y -j ACCEPT',
    ]
    const trace = traceOf({ rules })
    expect(trace).toMatchObject({ fate: 'no-service', assumptions: [{ code: 'TABLE_MISSING' }] })
    expect(trace.cases).toBeUndefined()
    expect(trace.ways).toHaveLength(1)
  })

  it('leaves chance its odds in each case', () => {
    const rules = [
      'nat PREROUTING -m set --match-set blue src -j DNAT --to-destination 10.0.0.9:1',
      'nat PREROUTING -m statistic --mode random --probability 0.5 -j DNAT --to-destination 10.0.0.1:1',
      'nat PREROUTING -j DNAT --to-destination 10.0.0.2:1',
      'filter FORWARD',
    ]
    const trace = traceOf({ rules })
    expect(casesTold(trace)).toEqual([
      'the set blue has 10.244.1.5 (src): 10.0.0.9:1',
      'not the set blue has 10.244.1.5 (src): 10.0.0.1:1 1/2, 10.0.0.2:1 1/2',
    ])
    expect(trace).toMatchObject({ fate: 'endpoints', fates: [{ fate: 'endpoints', odds: CERTAIN }] })
    expect(
      trace.endpoints.map(({ address, odds, atLeast }) => [
        address,
        oddsToNumber(odds),
        atLeast && oddsToNumber(atLeast),
      ]),
    ).toEqual([
      ['10.0.0.1', 0.5, 0],
      ['10.0.0.2', 0.5, 0],
      ['10.0.0.9', 1, 0],
    ])
  })

  it('parts the way of a packet to an address that may be one of the node', () => {
    const rules = [
      'nat PREROUTING -m addrtype --dst-type LOCAL -j DNAT --to-destination 10.0.0.9:1',
      'filter FORWARD -j ACCEPT',
      'filter INPUT -j DROP',
    ]
    const maybe = { rules, maybeNodeAddresses: ['10.96.0.10'] }
    const told = [
      '10.96.0.10 is an address of the node: 10.0.0.9:1',
      'not 10.96.0.10 is an address of the node: untouched 10.96.0.10:80',
    ]
    expect(casesTold(traceOf(maybe))).toEqual(told)
    const known = traceOf({ ...maybe, nodeAddresses: ['10.96.0.10'] })
    expect([known.fate, known.cases]).toEqual(['endpoints', undefined])
    // Where the verdict is the same, it depends on nothing.
    expect(traceOf({ ...maybe, rules: ['nat PREROUTING -j DNAT --to-destination 10.0.0.9:1'] }).cases).toBeUndefined()
  })

  it('joins ways: many rules that set one mark make two', () => {
    const sets = Array.from(
      { length: 60 },
      (_, at) => `filter X -m set --match-set s${at} src -j MARK --set-xmark 0x1/0x1`,
    )
    const trace = traceOf({
      rules: [
        'filter FORWARD -j X',
        'filter FORWARD -m mark --mark 0x1/0x1 -j ACCEPT',
        'filter FORWARD -j DROP',
        ...sets,
      ],
    })
    expect(trace.ways).toHaveLength(2)
    expect(trace.cases).toHaveLength(61)
  })
})

describe('more than anybody wants to know', () => {
  it('is one case that stands for all, with what it depends on', () => {
    const sets = Array.from({ length: 1200 }, (_, at) => `filter FORWARD -m set --match-set s${at} src -j ACCEPT`)
    const trace = traceOf({ rules: ['filter FORWARD policy DROP', ...sets, 'nat PREROUTING'] })
    expect(trace.cases).toMatchObject([
      { when: [], ends: [{ end: { fate: 'no-service' } }, { end: { fate: 'dropped' } }] },
    ])
    expect(trace.dependsOn).toHaveLength(1200)
    expect(trace.fate).toBe('depends')
    expect(trace.ways.map(({ when }) => when?.length)).toEqual([0, 1])
  })

  it.skipIf(QUICK)('is refused where each of many things makes another packet', () => {
    const rules = Array.from(
      { length: 32 },
      (_, bit) => `filter FORWARD -m set --match-set s${bit} src -j MARK --set-xmark ${2 ** bit}/0x0`,
    )
    expect(() => traceOf({ rules })).toThrow(/ask too much that neither they nor the input say/)
  })
})

describe('rules that do not match', () => {
  const fillers = Array.from(
    { length: 100 },
    (_, index) => `nat X -d 10.97.0.${index}/32 -p tcp -m tcp --dport 80 -j Y`,
  )
  const rules = [TO_NAT, ...fillers, 'nat X -d 10.96.0.10/32 -p udp -m udp --dport 80 -j Y', 'nat Y -j DROP']

  it('are told one by one where they are about the same address, else as a number', () => {
    expect(stepsTold(traceOf({ rules }))[2]).toBe(
      '  X 1-101 passed [101: -p udp, but the protocol is tcp; -m udp --dport 80, but the protocol is tcp]',
    )
  })

  it('have the odds that chance let the packet pass them', () => {
    const dice = [3, 2].map((of) => `filter FORWARD -m statistic --mode random --probability ${1 / of} -j DROP`)
    const trace = traceOf({ rules: [...dice, 'filter FORWARD -j REJECT'] })
    expect(endsOf(trace).map((end) => end.slice(-3))).toEqual(['1/3', '1/3', '1/3'])
    expect([0, 1, 2].map((way) => stepsTold(trace, way)[2])).toEqual([
      expect.stringMatching(/^FORWARD 1 1\/3 .* => drop$/),
      'FORWARD 1-1 passed 66.7%',
      'FORWARD 1-2 passed 1/3',
    ])
  })

  it('are all told when that is asked for', () => {
    const [, , passed] = traceOf({ rules, everyRule: true }).ways[0]?.steps ?? []
    expect(passed?.type === 'passed' && passed.missed.length).toBe(101)
  })
})

/** `D0` leads to `D1`, and so on. */
const chainsInARow = (count: number): readonly string[] =>
  Array.from({ length: count }, (_, at) => `nat D${at} -j D${at + 1}`)

/** Each chain leads to the next twice, after a rule of its own. */
const fanOut = (count: number, rule: (at: number) => string): readonly string[] => [
  ...Array.from({ length: count }, (_, at) => [
    `nat D${at} ${rule(at)}`,
    `nat D${at} -j D${at + 1}`,
    `nat D${at} -j D${at + 1}`,
  ]).flat(),
  `nat D${count} policy -`,
]

describe('rules that lead to others again and again', () => {
  test('are answered where the same becomes of the packet each time, and a chain is told once', () => {
    const trace = traceOf({
      rules: [TO_NAT, 'nat X -j D0', 'nat X -j DNAT --to-destination 10.244.1.9:8080', ...fanOut(30, () => '-j LOG')],
    })
    expect(endsOf(trace)).toEqual(['10.244.1.9:8080'])
    const steps = stepsTold(trace)
    expect(steps.length).toBeLessThan(3000)
    expect(steps.some((step) => step.trim() === 'D9 as before')).toBe(true)
    expect(trace.assumptions.map(({ code }) => code)).toContain('JUMP_DEPTH')
  })

  test('are told in full where a kernel of nf_tables takes them and they are few', () => {
    const trace = traceOf({ rules: [TO_NAT, 'nat X -j D0', ...fanOut(4, () => '-j LOG')] })
    expect(stepsTold(trace).filter((step) => step.includes('as before'))).toEqual([])
    expect(trace.assumptions.map(({ code }) => code)).not.toContain('JUMP_DEPTH')
  })

  test('say what a chain did before, to a packet that it changes', () => {
    const rules = fanOut(20, () => '-j MARK --set-xmark 0x1/0x1')
    const last = 'nat X -m mark --mark 0x1/0x1 -j DNAT --to-destination 10.244.1.9:8080'
    expect(endsOf(traceOf({ rules: [TO_NAT, 'nat X -j D0', last, ...rules] }))).toEqual(['10.244.1.9:8080'])
  })
})

describe('refused', () => {
  const codeOf = (ask: () => unknown): unknown => {
    try {
      return ask()
    } catch (error) {
      return (error as { readonly code?: unknown }).code
    }
  }

  test.each([
    ['NOT_AN_ADDRESS', { rules: [], destination: 'kube-dns' }],
    ['NOT_AN_ADDRESS', { rules: [], source: '' }],
    ['NOT_A_PORT', { rules: [], destinationPort: 0 }],
    ['NOT_A_PORT', { rules: [], sourcePort: 70_000 }],
    ['FAMILY_MISMATCH', { rules: [], destination: 'fd00::1' }],
    ['OTHER_FAMILY', { rules: ['nat PREROUTING -d fd00::1/128 -j ACCEPT'] }],
    ['TOO_DEEP', { rules: [TO_NAT, 'nat X -j D0', ...chainsInARow(300)] }],
    ['RULE_LOOP', { rules: [TO_NAT, 'nat X -j Y', 'nat Y -g X'] }],
  ] satisfies readonly (readonly [string, TracedCase])[])('%s', (code, asked) => {
    expect(codeOf(() => traceOf(asked))).toBe(code)
  })

  test.skipIf(QUICK).each([
    ['chains', [TO_NAT, 'nat X -j D0', ...fanOut(30, (at) => `-j MARK --set-xmark ${2 ** at}/0x0`)]],
    [
      'dice',
      Array.from(
        { length: 20 },
        (_, bit) => `nat PREROUTING -m statistic --mode random --probability 0.5 -j MARK --set-xmark ${2 ** bit}/0x0`,
      ),
    ],
  ])('TOO_MANY_WAYS: %s that make other packets each time', (_, rules) => {
    expect(codeOf(() => traceOf({ rules }))).toBe('TOO_MANY_WAYS')
  })
})
