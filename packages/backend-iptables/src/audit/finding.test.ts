import { describe, expect, it } from 'vitest'
import type { AuditFinding } from '@pointsman/core'
import type { Rule } from 'node-iptables'
import { OwnedRule } from '../render/owned-rules.js'
import { AUDIT_FINDINGS, type FindingType, toDo } from './finding.js'

const finding = (type: FindingType, more: Partial<AuditFinding> = {}): AuditFinding => ({
  type,
  family: 'IPv4',
  table: 'nat',
  chain: 'KUBE-SVC-A',
  ...more,
})

describe('what to do about a finding', () => {
  it.each(Object.keys(AUDIT_FINDINGS) as FindingType[])('is one line: %s', (type) => {
    expect(toDo(finding(type))).toMatch(/^\S[^\n]{20,300}$/)
  })

  it('names what takes the rules of the other variant away', () => {
    expect(toDo(finding('OTHER_VARIANT', { variant: 'nft' }))).toContain('cleanup --iptables-variant nft`')
  })

  it.each<[FindingType, string, RegExp]>([
    ['DUPLICATE_RULE', 'PREROUTING', /^kube-proxy leaves it .*Pointsman's agent/],
    ['EXTRA_JUMP', 'INPUT', /^kube-proxy leaves it .*Pointsman's agent/],
    ['OUT_OF_ORDER', 'FORWARD', /^kube-proxy moves no jump; Pointsman's agent/],
    ['CHANGED_RULE', 'OUTPUT', /^the proxy puts the right one beside it .* kube-proxy then leaves this one/],
    ['MISSING_JUMP', 'OUTPUT', /^the proxy puts it right at its next full sync/],
    ['DUPLICATE_RULE', 'KUBE-SVC-A', /^the proxy puts it right at its next full sync/],
    ['DUPLICATE_RULE', 'KUBE-FIREWALL', /^kubelet adds it repeatedly/],
    ['CHANGED_RULE', 'KUBE-SVC-A', /^the proxy puts it right at its next full sync/],
  ])('is right for kube-proxy, which only adds jumps that it misses: %s in %s', (type, chain, wanted) => {
    expect(toDo(finding(type, { chain }))).toMatch(wanted)
  })

  it('of a file asks for what a file does not tell, and of this machine does not', () => {
    expect(toDo(finding('MISSING_TABLE'))).toMatch(/^give a save of all tables/)
    expect(toDo(finding('MISSING_TABLE', { variant: 'nft' }))).toMatch(/^the proxy puts it right/)
    const rule: Rule = {
      matches: [{ type: 'conntrack', states: ['INVALID'], negated: false }],
      target: { type: 'jump', chain: 'DROP' },
    }
    const expected = [new OwnedRule({ table: 'filter', chain: 'KUBE-FORWARD', rule, owner: undefined })]
    expect(toDo(finding('MISSING_RULE', { expected }))).toContain('--conntrack-tcp-be-liberal')
    expect(toDo(finding('MISSING_RULE', { expected, variant: 'nft' }))).not.toContain('liberal')
  })
})
