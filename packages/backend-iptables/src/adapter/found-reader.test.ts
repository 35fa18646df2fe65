import { describe, expect, it } from 'vitest'
import { CURRENT } from '../ruleset/layout.js'
import { foundReader, type Reading } from './read-found.js'

const read = (lines: readonly string[]): Reading => {
  const reader = foundReader(CURRENT)
  for (const line of lines) reader.read(line)
  return reader.end()
}

const NAT = [
  '*nat',
  ':PREROUTING ACCEPT [0:0]',
  ':KUBE-MARK-DROP - [0:0]',
  ':KUBE-SERVICES - [0:0]',
  ':KUBE-XLB-A - [0:0]',
  ':OTHER - [0:0]',
  '-A PREROUTING -j OTHER',
  '-A KUBE-MARK-DROP -j MARK --set-xmark 0x8000/0x8000',
  '-A KUBE-SERVICES -d 10.96.0.1/32 -j KUBE-XLB-A',
  '-A KUBE-XLB-A -m comment --comment "no endpoints" -j KUBE-MARK-DROP',
  '-A KUBE-XLB-A -j RETURN',
  '-A OTHER -j KUBE-MARK-DROP',
  '-A OTHER -j KUBE-XLB-A',
  'COMMIT',
]
const filter = (...rules: readonly string[]): readonly string[] => [
  '*filter',
  ':KUBE-FIREWALL - [0:0]',
  ':KUBE-SERVICES - [0:0]',
  ...rules,
  'COMMIT',
]
const DROPS_MARKED = '-A KUBE-FIREWALL -m mark --mark 0x8000/0x8000 -j DROP'

describe('what is found', () => {
  it.each([
    ['kubelet drops what is marked', filter(DROPS_MARKED)],
    ['kubelet does not', filter('-A KUBE-FIREWALL -s 127.0.0.0/8 -j ACCEPT')],
  ])('is the same whichever table comes first: %s', (_, table) => {
    const [one, other] = [read([...NAT, ...table]), read([...table, ...NAT])]
    expect(one.chains).toEqual(other.chains)
    expect({ ...one, chains: undefined }).toEqual({ ...other, chains: undefined })
  })

  it('has the rules of each chain in order, and who else leads to it', () => {
    const { chains, foreign } = read([...NAT, ...filter(DROPS_MARKED)])
    expect(chains.get('nat KUBE-XLB-A')).toBe('-m comment --comment "no endpoints" -j KUBE-MARK-DROP\n-j RETURN')
    expect(chains.get('filter KUBE-FIREWALL')).toBe('-m mark --mark 0x8000/0x8000 -j DROP')
    expect(chains.get('filter KUBE-SERVICES')).toBe('')
    expect(chains.has('nat OTHER')).toBe(false)
    expect(foreign.map(({ rule }) => rule)).toEqual(['-j KUBE-XLB-A'])
  })

  it('has KUBE-MARK-DROP, and who leads to it, where no kubelet has use for it', () => {
    expect(read([...NAT, ...filter(DROPS_MARKED)]).chains.has('nat KUBE-MARK-DROP')).toBe(false)
    const { chains, foreign } = read([...NAT, ...filter()])
    expect(chains.get('nat KUBE-MARK-DROP')).toBe('-j MARK --set-xmark 0x8000/0x8000')
    expect(foreign.map(({ rule }) => rule).toSorted()).toEqual(['-j KUBE-MARK-DROP', '-j KUBE-XLB-A'])
  })

  it('takes nothing of tables that the proxy does not use', () => {
    const { chains, foreign } = read(['*raw', ':KUBE-SERVICES - [0:0]', '-A PREROUTING -j KUBE-SERVICES', 'COMMIT'])
    expect([chains.size, foreign]).toEqual([0, []])
  })
})
