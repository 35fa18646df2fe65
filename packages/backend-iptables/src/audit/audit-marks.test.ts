import type { AuditNote } from '@pointsman/core'
import { parseSave } from 'node-iptables'
import { describe, expect, it } from 'vitest'
import { LoadedTables } from '../loaded-tables.js'
import { readClassicGolden } from '../test-support/goldens.js'
import { auditNotes, auditRules } from './audit-rules.js'
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

describe('what rules of Services lead to KUBE-MARK-DROP for', () => {
  const { state, config, saved } = readClassicGolden('external-traffic-policy-local')
  const classic = { state, config: { ...config, layout: 'classic' as const } }
  const rulesIn = (text: string): LoadedTables => new LoadedTables(parseSave(text), { family: 'IPv4' })
  const notesOf = (text: string): readonly AuditNote[] => auditNotes(rulesIn(text), classic, { family: 'IPv4' })
  const DROPS =
    ':KUBE-FIREWALL - [0:0]\n-A INPUT -j KUBE-FIREWALL\n-A KUBE-FIREWALL -m mark --mark 0x8000/0x8000 -j DROP\n'
  const withKubelet = (rules: string): string => saved.replace(/^(\*filter\n(?::.*\n)+)/m, `$1${rules}`)

  it('is noted where no kubelet drops it, and is no finding: the rules are as that kube-proxy writes them', () => {
    expect(auditRules(rulesIn(saved), classic, { family: 'IPv4' })).toEqual([])
    const [note, ...others] = notesOf(saved)
    expect(others).toEqual([])
    expect(note?.text).toContain('is not dropped: no rule of KUBE-FIREWALL drops by the mark 0x8000, which a kubelet')
    expect(note?.found.map(({ line }) => line.split(' ')[1])).toEqual(
      [...saved.matchAll(/^-A (\S+) .*-j KUBE-MARK-DROP$/gm)].map(([, chain]) => chain),
    )
  })

  it('is silent where one does', () => {
    expect(notesOf(withKubelet(DROPS))).toEqual([])
  })

  it.each([
    [
      'drops by another mark',
      DROPS.replaceAll('0x8000', '0x2000'),
      saved,
      'no rule of KUBE-FIREWALL drops by the mark 0x8000',
    ],
    ['is not led to', DROPS.replace('-A INPUT -j KUBE-FIREWALL\n', ''), saved, 'INPUT has no jump to KUBE-FIREWALL'],
    ['marks nothing', DROPS, saved.replace(/^-A KUBE-MARK-DROP .*\n/m, ''), 'KUBE-MARK-DROP marks nothing'],
  ])('is noted where what should drop %s', (_, rules, text, why) => {
    const notes = notesOf(text.replace(/^(\*filter\n(?::.*\n)+)/m, `$1${rules}`))
    expect(notes.map(({ text: noted }) => noted)).toEqual([expect.stringContaining(`is not dropped: ${why}`)])
  })

  it('is no question where no Service relies on it, nor where the filter table was not saved', () => {
    const { saved: others, ...golden } = readClassicGolden('cluster-ip')
    expect(auditNotes(rulesIn(others), golden, { family: 'IPv4' })).toEqual([])
    expect(notesOf(saved.slice(saved.indexOf('*nat')))).toEqual([])
  })
})
