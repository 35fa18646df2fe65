import { describe, expect, it } from 'vitest'
import { AUDIT_FINDINGS, type FindingType } from '@pointsman/backend-iptables'
import type { PlacedFinding } from './find-findings.js'
import { whatToDo } from './what-to-do.js'

const finding = (type: FindingType, more: Partial<PlacedFinding> = {}): PlacedFinding => ({
  type,
  family: 'IPv4',
  table: 'nat',
  chain: 'KUBE-SVC-A',
  ...more,
})

describe('what to do about a finding', () => {
  it.each(Object.keys(AUDIT_FINDINGS) as FindingType[])('is one line: %s', (type) => {
    expect(whatToDo(finding(type))).toMatch(/^\S[^\n]{20,300}$/)
  })

  it('names what takes the rules of the other variant away', () => {
    expect(whatToDo(finding('OTHER_VARIANT', { variant: 'nft' }))).toContain('cleanup --iptables-variant nft`')
  })

  it('of a file asks for what a file does not tell, and of this machine does not', () => {
    expect(whatToDo(finding('MISSING_TABLE'))).toMatch(/^give a save of all tables/)
    expect(whatToDo(finding('MISSING_TABLE', { variant: 'nft' }))).toMatch(/^the proxy puts it right/)
    const expected = ['-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP']
    expect(whatToDo(finding('MISSING_RULE', { expected }))).toContain('--conntrack-tcp-be-liberal')
    expect(whatToDo(finding('MISSING_RULE', { expected, variant: 'nft' }))).not.toContain('liberal')
  })
})
