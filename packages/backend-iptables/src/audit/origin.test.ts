import type { ProxyConfig } from '@pointsman/core'
import { parseSave } from 'node-iptables'
import { describe, expect, test } from 'vitest'
import { iptablesDataplane } from '../dataplane.js'
import { LoadedTables, readListing } from '../loaded-tables.js'
import { CLASSIC_GOLDENS, GOLDENS, readClassicGolden, readGolden } from '../test-support/goldens.js'

const refuse = (message: string): Error => new Error(message)
const { state, config, saved } = readGolden('node-port')

/** `TYPE detail`, and what to do, of everything that an audit of a listing finds. */
async function auditOf(
  text: string,
  layout: ProxyConfig['layout'] = 'current',
): Promise<{ readonly findings: readonly string[]; readonly toDo: string }> {
  const rules = await readListing(text, { name: 'rules', refuse })
  const findings = iptablesDataplane.audit(rules, { state, config: { ...config, layout } }, { family: 'IPv4' })
  return {
    findings: findings.map(({ type, detail = '' }) => `${type} ${detail}`.trim()),
    toDo: findings.map((finding) => iptablesDataplane.toDo(finding)).join('\n'),
  }
}

const save = (tables: Readonly<Record<string, readonly string[]>>): string =>
  Object.entries(tables)
    .map(([table, rules]) => {
      const chains = [...new Set(rules.map((line) => line.split(' ')[0] ?? ''))]
      const declared = chains.map((chain) => `:${chain} ${/^[A-Z]+$/.test(chain) ? 'ACCEPT' : '-'} [0:0]`)
      return [
        `*${table}`,
        ...declared,
        ...rules.filter((line) => line.includes(' ')).map((line) => `-A ${line}`),
        'COMMIT',
        '',
      ].join('\n')
    })
    .join('')

describe('rules of a kube-proxy whose layout cannot be compared', () => {
  test.each(CLASSIC_GOLDENS)('of 1.20 are recognized, and right in their layout alone: %s', async (scenario) => {
    const golden = readClassicGolden(scenario)
    const rules = await readListing(golden.saved, { name: 'rules', refuse })
    expect(iptablesDataplane.layoutFound?.(rules)).toBe('classic')
    expect(iptablesDataplane.audit(rules, golden, { family: 'IPv4' })).toEqual([])
    // They were recorded without a kubelet, which drops what is marked.
    const isRelied = /^-A KUBE-(?:FW|XLB)-.* -j KUBE-MARK-DROP$/m.test(golden.saved)
    expect(iptablesDataplane.auditNotes?.(rules, golden, { family: 'IPv4' })).toHaveLength(isRelied ? 1 : 0)
    const findings = iptablesDataplane.audit(rules, readClassicGolden(scenario, 'current'), { family: 'IPv4' })
    expect(findings).toMatchObject([
      { type: 'OTHER_RELEASE', detail: expect.stringMatching(/^these are rules of kube-proxy 1\.20 or older: /) },
    ])
  })

  test('of 1.36 are one finding where layout classic is asked for', async () => {
    const { findings } = await auditOf(saved.IPv4, 'classic')
    expect(findings).toEqual([expect.stringMatching(/^OTHER_RELEASE these are rules of kube-proxy 1\.26 or later/)])
  })

  test.each(CLASSIC_GOLDENS)('are recognized by the nat table alone: %s', async (scenario) => {
    const { saved: classic } = readClassicGolden(scenario)
    const nat = classic.slice(classic.indexOf('*nat'))
    expect((await auditOf(nat)).findings).toEqual([
      expect.stringMatching(/^OTHER_RELEASE these are rules of kube-proxy 1\.2[34] or older: /),
    ])
  })

  test('of 1.24 and 1.25 are recognized by their comments, and by KUBE-PROXY-FIREWALL', async () => {
    const text = saved.IPv4.replaceAll(/ -> \S+" /g, '" ')
    expect((await auditOf(text)).findings[0]).toMatch(/^OTHER_RELEASE these are rules of kube-proxy 1\.25: /)
    const older = text.replaceAll(/^.*KUBE-PROXY-FIREWALL.*\n/gm, '')
    expect((await auditOf(older)).findings[0]).toMatch(/^OTHER_RELEASE these are rules of kube-proxy 1\.24 to 1\.25: /)
  })

  test('are compared where a new layout stands beside what is left of an old one', async () => {
    const text = saved.IPv4.replace(/^(\*nat\n)/m, '$1:KUBE-XLB-AAAAAAAAAAAAAAAA - [0:0]\n').replace(
      /^-A KUBE-SERVICES /m,
      '-A KUBE-XLB-AAAAAAAAAAAAAAAA -m comment --comment "old/gone:http" -j KUBE-MARK-DROP\n$&',
    )
    const { findings, toDo } = await auditOf(text)
    expect(findings).toEqual(['LEFT_OVER_CHAIN'])
    expect(toDo).toContain('kube-proxy of 1.24 or later leaves it')
  })

  test.each(GOLDENS)('is none that wrote these of 1.36: %s', async (scenario) => {
    const golden = readGolden(scenario)
    for (const family of ['IPv4', 'IPv6'] as const) {
      const rules = await readListing(golden.saved[family], { name: 'rules', refuse })
      expect(iptablesDataplane.audit(rules, golden, { family })).toEqual([])
    }
  })
})

const IPVS = {
  nat: [
    'PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES',
    'KUBE-LOAD-BALANCER -j KUBE-MARK-MASQ',
    'KUBE-NODE-PORT -p tcp -m set --match-set KUBE-NODE-PORT-TCP dst -j KUBE-MARK-MASQ',
    'KUBE-POSTROUTING -m set --match-set KUBE-LOOP-BACK dst,dst,src -j MASQUERADE',
    'KUBE-SERVICES ! -s 10.244.0.0/16 -m set --match-set KUBE-CLUSTER-IP dst,dst -j KUBE-MARK-MASQ',
    'KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODE-PORT',
    'KUBE-SERVICES -m set --match-set KUBE-CLUSTER-IP dst,dst -j ACCEPT',
    'KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000',
  ],
}

describe('rules of another mode, another proxy or none', () => {
  test.each<[string, string, string]>([
    [
      'ipvs mode',
      save(IPVS),
      'IPVS_MODE recognized by what only that mode makes: rules match the ipsets KUBE-CLUSTER-IP, ',
    ],
    [
      'ipvs mode with IPv6 sets',
      save(IPVS).replaceAll('--match-set KUBE-', '--match-set KUBE-6-'),
      'IPVS_MODE recognized by what only that mode makes: rules match the ipsets KUBE-6-CLUSTER-IP, ',
    ],
    [
      'ipvs mode without a service',
      save({ filter: ['KUBE-FORWARD', 'KUBE-IPVS-FILTER'], nat: ['KUBE-SERVICES', 'KUBE-NODE-PORT'] }),
      'IPVS_MODE recognized by what only that mode makes: there are KUBE-IPVS-FILTER and KUBE-NODE-PORT',
    ],
    [
      'nftables mode, as nft lists it',
      'table ip kube-proxy {\n\tset cluster-ips {\n\t}\n}\ntable ip6 kube-proxy {\n}\n',
      'NFTABLES_MODE nft lists the table kube-proxy',
    ],
    [
      'nftables mode, as nft lists it in JSON',
      '{"nftables": [{"metainfo": {"version": "1.0.6"}}, {"table": {"family": "ip", "name": "kube-proxy", "handle": 2}}]}',
      'NFTABLES_MODE nft lists the table kube-proxy',
    ],
    [
      'kubelet alone',
      save({ mangle: ['KUBE-IPTABLES-HINT', 'KUBE-KUBELET-CANARY'], filter: ['INPUT'], nat: ['KUBE-KUBELET-CANARY'] }),
      "NO_PROXY no table has KUBE-SERVICES, and KUBE-IPTABLES-HINT and KUBE-KUBELET-CANARY are kubelet's: Services are served without iptables",
    ],
    [
      'what the iptables mode leaves behind',
      save({ filter: ['KUBE-PROXY-CANARY', 'KUBE-FIREWALL'], nat: ['KUBE-MARK-MASQ', 'KUBE-PROXY-CANARY'] }),
      "NO_PROXY no table has KUBE-SERVICES, but KUBE-PROXY-CANARY is there: kube-proxy's iptables mode ran once, and its rules were flushed",
    ],
    [
      'an empty node',
      save({ filter: ['INPUT'], nat: ['OUTPUT'] }),
      'NO_PROXY no table has KUBE-SERVICES: Services are',
    ],
    [
      'no nat table',
      save({ filter: ['KUBE-FORWARD'] }),
      'NO_PROXY there is no table nat, and filter has no KUBE-SERVICES, ',
    ],
    [
      'ipvs mode with what the iptables mode left, which iptables cannot print',
      save({
        nat: [
          ...IPVS.nat,
          'KUBE-SVC-BRK3P4PPQWCLKOAN -m comment --comment "kube-system/dns:tcp" -j KUBE-SEP-DSNLGRBAF2JMR7ZU',
          'KUBE-SEP-DSNLGRBAF2JMR7ZU -p tcp -m tcp -j DNAT --to-destination  --random --to-destination  --random --to-destination',
        ],
      }),
      'IPVS_MODE recognized by what only that mode makes: ',
    ],
    [
      'Cilium',
      save({ filter: ['INPUT -j CILIUM_INPUT', 'CILIUM_INPUT'], nat: ['CILIUM_PRE_nat', 'KUBE-KUBELET-CANARY'] }),
      'OTHER_PROXY Cilium has the chains CILIUM_INPUT and CILIUM_PRE_nat: it can serve Services by eBPF',
    ],
    [
      'kube-router',
      save({ filter: ['INPUT -j KUBE-ROUTER-SERVICES', 'KUBE-ROUTER-SERVICES'], nat: ['KUBE-ROUTER-HAIRPIN'] }),
      'OTHER_PROXY kube-router has the chains KUBE-ROUTER-SERVICES and KUBE-ROUTER-HAIRPIN: it serves Services by IPVS',
    ],
    [
      'the userspace mode',
      save({ nat: ['PREROUTING -j KUBE-PORTALS-CONTAINER', 'KUBE-PORTALS-CONTAINER', 'KUBE-NODEPORT-HOST'] }),
      'USERSPACE_MODE recognized by the chains that only that mode makes: KUBE-PORTALS-CONTAINER and KUBE-NODEPORT-HOST',
    ],
  ])('%s', async (_, text, wanted) => {
    const { findings, toDo } = await auditOf(text)
    expect(findings).toEqual([expect.stringContaining(wanted)])
    expect(toDo).not.toContain('pointsman apply')
  })

  test('other chains beside rules of kube-proxy make them no other proxy’s', async () => {
    const others = ':CILIUM_INPUT - [0:0]\n:KUBE-ROUTER-INPUT - [0:0]\n:KUBE-NODE-PORT - [0:0]\n:cali-INPUT - [0:0]\n'
    const text = saved.IPv4.replace('*filter\n', `*filter\n${others}`).replace('*nat\n', `*nat\n${others}`)
    expect((await auditOf(text)).findings).toEqual([])
  })

  test('what nft lists of iptables is refused, and so are other commands’ questions about nftables mode', async () => {
    const listed = 'table ip nat {\n\tchain KUBE-SERVICES {\n\t}\n}\n'
    await expect(readListing(listed, { name: 'x.txt', refuse })).rejects.toThrow(
      'x.txt is the output of nft list ruleset: run `iptables-save` on the node, and give what it prints',
    )
    const rules = await readListing('table ip kube-proxy {\n}\n', { name: 'x.txt', refuse })
    expect(rules.family).toBe('IPv4')
    expect(() => rules.tables).toThrow("x.txt has the rules of kube-proxy's nftables mode, ")
  })
})

describe('a save that warns of itself', () => {
  const LEGACY = '# Warning: iptables-legacy tables present, use iptables-legacy-save to see them\n'

  test('of legacy tables is one finding with the command that shows them', async () => {
    const { findings, toDo } = await auditOf(saved.IPv4 + LEGACY)
    expect(findings).toEqual([`UNSEEN_TABLES it says: ${LEGACY.slice(2).trimEnd()}`])
    expect(toDo).toContain('iptables-legacy-save')
  })

  test('of tables that iptables cannot show does not mean that there is no proxy', async () => {
    const text =
      "# Generated by iptables-save v1.8.9 (nf_tables)\n*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n# Table `nat' is incompatible, use 'nft' tool.\n"
    expect((await auditOf(text)).findings).toEqual([
      "UNSEEN_TABLES it says: Table `nat' is incompatible, use 'nft' tool.",
    ])
  })
})

test.each([
  ' --random --to-destination  --random --to-destination 0.0.0.0:0',
  ':0 --persistent --to-destination :0 --persistent --to-destination 0.0.0.0 --persistent',
])('rules whose destination the save cannot show are one finding: %s', async (shown) => {
  const text = saved.IPv4.replaceAll(/--to-destination \S+$/gm, `--to-destination ${shown}`)
  const { findings, toDo } = await auditOf(text)
  expect(findings).toEqual([expect.stringMatching(/^UNREADABLE_RULES this iptables-save may be older than /)])
  expect(toDo).not.toContain('pointsman apply')
})

describe('a jump that is there more than once', () => {
  const repeated = (text: string, pattern: RegExp, times: number): string =>
    text.replace(pattern, (line) => line.repeat(times))
  const portals = /^-A OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES\n/m

  test('is one finding with a count, and kube-proxy does not take it out', async () => {
    const rules = await readListing(repeated(saved.IPv4, portals, 7), { name: 'rules', refuse })
    const findings = iptablesDataplane.audit(rules, { state, config }, { family: 'IPv4' })
    expect(findings).toMatchObject([{ type: 'DUPLICATE_RULE', table: 'nat', chain: 'OUTPUT', count: 7 }])
    const [toDo = ''] = findings.map((finding) => iptablesDataplane.toDo(finding))
    expect(toDo).toMatch(/^kube-proxy leaves it at every sync and restart; Pointsman's agent and `pointsman apply`/)
    expect(toDo).toContain(
      'iptables -t nat -D OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES;',
    )
  })

  test('is reported beside the finding that the layout is an older one', async () => {
    const { saved: classic } = readClassicGolden('cluster-ip')
    const { findings } = await auditOf(repeated(classic, portals, 3))
    expect(findings).toEqual([expect.stringMatching(/^OTHER_RELEASE /), 'DUPLICATE_RULE'])
  })

  test('may be the fault of the iptables that wrote the save', async () => {
    const head = '# Generated by xtables-save v1.8.2 on Sun Dec 30 01:59:40 2018\n'
    expect((await auditOf(head + repeated(saved.IPv4, portals, 2))).findings).toEqual([
      expect.stringMatching(/^DUPLICATE_RULE the save is of xtables-save 1\.8\.2: /),
    ])
  })

  test('counts in the chain that is kubelet’s', async () => {
    const drop =
      '-A KUBE-FIREWALL -m comment --comment "kubernetes firewall for dropping marked packets" -m mark --mark 0x8000/0x8000 -j DROP\n'
    const text = saved.IPv4.replace(/^-A KUBE-FIREWALL /m, `${drop.repeat(5)}$&`)
    const rules = await readListing(text, { name: 'rules', refuse })
    const findings = iptablesDataplane.audit(rules, { state, config }, { family: 'IPv4' })
    expect(findings).toMatchObject([{ type: 'DUPLICATE_RULE', chain: 'KUBE-FIREWALL', count: 5 }])
  })
})

test('rules that only the other variant of iptables has are audited there, and not removed', () => {
  const tables = (text: string): ReturnType<typeof parseSave> => parseSave(text)
  const loaded = new LoadedTables(tables(save({ filter: ['INPUT'], nat: ['KUBE-KUBELET-CANARY'] })), {
    family: 'IPv4',
    variant: 'nft',
    other: { variant: 'legacy', tables: tables(saved.IPv4) },
  })
  const findings = iptablesDataplane.audit(loaded, { state, config }, { family: 'IPv4' })
  expect(findings).toMatchObject([
    { type: 'OTHER_VARIANT', variant: 'legacy', detail: expect.stringContaining('(nft) has no rules of the proxy') },
  ])
  const [toDo = ''] = findings.map((finding) => iptablesDataplane.toDo(finding))
  expect(toDo).toMatch(/^`pointsman audit --iptables-variant legacy` audits those/)
})
