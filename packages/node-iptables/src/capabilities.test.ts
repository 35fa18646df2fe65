import { expect, it } from 'vitest'
import { capabilitiesOf } from './iptables.js'

it.each([
  ['iptables v1.8.9 (nf_tables)', 'nft 1.8.9 check wait waitSeconds restoreWait randomFully'],
  ['ip6tables v1.8.10 (legacy)\n', 'legacy 1.8.10 check wait waitSeconds restoreWait randomFully'],
  ['iptables v1.6.2', 'legacy 1.6.2 check wait waitSeconds restoreWait randomFully'],
  ['iptables v1.6.1', 'legacy 1.6.1 check wait waitSeconds'],
  ['iptables v1.4.22', 'legacy 1.4.22 check wait waitSeconds'],
  ['iptables v1.4.19.1', 'legacy 1.4.19 check'],
  ['iptables v1.4.20', 'legacy 1.4.20 check wait'],
  ['iptables v1.4.11', 'legacy 1.4.11 check'],
  ['iptables v1.4.10', 'legacy 1.4.10'],
  ['nftables v1.0.6 (Lester Gooch #5)', undefined],
  ['', undefined],
])('%j can: %s', (printed, expected) => {
  const found = capabilitiesOf(printed)
  const able = Object.entries(found ?? {}).flatMap(([name, value]) => (value === true ? [name] : []))
  expect(found === undefined ? undefined : [found.variant, found.version, ...able].join(' ')).toBe(expected)
})
