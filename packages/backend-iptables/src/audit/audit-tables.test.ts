import { parseSave } from 'node-iptables'
import { describe, expect, it } from 'vitest'
import { planRuleset } from '../ruleset/plan-ruleset.js'
import { readGolden } from '../test-support/goldens.js'
import { auditOtherVariant } from './audit-other-variant.js'
import { type AuditOptions, auditTables } from './audit-tables.js'

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

describe('an audit', () => {
  it('takes the jump to KUBE-FIREWALL wherever kubelet put it', () => {
    const text = changed((all) => all.replace(kubeletsJump, '').replace(/(?:-A INPUT .*\n)+/, `$&${kubeletsJump}`))
    expect(audit(text)).toEqual([])
    expect(audit(changed((all) => all.replace(kubeletsJump, '')))).toEqual(['MISSING_JUMP filter INPUT -'])
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

  it("minds kube-proxy's chains in the other variant, and not kubelet's", () => {
    const kubelets = '*mangle\n:KUBE-KUBELET-CANARY - [0:0]\n:KUBE-IPTABLES-HINT - [0:0]\nCOMMIT\n'
    expect(auditOtherVariant(parseSave(kubelets))).toEqual([])
    const old = '*nat\n:KUBE-SERVICES - [0:0]\n:KUBE-SVC-X - [0:0]\n-A KUBE-SERVICES -j KUBE-SVC-X\nCOMMIT\n'
    expect(auditOtherVariant(parseSave(kubelets + old))).toEqual([
      { type: 'OTHER_VARIANT', table: '', chain: '', found: ['-A KUBE-SERVICES -j KUBE-SVC-X'] },
    ])
  })
})
