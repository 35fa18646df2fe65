import { parseSave } from 'node-iptables'
import { describe, expect, it } from 'vitest'
import { auditMarkBit } from './audit-tables.js'

const OURS = 0x4000

/** The findings in a save with these rules, each `TABLE RULE`, and the chains that they name. */
function foundIn(...rules: readonly string[]): readonly string[] {
  const tables = new Map<string, string[]>()
  for (const rule of rules) {
    const [table = '', ...words] = rule.split(' ')
    tables.set(table, [...(tables.get(table) ?? []), words.join(' ')])
  }
  const text = [...tables].map(([table, lines]) => {
    const chains = new Set(lines.flatMap((line) => [...line.matchAll(/-[Ajg] (\S+)/g)].map(([, chain = '']) => chain)))
    const declared = [...chains].filter((chain) => !TARGETS.has(chain)).map((chain) => `:${chain} - [0:0]`)
    return [`*${table}`, ...declared, ...lines, 'COMMIT', ''].join('\n')
  })
  return auditMarkBit(parseSave(text.join('')), OURS).flatMap(({ type, table, chain, found = [] }) =>
    found.map((rule) => `${type} ${table} ${chain}: ${rule.line}`),
  )
}

const TARGETS = new Set(['ACCEPT', 'DROP', 'RETURN', 'MARK', 'MASQUERADE', 'REJECT', 'TPROXY', 'DNAT'])

describe('a rule of somebody else', () => {
  it.each([
    ['that sets the bit', 'mangle -A PREROUTING -i eth1 -j MARK --set-xmark 0x4000/0x4000'],
    ['that sets it with others', 'mangle -A AZURE-NPM -j MARK --set-xmark 0x5000/0xffffffff'],
    ['that clears it on the way out', 'mangle -A POSTROUTING -j MARK --set-xmark 0x1/0xffffffff'],
    ['that drops what bears it', 'filter -A FORWARD -m mark --mark 0x4000/0x4000 -j DROP'],
    ['that drops what does not', 'filter -A FORWARD -m mark ! --mark 0x4000/0x4000 -j DROP'],
    ['that sends what bears it elsewhere', 'nat -A PREROUTING -m mark --mark 0x4000/0x4000 -j VPN'],
  ])('%s is a finding', (_, rule) => {
    const [table, ...line] = rule.split(' ')
    expect(foundIn(rule)).toEqual([`MARK_BIT ${table} ${line[1] ?? ''}: ${line.join(' ')}`])
  })

  it('that clears it in a chain behind one of the kernel is a finding', () => {
    expect(foundIn('mangle -A FORWARD -j MINE', 'mangle -A MINE -j MARK --set-xmark 0x0/0x4000')).toEqual([
      'MARK_BIT mangle MINE: -A MINE -j MARK --set-xmark 0x0/0x4000',
    ])
  })
})

describe('what is normal is no finding', () => {
  it.each([
    ["the proxy's own rules", 'nat -A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000'],
    ["kubelet's mark", 'filter -A KUBE-FIREWALL -m mark --mark 0x8000/0x8000 -j DROP'],
    ['a port map of CNI', 'nat -A CNI-HOSTPORT-SETMARK -j MARK --set-xmark 0x2000/0x2000'],
    ['its masquerading', 'nat -A CNI-HOSTPORT-MASQ -m mark --mark 0x2000/0x2000 -j MASQUERADE'],
    ['flannel, which leaves them alone', 'nat -A FLANNEL-POSTRTG -m mark --mark 0x4000/0x4000 -j RETURN'],
    ['one that accepts them', 'filter -A FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT'],
    ['one that masquerades them', 'nat -A POSTROUTING -m mark --mark 0x4000/0x4000 -j MASQUERADE'],
    ['a mark that is given before ours', 'mangle -A CILIUM_PRE_mangle -j MARK --set-xmark 0x200/0xffffffff'],
    ['a whole mark without our bit', 'filter -A INPUT -m mark --mark 0x1 -j DROP'],
    ['other bits', 'mangle -A FORWARD -m mark --mark 0x10000/0xf0000 -j DROP'],
  ])('%s', (_, rule) => {
    expect(foundIn(rule)).toEqual([])
  })
})
