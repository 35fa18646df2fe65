import { describe, expect, it } from 'vitest'
import { rulesOf, textOf, type Scenario } from '../test-support/scenario.js'

const FIXED = /KUBE-(?:FORWARD|POSTROUTING|MARK-MASQ) /
const fixed = (scenario: Scenario): readonly string[] =>
  rulesOf(scenario, FIXED).filter((rule) => !/^\S+ [A-Z]+ /.test(rule))

describe('rules that are there without services', () => {
  it('let masqueraded traffic and known connections be forwarded, and masquerade what is marked', () => {
    expect(fixed({})).toEqual([
      'filter KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP',
      'filter KUBE-FORWARD -m comment --comment "kubernetes forwarding rules" -m mark --mark 0x4000/0x4000 -j ACCEPT',
      'filter KUBE-FORWARD -m comment --comment "kubernetes forwarding conntrack rule" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
      'nat KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000',
      'nat KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN',
      'nat KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0',
      'nat KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully',
    ])
  })

  it('are the same in IPv6', () => {
    expect(fixed({ options: { family: 'IPv6' } })).toEqual(fixed({}))
  })

  it.each([
    ['as configured', { config: { tcpBeLiberal: true } }],
    ['as the kernel is found to be', { options: { tcpBeLiberal: true } }],
  ])('leave invalid packets alone where conntrack is liberal: %s', (_, scenario) => {
    expect(rulesOf(scenario, /INVALID/)).toEqual([])
    expect(fixed(scenario)).toHaveLength(6)
  })

  it('drop invalid packets where the kernel is found not to be liberal, whatever is configured', () => {
    const scenario = { config: { tcpBeLiberal: true }, options: { tcpBeLiberal: false } }
    expect(rulesOf(scenario, /INVALID/)).toHaveLength(1)
  })

  it('count dropped packets where counters are asked for', () => {
    expect(rulesOf({ options: { nfacct: true } }, /INVALID/)).toEqual([
      'filter KUBE-FORWARD -m conntrack --ctstate INVALID -m nfacct --nfacct-name  ct_state_invalid_dropped_pkts -j DROP',
    ])
  })

  it('do without --random-fully where iptables does not know it', () => {
    expect(rulesOf({ options: { randomFully: false } }, /MASQUERADE/)).toEqual([
      'nat KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE',
    ])
  })

  it.each([
    [0, '0x1'],
    [14, '0x4000'],
    [31, '0x80000000'],
  ])('mark with bit %i', (masqueradeBit, mark) => {
    const rules = rulesOf({ config: { masqueradeBit } }, /mark/)
    expect(rules.map((rule) => /(?:--mark|--set-xmark) \S+/.exec(rule)?.[0])).toEqual([
      `--mark ${mark}/${mark}`,
      `--set-xmark ${mark}/${mark}`,
      `--mark ${mark}/${mark}`,
      `--set-xmark ${mark}/0x0`,
    ])
  })
})

describe('the chains that are there without services', () => {
  it.each(['IPv4', 'IPv6'] as const)('are all of kube-proxy, and a canary in each table: %s', (family) => {
    const declared = textOf({ options: { family } }).match(/^[*:]\S+/gm) ?? []
    expect(declared.join(' ').split(' *')).toEqual([
      '*mangle :PREROUTING :INPUT :FORWARD :OUTPUT :POSTROUTING :KUBE-PROXY-CANARY',
      'filter :INPUT :FORWARD :OUTPUT :KUBE-EXTERNAL-SERVICES :KUBE-FIREWALL :KUBE-FORWARD :KUBE-NODEPORTS :KUBE-PROXY-CANARY :KUBE-PROXY-FIREWALL :KUBE-SERVICES',
      'nat :PREROUTING :INPUT :OUTPUT :POSTROUTING :KUBE-MARK-MASQ :KUBE-NODEPORTS :KUBE-POSTROUTING :KUBE-PROXY-CANARY :KUBE-SERVICES',
    ])
  })

  it('are jumped to from the chains of the kernel', () => {
    const jumps = rulesOf({}, /^\S+ (?:PREROUTING|INPUT|FORWARD|OUTPUT|POSTROUTING) /)
    expect(jumps.map((rule) => rule.replace(/-m comment --comment "[^"]*" /, ''))).toEqual([
      'filter INPUT -j KUBE-FIREWALL',
      'filter INPUT -m conntrack --ctstate NEW -j KUBE-PROXY-FIREWALL',
      'filter INPUT -j KUBE-NODEPORTS',
      'filter INPUT -m conntrack --ctstate NEW -j KUBE-EXTERNAL-SERVICES',
      'filter FORWARD -m conntrack --ctstate NEW -j KUBE-PROXY-FIREWALL',
      'filter FORWARD -j KUBE-FORWARD',
      'filter FORWARD -m conntrack --ctstate NEW -j KUBE-SERVICES',
      'filter FORWARD -m conntrack --ctstate NEW -j KUBE-EXTERNAL-SERVICES',
      'filter OUTPUT -j KUBE-FIREWALL',
      'filter OUTPUT -m conntrack --ctstate NEW -j KUBE-PROXY-FIREWALL',
      'filter OUTPUT -m conntrack --ctstate NEW -j KUBE-SERVICES',
      'nat PREROUTING -j KUBE-SERVICES',
      'nat OUTPUT -j KUBE-SERVICES',
      'nat POSTROUTING -j KUBE-POSTROUTING',
    ])
  })
})
