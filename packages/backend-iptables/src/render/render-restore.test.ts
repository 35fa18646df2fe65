import { DEFAULT_PROXY_CONFIG } from '@pointsman/core'
import { describe, expect, it } from 'vitest'
import type { RulesetOptions } from '../ruleset/context.js'
import { planRuleset } from '../ruleset/plan-ruleset.js'
import type { Ruleset } from '../ruleset/ruleset.js'
import { stateOfScenario, type Scenario } from '../test-support/scenario.js'
import { renderRestore, type RestoreOnto } from './render-restore.js'

const CART = { is: 'shop/cart', clusterIP: '10.96.0.30', endpoints: ['10.244.1.5:8080'] }
const EMPTY = { is: 'shop/empty', clusterIP: '10.96.0.31', externalIPs: ['203.0.113.9'] }

function rulesetOf(scenario: Scenario, options: Partial<RulesetOptions> = {}): Ruleset {
  return planRuleset(stateOfScenario(scenario), DEFAULT_PROXY_CONFIG, { family: 'IPv4', ...options })
}

const FILTER = 'KUBE-SERVICES KUBE-EXTERNAL-SERVICES KUBE-NODEPORTS KUBE-PROXY-FIREWALL KUBE-FORWARD KUBE-FIREWALL'
const NAT = 'KUBE-SERVICES KUBE-NODEPORTS KUBE-POSTROUTING KUBE-MARK-MASQ'
const CHAINS = { mangle: '', filter: FILTER, nat: NAT }

function onto(more: Partial<RestoreOnto> & { readonly nat?: string } = {}): RestoreOnto {
  const { nat = '', ...rest } = more
  return {
    chains: {
      mangle: new Set(['KUBE-PROXY-CANARY']),
      filter: new Set(CHAINS.filter.split(' ')),
      nat: new Set([...CHAINS.nat.split(' '), ...nat.split(' ')]),
    },
    missingJumps: [],
    ...rest,
  }
}

/** The tables of an input, each as its lines. */
function tablesOf(ruleset: Ruleset, given?: RestoreOnto): readonly (readonly string[])[] {
  const text = [...renderRestore(ruleset, given)].join('\n')
  return text
    .split('COMMIT')
    .map((table) => table.trim().split('\n'))
    .filter(([name]) => name !== '')
}

const table = (name: string, tables: readonly (readonly string[])[]): readonly string[] =>
  tables.findLast(([first]) => first === `*${name}`) ?? []

describe('the input of a restore', () => {
  it('onto nothing writes each table once', () => {
    expect(tablesOf(rulesetOf({ ports: [CART, EMPTY] })).map(([name]) => name)).toEqual(['*mangle', '*nat', '*filter'])
  })

  it('onto rules puts what is refused below the old rules first, for the time until filter is written', () => {
    const tables = tablesOf(rulesetOf({ ports: [CART, EMPTY] }), onto())
    expect(tables.map(([name]) => name)).toEqual(['*mangle', '*filter', '*nat', '*filter'])
    expect(tables[1]).toEqual([
      '*filter',
      '-A KUBE-SERVICES -d 10.96.0.31/32 -p tcp -m comment --comment "shop/empty has no endpoints" -m tcp --dport 80 -j REJECT --reject-with icmp-port-unreachable',
      '-A KUBE-EXTERNAL-SERVICES -d 203.0.113.9/32 -p tcp -m comment --comment "shop/empty has no endpoints" -m tcp --dport 80 -j REJECT --reject-with icmp-port-unreachable',
    ])
  })

  it('makes the chains that are not there, before it puts rules into them', () => {
    const chains = { filter: new Set(['KUBE-SERVICES']) }
    const [, first = []] = tablesOf(rulesetOf({ ports: [EMPTY] }), onto({ chains }))
    expect(first.slice(0, 4)).toEqual([
      '*filter',
      ':KUBE-EXTERNAL-SERVICES - [0:0]',
      ':KUBE-NODEPORTS - [0:0]',
      ':KUBE-PROXY-FIREWALL - [0:0]',
    ])
  })

  it('names every chain that it fills, and no built-in one', () => {
    for (const [name, ...lines] of tablesOf(rulesetOf({ ports: [CART, EMPTY] }))) {
      const named = lines.filter((line) => line.startsWith(':')).map((line) => line.slice(1).split(' ')[0])
      const filled = lines.filter((line) => line.startsWith('-A ')).map((line) => line.split(' ')[1])
      expect(filled.filter((chain) => !named.includes(chain))).toEqual([])
      expect(named.filter((chain) => chain?.startsWith('KUBE-') !== true)).toEqual([])
      expect(name).toMatch(/^\*(?:mangle|filter|nat)$/)
    }
  })

  it('deletes chains of services that are no more, after all that led to them is gone', () => {
    const old = 'KUBE-SVC-AAAAAAAAAAAAAAAA KUBE-SEP-AAAAAAAAAAAAAAAA KUBE-FW-AAAAAAAAAAAAAAAA'
    const nat = table('nat', tablesOf(rulesetOf({ ports: [CART] }), onto({ nat: old })))
    expect(nat.filter((line) => line.includes('AAAAAAAA'))).toEqual([
      ':KUBE-FW-AAAAAAAAAAAAAAAA - [0:0]',
      ':KUBE-SEP-AAAAAAAAAAAAAAAA - [0:0]',
      ':KUBE-SVC-AAAAAAAAAAAAAAAA - [0:0]',
      '-X KUBE-FW-AAAAAAAAAAAAAAAA',
      '-X KUBE-SEP-AAAAAAAAAAAAAAAA',
      '-X KUBE-SVC-AAAAAAAAAAAAAAAA',
    ])
    expect(nat.findLastIndex((line) => line.startsWith('-A '))).toBeLessThan(
      nat.findIndex((line) => line.startsWith('-X ')),
    )
  })

  it('keeps such a chain, emptied, where others lead to it', () => {
    const given = onto({ nat: 'KUBE-SVC-AAAAAAAAAAAAAAAA', referred: new Set(['nat KUBE-SVC-AAAAAAAAAAAAAAAA']) })
    const nat = table('nat', tablesOf(rulesetOf({ ports: [CART] }), given))
    expect(nat.filter((line) => line.includes('AAAAAAAA'))).toEqual([':KUBE-SVC-AAAAAAAAAAAAAAAA - [0:0]'])
  })

  it('does not name what is not ours', () => {
    const others = 'DOCKER CNI-HOSTPORT-DNAT KUBE-HOSTPORTS KUBE-KUBELET-CANARY KUBE-IPTABLES-HINT KUBE-MARK-DROP'
    const text = tablesOf(rulesetOf({ ports: [CART] }), onto({ nat: others }))
      .flat()
      .join('\n')
    for (const chain of others.split(' ')) expect(text).not.toContain(chain)
  })

  it("leaves kubelet's chain as it is where there is nothing to put into it, and makes it where it is lacking", () => {
    const ruleset = rulesetOf({}, { family: 'IPv6' })
    expect(table('filter', tablesOf(ruleset, onto())).filter((line) => line.includes('KUBE-FIREWALL'))).toEqual([])
    expect(table('filter', tablesOf(ruleset))).toContain(':KUBE-FIREWALL - [0:0]')
    const ours = table('filter', tablesOf(rulesetOf({}), onto()))
    expect(ours.filter((line) => / ?:?KUBE-FIREWALL /.test(line))).toHaveLength(2)
  })

  it('puts missing jumps at the beginning, so that they come to stand in their order', () => {
    const ruleset = rulesetOf({})
    const inserted = (lines: readonly string[]): readonly string[] => lines.filter((line) => line.startsWith('-I '))
    const tables = tablesOf(ruleset, onto({ missingJumps: ruleset.base.jumps }))
    expect(inserted(table('filter', tables)).map((line) => / (INPUT|FORWARD|OUTPUT) /.exec(line)?.[1])).toEqual([
      ...Array<string>(3).fill('OUTPUT'),
      ...Array<string>(4).fill('FORWARD'),
      ...Array<string>(4).fill('INPUT'),
    ])
    expect(inserted(table('filter', tables)).at(-1)).toBe('-I INPUT -j KUBE-FIREWALL')
    expect(inserted(table('nat', tables))).toHaveLength(3)
    expect(inserted(table('nat', tablesOf(ruleset, onto())))).toEqual([])
  })
})
