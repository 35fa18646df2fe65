import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, test } from 'vitest'
import { JSON_SCHEMAS, schemaProblems } from '../support/json-schemas.js'
import { type Ended, runPointsman } from '../support/run-pointsman.js'
import { temporaryFolder } from '../support/shop.js'

const folder = temporaryFolder()
afterAll(folder.remove)

const GOLDENS = fileURLToPath(new URL('../../fixtures/golden/kube-proxy-1.36-nftables/', import.meta.url))
const OF_IPTABLES = fileURLToPath(new URL('../../fixtures/golden/kube-proxy-1.36/', import.meta.url))
const golden = (scenario: string): readonly string[] => [
  '--objects',
  `${GOLDENS}${scenario}/objects.json`,
  '--config',
  `${OF_IPTABLES}${scenario}/config.json`,
]
const migrate = (...args: readonly string[]): Promise<Ended> => runPointsman(['migrate', ...args])

interface Item {
  readonly service?: string
  readonly type: string
  readonly reasons: readonly { readonly code: string }[]
}

async function itemsOf(...args: readonly string[]): Promise<readonly Item[]> {
  const { stdout } = await migrate(...args, '-o', 'json')
  const document: unknown = JSON.parse(stdout)
  expect(schemaProblems(document, JSON_SCHEMAS.Migration)).toEqual([])
  return (document as { items: readonly Item[] }).items
}

describe('migrate', () => {
  test('says by Service what changes, from whom and why, and ends with 1', async () => {
    const { status, stdout, stderr } = await migrate(...golden('no-endpoints'), '--node-address', '10.9.9.9')
    expect([status, stderr]).toEqual([1, ''])
    expect(stdout.split('\n').slice(0, 11)).toEqual([
      'from objects, node node-a, from mode iptables to nftables',
      '2 of 2 Services change; 37 classes of packets compared',
      '',
      'default/empty',
      '  TCP external IP 203.0.113.9:443, from the node',
      '    not for a Service -> rejected',
      '    mode iptables refuses nothing that the node itself sends to external addresses without endpoints, nor what it takes in at cluster IPs (REFUSED_FOR_NODE)',
      '  TCP load-balancer IP 198.51.100.7:443, from the node',
      '    not for a Service -> rejected',
      '    mode iptables refuses nothing that the node itself sends to external addresses without endpoints, nor what it takes in at cluster IPs (REFUSED_FOR_NODE)',
      '  TCP node port 10.9.9.9:30443 (secondary address), from the node, a pod of this node, outside',
    ])
    expect(stdout).toContain(
      'Ports that a Service does not have, at 2 addresses of default/empty, default/kubernetes\n',
    )
    expect(stdout).toContain(
      '  addresses such as 10.96.0.2 that no Service has, from a pod of this node, the node, outside\n',
    )
  })

  test('ends with 0 where nothing changes', async () => {
    const objects = folder.path('empty.json')
    writeFileSync(objects, JSON.stringify({ kind: 'Node', apiVersion: 'v1', metadata: { name: 'node-a' } }))
    const { status, stdout } = await migrate('--objects', objects, '--cluster-cidr', '10.244.0.0/16')
    expect(status).toBe(0)
    expect(stdout).toContain('nothing changes for 0 Services')
    expect(stdout).toContain('(NO_SERVICE_CIDR)')
  })

  test.each(readdirSync(GOLDENS).filter((scenario) => scenario !== 'large-cluster'))(
    'of the real objects of %s gives the differences that upstream documents, and no others',
    async (scenario) => {
      const items = await itemsOf(...golden(scenario))
      const codes = new Set(items.flatMap(({ reasons }) => reasons.map(({ code }) => code)))
      const { items: objects } = JSON.parse(readFileSync(`${GOLDENS}${scenario}/objects.json`, 'utf8')) as {
        items: readonly { kind: string; spec?: { type?: string } }[]
      }
      const hasNodePorts = objects.some(
        ({ kind, spec }) => kind === 'Service' && /NodePort|LoadBalancer/.test(spec?.type ?? ''),
      )
      const config = readFileSync(`${OF_IPTABLES}${scenario}/config.json`, 'utf8')
      const expected = new Set(['UNUSED_PORT', 'UNALLOCATED_ADDRESS'])
      if (hasNodePorts && !config.includes('nodePortAddresses')) {
        expected.add('NODE_PORT_ADDRESSES')
        if (!config.includes('"localhostNodePorts": false')) expected.add('NODE_PORT_ON_LOOPBACK')
      }
      if (scenario === 'masquerade-all') expected.add('MASQUERADE_ALL')
      if (scenario === 'no-endpoints') for (const code of ['REFUSED_FOR_NODE', 'CLOSED_NODE_PORT']) expected.add(code)
      // Node ports of policy Local without endpoints here.
      if (scenario === 'external-traffic-policy-local')
        for (const code of ['HAIRPIN', 'CLOSED_NODE_PORT']) expected.add(code)
      if (['terminating-endpoints'].includes(scenario)) expected.add('HAIRPIN')
      expect([...codes].toSorted()).toEqual([...expected].toSorted())
    },
  )

  test('a configuration of the new mode counts in place of the old one', async () => {
    const config = folder.path('nftables.yaml')
    writeFileSync(
      config,
      'apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\nclusterCIDR: 10.244.0.0/16,fd00:10:244::/48\nnodePortAddresses: [0.0.0.0/0]\nnftables: {masqueradeAll: true}\n',
    )
    const items = await itemsOf(...golden('node-port'), '--to-config', config)
    const codes = new Set(items.flatMap(({ reasons }) => reasons.map(({ code }) => code)))
    expect([...codes].toSorted()).toEqual([
      'MASQUERADE_ALL',
      'NODE_PORT_ON_LOOPBACK',
      'UNALLOCATED_ADDRESS',
      'UNUSED_PORT',
    ])
  })

  test('--rules shows whose rules depend on the old mode', async () => {
    const rules = folder.path('save.txt')
    writeFileSync(
      rules,
      '*filter\n:FORWARD DROP [0:0]\n:INPUT DROP [0:0]\n:cali-FORWARD - [0:0]\n:KUBE-FORWARD - [0:0]\n-A cali-FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT\n-A cali-FORWARD -j KUBE-FORWARD\nCOMMIT\n',
    )
    const { stdout } = await migrate(...golden('sctp'), '--rules', rules)
    expect(stdout.slice(stdout.indexOf('Rules of other programs')).trimEnd().split('\n')).toEqual([
      'Rules of other programs',
      '  filter :FORWARD DROP',
      '    KUBE-FORWARD of mode iptables accepts Service traffic that this policy refuses; in mode nftables another rule has to',
      '  filter -A cali-FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT  (Calico, by its name)',
      '    mode nftables sets this mark for packets to be masqueraded as well, but for those that come back to their own sender',
      '  filter -A cali-FORWARD -j KUBE-FORWARD  (Calico, by its name)',
      '    mode nftables has no chain KUBE-FORWARD: it is left empty, and the rule does nothing',
    ])
    const { stdout: json } = await migrate(...golden('sctp'), '--rules', rules, '-o', 'json')
    expect(schemaProblems(JSON.parse(json), JSON_SCHEMAS.Migration)).toEqual([])
    expect(JSON.parse(json)).toMatchObject({
      otherRules: [{ on: 'policy' }, { program: 'Calico' }, { what: 'KUBE-FORWARD' }],
    })
  })

  test('a log is asked at a point, and answers for the node that it is of', async () => {
    const log = folder.path('log.db')
    const recording = folder.path('events.jsonl')
    const { items } = JSON.parse(readFileSync(`${GOLDENS}cluster-ip/objects.json`, 'utf8')) as {
      items: readonly object[]
    }
    writeFileSync(
      recording,
      items
        .map((object) => `${JSON.stringify({ observedAt: '2026-11-30T09:00:00Z', type: 'ADDED', object })}\n`)
        .join(''),
    )
    await runPointsman(['import', recording, '--log', log])
    const { status, stdout } = await migrate('--log', log, '--cluster-cidr', '10.244.0.0/16')
    expect(status).toBe(1)
    expect(stdout).toMatch(/^at seq \d+, 2026-11-30T09:00:00.000Z, node node-a, from mode iptables to nftables\n/)
    expect(stdout).toContain('(UNALLOCATED_ADDRESS)')
  })

  test.each([
    [['--from', 'nftables'], /--from and --to are both nftables: give two modes/],
    [['--config', '-'], /each mode reads the configuration anew: give --config and --to-config a file/],
    [['--from', 'userspace'], /Allowed choices are iptables, ipvs, nftables/],
    [['--rules', '/dev/null'], /\/dev\/null/],
  ])('%j is refused in one line', async (args, message) => {
    const objects = ['--objects', `${GOLDENS}sctp/objects.json`]
    const { status, stdout, stderr } = await migrate(...args, ...objects, '--cluster-cidr', '10.244.0.0/16')
    expect([status, stdout]).toEqual([2, ''])
    expect(stderr).toMatch(message)
    expect(stderr.trimEnd().split('\n')).toHaveLength(1)
  })
})
