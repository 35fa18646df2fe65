import { execFileSync } from 'node:child_process'
import { service, serviceCidr, slice } from '@pointsman/core/testing'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { describeIptables } from '../support/describe-iptables.js'
import { temporaryFolder } from '../support/shop.js'
import { webSlice, worldOf } from '../source/world.js'
import { type AgentNode, createAgentNode } from './agent-node.js'

const NFTABLES = ['--proxy-mode', 'nftables'] as const

describeIptables('the agent in mode nftables', () => {
  const folder = temporaryFolder()
  let node: AgentNode
  beforeAll(async () => {
    node = await createAgentNode(folder)
    await node.server.putAll(worldOf(200))
  })
  afterAll(() => {
    node.remove()
    folder.remove()
  })
  afterEach(() => node.stopAll())

  /** This thread is in the namespace, and so is what it starts. */
  const shell = (script: string): string => execFileSync('sh', ['-c', script], { encoding: 'utf8' })
  const table = (): string => shell('nft list table ip kube-proxy 2>&1 || true')
  /** Waits until the audit of the node, by the objects of the API server, finds nothing. */
  const isRight = async (...mode: readonly string[]): Promise<void> => {
    await expect
      .poll(async () => {
        // It writes the server's objects for the question.
        await node.differences().catch(() => undefined)
        const { status, stdout } = await node.pointsman('audit', ...node.question(), ...mode)
        return status === 0 ? 'right' : stdout
      })
      .toBe('right')
  }

  test('takes over from mode iptables: its table is in force before the rules of that go, and follows changes', async () => {
    const before = node.start()
    await before.hasSaid(/synced everything/)
    before.signal('SIGTERM')
    await before.ended
    expect(node.run('iptables-nft-save')).toContain('KUBE-SVC-')
    expect(await node.server.count({ resource: 'servicecidrs' })).toBe(0)

    const agent = node.start(...NFTABLES)
    await agent.hasSaid(/rules of mode iptables were left on this node: removed/)
    await isRight(...NFTABLES)
    expect(node.run('iptables-nft-save')).not.toContain('KUBE-SVC-')

    await node.server.put(webSlice(7, 5))
    await node.server.put(service({ name: 'late', spec: { clusterIP: '10.97.0.1', clusterIPs: ['10.97.0.1'] } }))
    await node.server.put(slice({ name: 'late-1', service: 'late', endpoints: ['10.244.9.9'] }))
    await expect.poll(table).toContain('10.244.9.9')
    await isRight(...NFTABLES)
    const { body } = await node.get('http://127.0.0.1:10249/proxyMode')
    expect(body).toBe('nftables')
    const { body: metrics } = await node.get('http://127.0.0.1:10249/metrics')
    expect(metrics).toContain('kubeproxy_sync_proxy_rules_nftables_sync_failures_total{ip_family="IPv4"} 0')
  })

  test('writes nothing where its table is right, and repairs what others change', async () => {
    const agent = node.start(...NFTABLES)
    await agent.hasSaid(/synced everything .* 0 bytes written/)
    const right = table()
    shell("nft delete element ip kube-proxy cluster-ips '{ 10.97.0.1 }'; nft insert rule ip kube-proxy services drop")
    await agent.hasSaid(/kube-proxy cluster-ips/)
    await expect.poll(table).toBe(right)
    node.run('nft delete table ip kube-proxy')
    await expect.poll(table).toContain('10.244.9.9')
    await isRight(...NFTABLES)
  })

  test('says in one line that it may not see ServiceCIDRs, and follows them where it may', async () => {
    await node.server.put(serviceCidr({ name: 'kubernetes', cidrs: ['10.96.0.0/12'] }))
    await node.server.misbehave({ type: 'status', code: 403 }, { resource: 'servicecidrs' })
    const blind = node.start(...NFTABLES)
    await blind.hasSaid(/ServiceCIDR: permission denied: .* servicecidrs\.networking\.k8s\.io; continuing without/)
    await blind.hasSaid(/synced everything/)
    const { body } = await node.get('http://127.0.0.1:10249/readyz')
    expect(body).toMatch(/"ServiceCIDR":\{"ok":true,"phase":"unavailable","error":"ServiceCIDR: permission denied/)
    expect(table()).not.toContain('10.96.0.0/12')
    blind.signal('SIGTERM')
    await blind.ended

    const agent = node.start(...NFTABLES)
    await agent.hasSaid(/watching ServiceCIDRs/)
    await expect.poll(table).toContain('ip daddr 10.96.0.0/12 drop')
    await node.server.put(serviceCidr({ name: 'more', cidrs: ['10.200.0.0/16'] }))
    await expect.poll(table).toContain('ip daddr { 10.96.0.0/12, 10.200.0.0/16 } drop')
    await isRight(...NFTABLES)
  })

  test('does not take the rule of ServiceCIDRs away at a start without a log', async () => {
    const dropped = 'ip daddr { 10.96.0.0/12, 10.200.0.0/16 } drop'
    expect(table()).toContain(dropped)
    shell(`rm -f ${node.log}*`)
    // It comes last, and in pieces.
    await node.server.misbehave({ type: 'slow', bytes: 100, pauseMs: 30 }, { resource: 'servicecidrs' })
    const agent = node.start(...NFTABLES)
    await agent.hasSaid(/synced everything .* 0 bytes written/)
    expect(table()).toContain(dropped)
  })

  test('gives way to mode iptables, whose rules are in force before the table goes', async () => {
    const agent = node.start()
    await agent.hasSaid(/rules of mode nftables were left on this node: removed/)
    expect(table()).toMatch(/No such file or directory/)
    await isRight()
  })
})
