import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Ended, runPointsman } from '../support/run-pointsman.js'
import { temporaryFolder } from '../support/shop.js'

/* A log with ServiceCIDRs, asked in the mode whose rules are made from them, and in the one whose rules are not. */

const folder = temporaryFolder()
afterAll(folder.remove)

const OBJECTS = fileURLToPath(
  new URL('../../fixtures/golden/kube-proxy-1.36-nftables/cluster-ip/objects.json', import.meta.url),
)
const log = folder.path('cluster.db')
const nftables = folder.path('nftables.yaml')
const ask = (...args: readonly string[]): Promise<Ended> => runPointsman([...args, '--log', log])

interface Served {
  readonly kind: string
  readonly metadata: object
  readonly spec: object
}

beforeAll(async () => {
  writeFileSync(
    nftables,
    'apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\nmode: nftables\nclusterCIDR: 10.244.0.0/16\n',
  )
  const { items } = JSON.parse(readFileSync(OBJECTS, 'utf8')) as { readonly items: readonly Served[] }
  const served = items.find(({ kind }) => kind === 'ServiceCIDR')
  if (served === undefined) throw new Error('the golden has no ServiceCIDR')
  const wider = {
    ...served,
    metadata: { ...served.metadata, resourceVersion: '900' },
    spec: { cidrs: ['10.96.0.0/12', '10.200.0.0/16'] },
  }
  const events = [
    ...items.map((object) => ({ observedAt: '2026-11-30T09:00:00Z', type: 'ADDED', object })),
    { observedAt: '2026-11-30T09:05:00Z', type: 'MODIFIED', object: wider },
  ]
  const recording = folder.path('events.jsonl')
  writeFileSync(recording, events.map((event) => `${JSON.stringify(event)}\n`).join(''))
  await ask('import', recording)
})

test('log lists the changes of ServiceCIDRs', async () => {
  const { stdout } = await ask('log', '--kind', 'servicecidrs', '--limit', '1')
  expect(stdout).toContain('MODIFIED ServiceCIDR kubernetes')
  expect(stdout).toContain('spec.cidrs 10.96.0.0/12,fd00:10:96::/112 -> 10.96.0.0/12,10.200.0.0/16')
  expect((await ask('log', 'info')).stdout).toMatch(/ 2 of ServiceCIDRs\n/)
})

test('diff and blame name the rule that came of one in mode nftables, and none in mode iptables', async () => {
  const rule = 'ip daddr { 10.96.0.0/12, 10.200.0.0/16 } drop'
  const diff = await ask('diff', '-5m', '--config', nftables)
  expect(diff.stdout).toContain('~ ServiceCIDR kubernetes')
  expect(diff.stdout).toContain(`+ add rule ip kube-proxy cluster-ips-check ${rule}`)
  const blamed = (await ask('blame', '--config', nftables)).stdout.split('\n').find((line) => line.includes(rule))
  expect(blamed).toMatch(/ServiceCIDR/)
  const other = await ask('diff', '-5m', '--cluster-cidr', '10.244.0.0/16')
  expect(other.stdout).toContain('~ ServiceCIDR kubernetes')
  expect(other.stdout).not.toContain('\nrules\n')
})

test('bisect finds the ServiceCIDR since which a packet is dropped', async () => {
  const packet = 'tcp 10.244.1.9 -> 10.200.0.7:80'
  const { stdout } = await ask('bisect', packet, '--config', nftables)
  expect(stdout).toContain('no Service has 10.200.0.7, which lies in the ServiceCIDR 10.200.0.0/16')
  expect(stdout).toMatch(/ServiceCIDR kubernetes {2}is dropped\n/)
  expect((await ask('bisect', packet, '--cluster-cidr', '10.244.0.0/16')).stdout).toContain('throughout')
})

test('an export makes a log with the same ServiceCIDRs, and a redacted one keeps their prefix lengths', async () => {
  const { stdout } = await ask('export')
  const copy = folder.path('copy.db')
  const recording = folder.path('export.jsonl')
  writeFileSync(recording, stdout)
  await runPointsman(['import', recording, '--log', copy])
  const shown = (file: string): Promise<Ended> => runPointsman(['log', '--kind', 'ServiceCIDR', '--log', file])
  expect((await shown(copy)).stdout).toBe((await shown(log)).stdout)
  const redacted = (await ask('export', '--redact')).stdout
  expect(redacted).toMatch(/"cidrs":\["[\d.]+\/12","[\d.]+\/16"\]/)
  expect(redacted).not.toContain('10.200.0.0')
})
