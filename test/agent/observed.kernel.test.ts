import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import type { KubernetesObject } from '@pointsman/core'
import { node as nodeObject, service, slice } from '@pointsman/core/testing'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { describeIptables } from '../support/describe-iptables.js'
import { temporaryFolder } from '../support/shop.js'
import { type AgentNode, createAgentNode } from './agent-node.js'
import { balancedSlice, HEALTH_CHECK_NODE_PORT, SMALL_WORLD, webSliceWith } from './small-world.js'

const METRICS = 'http://127.0.0.1:10249'
const BALANCED = `http://192.168.55.10:${HEALTH_CHECK_NODE_PORT}`

describeIptables('the agent, observed', () => {
  const folder = temporaryFolder()
  let node: AgentNode
  beforeAll(async () => {
    node = await createAgentNode(folder)
    await node.server.putAll(SMALL_WORLD)
  })
  afterAll(() => {
    node.remove()
    folder.remove()
  })
  afterEach(() => node.stopAll())

  /** Of the metrics port: samples by name and labels. */
  const samples = async (): Promise<Readonly<Record<string, number>>> => {
    const { body } = await node.get(`${METRICS}/metrics`)
    const lines = body.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
    return Object.fromEntries(
      lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ')))]),
    )
  }
  const checks = async (): Promise<Readonly<Record<string, boolean>>> => {
    const { body } = await node.get(`${METRICS}/readyz`)
    const told = JSON.parse(body) as { readonly checks: Readonly<Record<string, { readonly ok: boolean }>> }
    return Object.fromEntries(Object.entries(told.checks).map(([name, { ok }]) => [name, ok]))
  }
  const soon = (look: () => Promise<void>): Promise<void> => vi.waitFor(look, { timeout: 15_000, interval: 100 })

  test('counts what it does, says what it did, and follows what load balancers ask', async () => {
    const agent = node.start('--logging-format', 'json', '--iptables-min-sync-period', '100ms')
    await agent.hasSaid(/synced everything/)
    await soon(async () => expect(await node.get(BALANCED)).toMatchObject({ status: 200 }))
    const { headers, body } = await node.get(BALANCED)
    expect(body).toBe(
      '{\n\t"service": {\n\t\t"namespace": "shop",\n\t\t"name": "balanced"\n\t},\n\t"localEndpoints": 1,\n\t"serviceProxyHealthy": true\n}',
    )
    expect(headers).toMatchObject({
      'content-type': 'application/json',
      'x-content-type-options': 'nosniff',
      'x-load-balancing-endpoint-weight': '1',
    })
    await node.server.put(balancedSlice({ 'node-b': ['10.244.2.6'] }))
    await soon(async () => expect(await node.get(BALANCED)).toMatchObject({ status: 503 }))
    await node.server.put(balancedSlice({ 'node-a': ['10.244.1.6', '10.244.1.7'] }))
    await soon(async () =>
      expect((await node.get(BALANCED)).headers).toMatchObject({ 'x-load-balancing-endpoint-weight': '2' }),
    )

    const before = await samples()
    const slice = webSliceWith('10.244.5.1')
    const trigger = { 'endpoints.kubernetes.io/last-change-trigger-time': new Date().toISOString() }
    await node.server.put({ ...slice, metadata: { ...slice.metadata, annotations: trigger } })
    await node.converged(40_000)
    const programming = 'kubeproxy_network_programming_duration_seconds_count{ip_family="IPv4"}'
    await soon(async () => expect((await samples())[programming]).toBe((before[programming] ?? 0) + 1))
    const after = await samples()
    const moved = (name: string): number => (after[name] ?? 0) - (before[name] ?? 0)
    expect(moved('kubeproxy_sync_proxy_rules_duration_seconds_count{ip_family="IPv4"}')).toBeGreaterThan(0)
    expect(moved('kubeproxy_sync_partial_proxy_rules_duration_seconds_count{ip_family="IPv4"}')).toBeGreaterThan(0)
    expect(moved('kubeproxy_sync_proxy_rules_endpoint_changes_total')).toBe(1)
    expect(moved('pointsman_event_to_rules_seconds_count')).toBeGreaterThan(0)
    // The promise is minSyncPeriod and 200 ms and the restore; a machine with much to do is given more.
    const took = moved('pointsman_event_to_rules_seconds_sum') / moved('pointsman_event_to_rules_seconds_count')
    console.log(`from event to rules in ${Math.round(took * 1000)} ms, the shortest pause being 100 ms`)
    expect(took).toBeLessThan(3)

    node.run('iptables-nft -t nat -F')
    await agent.hasSaid(/were modified externally/)
    expect(await node.differences()).toEqual([])
    const mended = await samples()
    expect(mended['pointsman_drift_found_total{ip_family="IPv4"}']).toBe(1)
    expect(mended['pointsman_drift_mended_chains_total{ip_family="IPv4"}']).toBeGreaterThan(5)

    expect(await node.get(`${METRICS}/proxyMode`)).toMatchObject({ status: 200, body: 'iptables' })
    expect((await node.get(`${METRICS}/configz`)).body).toContain('"minSyncPeriod":"100ms"')
    expect((await node.get(`${METRICS}/debug/last-restore`)).body).toMatch(
      /^# IPv4, sent at [\s\S]*\*nat\n[\s\S]*COMMIT/,
    )
    expect(await node.get(`${METRICS}/debug/last-failed`)).toMatchObject({ status: 404 })
    expect(await checks()).toEqual({ apiServer: true, watch: true, applied: true, audit: true })

    // Objects that make no sense among one that does.
    await node.server.putAll(NONSENSE)
    await node.server.put(service({ name: 'good', spec: { clusterIP: '10.96.0.99' } }))
    await vi.waitFor(() => expect(node.run('iptables-nft-save -t filter')).toContain('10.96.0.99/32'), {
      timeout: 5000,
    })
    for (const { kind, metadata } of NONSENSE) {
      const name = `${kind} shop/${metadata.name}: ignoring fields that cannot be used`
      // The sync that read it says so when it is over.
      await soon(async () => expect(agent.said().split(name)).toHaveLength(2))
    }
    for (const one of [...NONSENSE, SMALL_WORLD[4]]) if (one !== undefined) await node.server.delete(one)
    await soon(async () => expect(await node.get(BALANCED)).toMatchObject({ status: 0, body: 'ECONNREFUSED' }))

    await node.server.goAway()
    await agent.hasSaid(/cannot be reached|is lost|are down/)
    await soon(async () => expect(await checks()).toMatchObject({ apiServer: false, applied: true, audit: true }))
    await node.server.comeBack()
    // JSON to the end, also where a second agent has only that to say.
    const second = node.start('--logging-format', 'json')
    expect((await second.ended).status).toBe(3)
    agent.signal('SIGTERM')
    expect(await agent.ended).toEqual({ status: 0, signal: null })
    for (const line of [agent, second].flatMap((one) => one.said().trim().split('\n'))) {
      expect(JSON.parse(line)).toMatchObject({ level: expect.any(String), msg: expect.any(String) })
    }
  })

  test('tells of restores that fail and of tables that cannot be read', async () => {
    const bin = folder.path('failing')
    const [failing, unreadable] = [folder.path('fail-restore'), folder.path('fail-save')]
    mkdirSync(bin)
    wrap(`${bin}/iptables-nft-restore`, failing)
    wrap(`${bin}/iptables-nft-save`, unreadable)
    const agent = node.startWith(bin, '--iptables-min-sync-period', '100ms')
    await agent.hasSaid(/synced everything/)
    writeFileSync(failing, '')
    await node.server.put(webSliceWith('10.244.5.2'))
    await soon(async () => expect(node.run('iptables-nft-save -t nat')).toContain('10.244.5.2'))
    // Mended within the sync, so that all is well but for what is counted.
    const counted = await samples()
    for (const which of ['', 'partial_'])
      expect(counted[`kubeproxy_sync_proxy_rules_iptables_${which}restore_failures_total{ip_family="IPv4"}`]).toBe(1)
    const { status, body } = await node.get(`${METRICS}/debug/last-failed`)
    expect({ status, body }).toEqual({
      status: 200,
      body: expect.stringMatching(/^# IPv4, sent at .*\n# .*line 2 failed\n\*nat\n/),
    })
    expect(await checks()).toEqual({ apiServer: true, watch: true, applied: true, audit: true })
    writeFileSync(unreadable, '')
    node.run('iptables-nft -t nat -F KUBE-SERVICES')
    await agent.hasSaid(/drift check failed/)
    // What is in force is in doubt, read back, and put right.
    await soon(async () => expect(node.run('iptables-nft-save -t nat')).toContain('-A KUBE-SERVICES'))
    await node.converged(40_000)
  })

  test('keeps the zone of its Node when that is deleted, over a restart too, and follows the next one of its name', async () => {
    const endpoints = ['a', 'b'].map((zone, i) => ({
      addresses: [`10.244.8.${i}`],
      conditions: { ready: true },
      hints: { forZones: [{ name: `zone-${zone}` }] },
    }))
    const zoned = service({ name: 'zoned', spec: { clusterIP: '10.96.0.70' } })
    await node.server.putAll([...SMALL_WORLD, zoned, slice({ name: 'zoned-1', service: 'zoned', endpoints })])
    const first = node.start('--iptables-min-sync-period', '100ms')
    await node.converged(40_000)
    const used = (): readonly string[] =>
      ['10.244.8.0:8080', '10.244.8.1:8080', '10.244.5.3:8080'].filter((to) =>
        node.run('iptables-nft-save -t nat').includes(to),
      )
    expect(used()).toEqual(['10.244.8.0:8080'])
    await node.server.delete(nodeObject({ name: 'node-a' }))
    await first.hasSaid(/Node node-a was deleted/)
    // A change that comes after it is programmed, and no other.
    await node.server.put(webSliceWith('10.244.5.3'))
    await soon(async () => expect(used()).toEqual(['10.244.8.0:8080', '10.244.5.3:8080']))
    expect((await node.get('http://127.0.0.1:10256/healthz')).status).toBe(200)
    first.signal('SIGKILL')
    await first.ended
    const second = node.start('--iptables-min-sync-period', '100ms')
    await second.hasSaid(/synced everything .* 0 bytes written/)
    await soon(async () => expect((await node.get('http://127.0.0.1:10256/healthz')).status).toBe(200))
    expect(used()).toEqual(['10.244.8.0:8080', '10.244.5.3:8080'])
    await node.server.put(nodeObject({ name: 'node-a', uid: 'another', zone: 'zone-b' }))
    await soon(async () => expect(used()).toEqual(['10.244.8.1:8080', '10.244.5.3:8080']))
    await node.converged(40_000)
  })

  test('after a reboot programs what the log knows, and tells load balancers to wait until the watch is fresh', async () => {
    const first = node.start()
    await node.server.putAll(SMALL_WORLD)
    await node.converged(40_000)
    first.signal('SIGTERM')
    await first.ended
    await node.server.goAway()
    const boot = folder.path('boot-id')
    writeFileSync(boot, 'b0070000-0000-4000-8000-000000000000\n')
    const agent = node.startAfter(`mount --bind ${boot} /proc/sys/kernel/random/boot_id`)
    await agent.hasSaid(/starting from the logged state .*the machine has rebooted since/)
    await agent.hasSaid(/synced everything/)
    expect(await node.differences()).toEqual([])
    const asked = ['http://127.0.0.1:10256/healthz', 'http://127.0.0.1:10256/livez', BALANCED]
    const statuses = async (): Promise<readonly number[]> =>
      (await Promise.all(asked.map(node.get))).map(({ status }) => status)
    await soon(async () => expect(await statuses()).toEqual([503, 200, 503]))
    await node.server.comeBack()
    await soon(async () => expect(await statuses()).toEqual([200, 200, 200]))
  })
})

/** Objects that no API server would serve. */
const NONSENSE: readonly KubernetesObject[] = [
  service({ name: 'broken-address', spec: { clusterIP: '10.96.0.300' } }),
  service({
    name: 'broken-ports',
    spec: { clusterIP: '10.96.0.98', ports: [{ name: 'http', port: 'eighty', protocol: 5 }] },
  }),
  {
    kind: 'EndpointSlice',
    apiVersion: 'discovery.k8s.io/v1',
    metadata: { name: 'garbage', namespace: 'shop', uid: 'garbage', labels: { 'kubernetes.io/service-name': 'web' } },
    addressType: 'IPv4',
    endpoints: [{ addresses: 'none' }, 7, { addresses: ['10.244.1.5.6'], conditions: 'ready' }],
    ports: 'http',
  },
]

/** The program behind a script of the same name, but once as long as `flag` is there: then it fails, and the flag is gone. */
function wrap(path: string, flag: string): void {
  const name = path.slice(path.lastIndexOf('/') + 1)
  writeFileSync(
    path,
    `#!/bin/sh\nif rm ${flag} 2>/dev/null; then echo "${name}: line 2 failed" >&2; exit 1; fi\nexec /usr/sbin/${name} "$@"\n`,
  )
  chmodSync(path, 0o755)
}
