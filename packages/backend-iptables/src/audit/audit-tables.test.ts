import { DEFAULT_PROXY_CONFIG } from '@pointsman/core'
import { stateOf, type PortDescription } from '@pointsman/core/testing'
import { parseSave } from 'node-iptables'
import { describe, expect, it } from 'vitest'
import { renderSave } from '../render/owned-rules.js'
import type { Ruleset } from '../ruleset/ruleset.js'
import { planRuleset } from '../ruleset/service-rules.js'
import { readGolden } from '../test-support/goldens.js'
import { auditMarkBit, auditOtherVariant, auditTables, type AuditOptions } from './audit-tables.js'

const { state, config, saved } = readGolden('cluster-ip')
const ruleset = planRuleset(state, config, { family: 'IPv4' })

const changed = (change: (text: string) => string): string => {
  const text = change(saved.IPv4)
  expect(text).not.toBe(saved.IPv4)
  return text
}

const audit = (text: string, options?: AuditOptions): readonly string[] =>
  auditTables(ruleset, parseSave(text), options).map(({ type, table, chain, owner, claims }) =>
    `${type} ${table} ${chain} ${owner ?? claims ?? '-'}`.trim(),
  )

const kubeletsJump = '-A INPUT -j KUBE-FIREWALL\n'
const LEFT_OVER = ':KUBE-SVC-AAAAAAAAAAAAAAAA - [0:0]\n'
const withChain = (lines: string) => (text: string) =>
  text.replace(/(\*nat\n(?::.*\n)*)((?:-A .*\n)*)/, `$1${LEFT_OVER}$2${lines}`)

const KUBELETS = `*mangle
:KUBE-IPTABLES-HINT - [0:0]
:KUBE-KUBELET-CANARY - [0:0]
*filter
:KUBE-KUBELET-CANARY - [0:0]
-A KUBE-FIREWALL -m comment --comment "kubernetes firewall for dropping marked packets" -m mark --mark 0x8000/0x8000 -j DROP
*nat
:KUBE-KUBELET-CANARY - [0:0]
:KUBE-MARK-DROP - [0:0]
-A KUBE-MARK-DROP -j MARK --set-xmark 0x8000/0x8000
`

const CNIS = `*mangle
:CILIUM_PRE_mangle - [0:0]
-A CILIUM_PRE_mangle -m socket --transparent -j MARK --set-xmark 0x200/0xffffffff
*filter
:FLANNEL-FWD - [0:0]
-A FORWARD -m comment --comment "flanneld forward" -j FLANNEL-FWD
-A FLANNEL-FWD -s 10.244.0.0/16 -m comment --comment "flanneld forward" -j ACCEPT
*nat
:CNI-HOSTPORT-DNAT - [0:0]
:CNI-HOSTPORT-SETMARK - [0:0]
:CNI-DN-5d2a - [0:0]
:FLANNEL-POSTRTG - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
-A POSTROUTING -m comment --comment "flanneld masq" -j FLANNEL-POSTRTG
-A CNI-HOSTPORT-DNAT -p tcp -m multiport --dports 8080 -j CNI-DN-5d2a
-A CNI-HOSTPORT-SETMARK -m comment --comment "CNI portfwd masquerade mark" -j MARK --set-xmark 0x2000/0x2000
-A CNI-DN-5d2a -s 10.244.1.0/24 -p tcp -m tcp --dport 8080 -j KUBE-MARK-MASQ
-A FLANNEL-POSTRTG -m mark --mark 0x4000/0x4000 -m comment --comment "flanneld masq" -j RETURN
`

/** A save with the chains and rules of another besides, table by table. */
function beside(text: string, others: string): string {
  const tables = others.split(/^\*/m).filter((part) => part !== '')
  return tables.reduce((all, part) => {
    const [table = '', ...lines] = part.trimEnd().split('\n')
    const chains = lines.filter((line) => line.startsWith(':')).map((line) => `${line}\n`)
    const rules = lines.filter((line) => line.startsWith('-')).map((line) => `${line}\n`)
    const [before = '', rest = ''] = all.split(`*${table}\n`)
    const at = rest.indexOf('COMMIT')
    const after = `${rest.slice(0, at)}${rules.join('')}${rest.slice(at)}`
    return `${before}*${table}\n${chains.join('')}${after}`
  }, text)
}

describe('a rule that asks for something else than it should is a changed one', () => {
  const dnat = /^(-A KUBE-SEP-.* -m tcp)( -j DNAT .*:7000)$/m
  const clusterIP = /^(-A KUBE-SERVICES .* -m tcp)( --dport 7000 -j KUBE-SVC-\w+)$/m
  it.each([
    ['a source port beside no port', dnat, '$1 --sport 1024:65535$2', 'KUBE-SEP-'],
    ['a destination port beside none', dnat, '$1 --dport 80$2', 'KUBE-SEP-'],
    ['flags', dnat, '$1 --tcp-flags FIN,SYN,RST,ACK SYN$2', 'KUBE-SEP-'],
    ['a source port beside a destination port', clusterIP, '$1 --sport 53$2', 'KUBE-SERVICES'],
    ['another port', clusterIP, '$1 ! $2', 'KUBE-SERVICES'],
  ])('%s', (_, rule, instead, chain) => {
    const found = auditTables(ruleset, parseSave(changed((all) => all.replace(rule, instead))))
    expect(found).toMatchObject([{ type: 'CHANGED_RULE', chain: expect.stringContaining(chain) }])
  })
})

describe('in a chain that service ports share', () => {
  const { ruleset: shared, text: shop } = sharedChain()
  const [one = '', two = ''] = ['one', 'two'].map(
    (name) => new RegExp(`"shop/${name}:http cluster IP" .* -j (\\S+)`).exec(shop)?.[1] ?? '',
  )

  /** `CHANGED 10.96.0.1: 10.96.0.9 -> two`: the type, the address that should be there, the address and the end that are. */
  const told = (edit: (line: string) => string): readonly string[] =>
    auditTables(shared, parseSave(shop.replaceAll(/^-A KUBE-SERVICES .*$/gm, (line) => edit(line))))
      .map(({ type, expected = [], found = [] }) => {
        const [should, is] = [expected[0]?.line ?? '', found[0]?.line ?? ''].map(
          (line) => / -d (\S+)\/32 /.exec(line)?.[1] ?? '',
        )
        const end = / -j (\S+)/.exec(found[0]?.line ?? '')?.[1] ?? ''
        const ends = end === one ? 'one' : end === two ? 'two' : end
        return `${type} ${should ?? ''}: ${is ?? ''} -> ${ends}`
      })
      .toSorted()

  const of =
    (address: string, ...edits: readonly (readonly [RegExp | string, string])[]) =>
    (line: string) =>
      line.includes(` ${address}/32 `) ? edits.reduce((text, [from, to]) => text.replace(from, to), line) : line
  const COMMENT = / -m comment --comment "[^"]*"/
  const both =
    (...edits: readonly ((line: string) => string)[]) =>
    (line: string) =>
      edits.reduce((text, edit) => edit(text), line)

  it.each<[string, (line: string) => string, readonly string[]]>([
    [
      'one that ends elsewhere is a changed one',
      of('10.96.0.1', [one, two]),
      ['CHANGED_RULE 10.96.0.1: 10.96.0.1 -> two'],
    ],
    [
      'and without its comment',
      of('10.96.0.1', [one, two], [COMMENT, '']),
      ['CHANGED_RULE 10.96.0.1: 10.96.0.1 -> two'],
    ],
    [
      'one for other packets that ends elsewhere, by its comment',
      of('10.96.0.1', [one, two], ['10.96.0.1', '10.96.0.9']),
      ['CHANGED_RULE 10.96.0.1: 10.96.0.9 -> two'],
    ],
    [
      'one for other packets without a comment, by its end',
      of('10.96.0.1', ['10.96.0.1', '10.96.0.9'], [COMMENT, '']),
      ['CHANGED_RULE 10.96.0.1: 10.96.0.9 -> one'],
    ],
    [
      'but not of another protocol',
      of('10.96.0.1', ['10.96.0.1', '10.96.0.9'], [COMMENT, ''], ['-p tcp', '-p udp'], ['-m tcp', '-m udp']),
      ['LEFT_OVER_RULE : 10.96.0.9 -> one', 'MISSING_RULE 10.96.0.1:  -> '],
    ],
    [
      'one that has nothing of what it was is one too many, and one is missing',
      of('10.96.0.1', [/ -d .*$/, ' -s 192.0.2.1/32 -j ACCEPT']),
      ['FOREIGN_RULE :  -> ACCEPT', 'MISSING_RULE 10.96.0.1:  -> '],
    ],
    [
      'two whose ends were exchanged are two changed ones, each held against its own',
      both(of('10.96.0.1', [one, two]), of('10.96.0.2', [two, one])),
      ['CHANGED_RULE 10.96.0.1: 10.96.0.1 -> two', 'CHANGED_RULE 10.96.0.2: 10.96.0.2 -> one'],
    ],
    [
      'two with one comment are told apart by their packets',
      both(of('203.0.113.1', [/-j \S+$/, '-j ACCEPT']), of('203.0.113.2', [/-j \S+$/, '-j DROP'])),
      ['CHANGED_RULE 203.0.113.1: 203.0.113.1 -> ACCEPT', 'CHANGED_RULE 203.0.113.2: 203.0.113.2 -> DROP'],
    ],
  ])('%s', (_, edit, findings) => {
    expect(told(edit)).toEqual(findings)
  })
})

/** The rules of two Services, of which one has two external IPs: the later of the two stands first. */
function sharedChain(): { readonly ruleset: Ruleset; readonly text: string } {
  const ports: readonly PortDescription[] = [
    { is: 'shop/one:http', clusterIP: '10.96.0.1', endpoints: ['10.244.1.1:80@node-a'] },
    {
      is: 'shop/two:http',
      clusterIP: '10.96.0.2',
      externalIPs: ['203.0.113.1', '203.0.113.2'],
      endpoints: ['10.244.1.2:80@node-a'],
    },
  ]
  const made = planRuleset(stateOf({ ports, node: {} }), DEFAULT_PROXY_CONFIG, { family: 'IPv4' })
  const text = `${[...renderSave(made)].join('\n')}\n`
  return {
    ruleset: made,
    text: text.replace(/(-A KUBE-SERVICES -d 203.0.113.1.*\n)(-A KUBE-SERVICES -d 203.0.113.2.*\n)/, '$2$1'),
  }
}

describe('an audit', () => {
  it('takes the jump to KUBE-FIREWALL wherever kubelet put it', () => {
    const text = changed((all) => all.replace(kubeletsJump, '').replace(/(?:-A INPUT .*\n)+/, `$&${kubeletsJump}`))
    expect(audit(text)).toEqual([])
    expect(audit(changed((all) => all.replace(kubeletsJump, '')))).toEqual(['MISSING_JUMP filter INPUT -'])
  })

  it('tells a jump that stands twice, one that only older proxies have, and one in another place', () => {
    const [portals = ''] = /^-A FORWARD .* -j KUBE-SERVICES\n/m.exec(saved.IPv4) ?? []
    expect(audit(changed((all) => all.replace(portals, `${portals}${portals}`)))).toEqual([
      'DUPLICATE_RULE filter FORWARD -',
    ])
    const old = portals.replace('FORWARD', 'INPUT')
    expect(audit(changed((all) => all.replace(/^-A INPUT /m, `${old}$&`)))).toEqual(['EXTRA_JUMP filter INPUT -'])
    const moved = changed((all) => all.replace(portals, '').replace(/^-A FORWARD /m, `${portals}$&`))
    expect(audit(moved)).toEqual(['OUT_OF_ORDER filter FORWARD -'])
    const theirs = '-A FORWARD -s 192.0.2.1/32 -j KUBE-SERVICES\n'
    expect(audit(changed((all) => all.replace(/^-A FORWARD /m, `${theirs}$&`)))).toEqual([])
  })

  it('finds nothing in what kubelets, CNIs and other kube-proxies of the same rules leave behind', () => {
    const text = [KUBELETS, CNIS].reduce(beside, saved.IPv4).replaceAll(/ -m nfacct --nfacct-name +\S+/g, '')
    expect(text).toContain('-A KUBE-MARK-DROP -j MARK --set-xmark 0x8000/0x8000\n')
    expect(audit(text)).toEqual([])
    expect(auditMarkBit(parseSave(text), 0x4000)).toEqual([])
    const bare = text.replaceAll(/^(-A KUBE-SEP-\S+(?: ! -s \S+| -s \S+)?.*?) -m comment --comment "[^"]*"/gm, '$1')
    expect(bare).not.toBe(text)
    expect(audit(bare)).toEqual([])
  })

  it('says of a flushed table that it is flushed, and not what each chain was', () => {
    const flushed = changed((all) => all.replace(/\*nat\n[^]*?COMMIT/, '*nat\n:PREROUTING ACCEPT [0:0]\nCOMMIT'))
    expect(audit(flushed)).toEqual(['NO_CHAINS nat  -'])
    expect(audit(changed((all) => all.replace(/\*nat\n[^]*?COMMIT\n/, '')))).toEqual(['MISSING_TABLE nat  -'])
  })

  it("says whose a rule is that should not be in a service port's chain, or in a shared one", () => {
    const [, chain = ''] = /^-A (KUBE-SVC-\S+) /m.exec(saved.IPv4) ?? []
    const [one] = audit(changed((all) => all.replace(`-A ${chain} `, `-A ${chain} -s 192.0.2.1/32 -j DROP\n$&`)))
    expect(one).toMatch(/^FOREIGN_RULE nat KUBE-SVC-\w+ \S+\/TCP\/IPv4$/)
    const gone = '-A KUBE-SERVICES -d 10.96.9.9/32 -p tcp -m comment --comment "old/gone:http cluster IP" -j ACCEPT\n'
    expect(audit(changed((all) => all.replace(/^-A KUBE-SERVICES .*\n/m, `${gone}$&`)))).toEqual([
      'LEFT_OVER_RULE nat KUBE-SERVICES old/gone:http',
    ])
  })

  it('says whose a chain was that is left over, unless it is one that large clusters keep for a while', () => {
    const rule = '-A KUBE-SVC-AAAAAAAAAAAAAAAA -m comment --comment "old/gone:http" -j KUBE-MARK-MASQ\n'
    const text = changed(withChain(rule))
    expect(audit(text)).toEqual(['LEFT_OVER_CHAIN nat KUBE-SVC-AAAAAAAAAAAAAAAA old/gone:http'])
    expect(audit(text, { keepsStaleChains: true })).toEqual([])
    expect(audit(changed(withChain('')))).toEqual([])
  })

  it('says whose a chain of an older proxy was', () => {
    const comment = 'masquerade LOCAL traffic for old/gone:http LB IP'
    const lines = `-A KUBE-XLB-AAAAAAAAAAAAAAAA -m comment --comment "${comment}" -j KUBE-MARK-MASQ\n`
    const text = withChain(lines)(saved.IPv4).replace(LEFT_OVER, LEFT_OVER.replace('SVC', 'XLB'))
    expect(audit(text)).toEqual(['LEFT_OVER_CHAIN nat KUBE-XLB-AAAAAAAAAAAAAAAA old/gone:http'])
  })

  it("minds kube-proxy's chains in the other variant, and not kubelet's", () => {
    const kubelets = '*mangle\n:KUBE-KUBELET-CANARY - [0:0]\n:KUBE-IPTABLES-HINT - [0:0]\nCOMMIT\n'
    const oldKubelets = '*nat\n:KUBE-MARK-MASQ - [0:0]\n-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000\nCOMMIT\n'
    expect(auditOtherVariant(parseSave(kubelets))).toEqual([])
    expect(auditOtherVariant(parseSave(kubelets + oldKubelets))).toEqual([])
    const old = '*nat\n:KUBE-SERVICES - [0:0]\n:KUBE-SVC-X - [0:0]\n-A KUBE-SERVICES -j KUBE-SVC-X\nCOMMIT\n'
    const [finding, ...others] = auditOtherVariant(parseSave(kubelets + old))
    expect(others).toEqual([])
    expect(finding).toMatchObject({ type: 'OTHER_VARIANT', table: '', chain: '' })
    expect(finding?.found?.map(({ line }) => line)).toEqual(['-A KUBE-SERVICES -j KUBE-SVC-X'])
  })
})
