import type { ServicePortName } from '@pointsman/core'
import { expect, test } from 'vitest'
import { iptablesDataplane } from './dataplane.js'
import { OwnedRule } from './render/owned-rules.js'
import type { Table } from './ruleset/ruleset.js'

/** `OWNER TABLE CHAIN TARGET`, a dash for no owner. */
const rule = (text: string): { readonly item: OwnedRule } => {
  const [owner, table, chain = '', target = 'DROP'] = text.split(' ')
  const named = owner === '-' ? undefined : (owner as ServicePortName)
  const data = { matches: [], target: { type: 'jump', chain: target } } as const
  return { item: new OwnedRule({ table: table as Table, chain, rule: data, owner: named }) }
}

test('rules come by service port, and each one’s chains as a packet meets them', () => {
  const rules = [
    '- filter KUBE-FORWARD ACCEPT',
    'b filter KUBE-SERVICES REJECT',
    '- nat KUBE-MARK-MASQ MARK',
    'b nat KUBE-EXT-AAAA KUBE-SVC-AAAA',
    'b nat KUBE-NODEPORTS KUBE-EXT-AAAA',
    'b nat KUBE-SEP-AAAA KUBE-MARK-MASQ',
    'b nat KUBE-SEP-AAAA DNAT',
    'b nat KUBE-SEP-BBBB KUBE-MARK-MASQ',
    'b nat KUBE-SEP-BBBB DNAT',
    'a nat KUBE-SERVICES KUBE-SVC-CCCC',
    'a nat KUBE-SVC-CCCC KUBE-SEP-CCCC',
    'b nat KUBE-SVC-AAAA KUBE-SEP-BBBB',
    'b nat KUBE-SVC-AAAA KUBE-SEP-AAAA',
  ]
  const ordered = [
    '- filter KUBE-FORWARD ACCEPT',
    '- nat KUBE-MARK-MASQ MARK',
    'a nat KUBE-SERVICES KUBE-SVC-CCCC',
    'a nat KUBE-SVC-CCCC KUBE-SEP-CCCC',
    'b nat KUBE-NODEPORTS KUBE-EXT-AAAA',
    'b nat KUBE-EXT-AAAA KUBE-SVC-AAAA',
    'b nat KUBE-SVC-AAAA KUBE-SEP-BBBB',
    'b nat KUBE-SVC-AAAA KUBE-SEP-AAAA',
    'b nat KUBE-SEP-BBBB KUBE-MARK-MASQ',
    'b nat KUBE-SEP-BBBB DNAT',
    'b nat KUBE-SEP-AAAA KUBE-MARK-MASQ',
    'b nat KUBE-SEP-AAAA DNAT',
    'b filter KUBE-SERVICES REJECT',
  ]
  expect(iptablesDataplane.inReadingOrder(rules.map(rule))).toEqual(ordered.map(rule))
})
