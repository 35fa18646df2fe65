import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { openChangeLog } from '@pointsman/core/io'
import { afterAll, afterEach, expect, test } from 'vitest'
import { kubeconfigText } from '../../packages/core/src/testing/api-server/kubeconfig-text.js'
import { createTestAuthority } from '../../packages/core/src/testing/api-server/test-authority.js'
import { describeIptables } from '../support/describe-iptables.js'
import { createKernelNode, type KernelNode } from '../support/kernel-node.js'
import { temporaryFolder } from '../support/shop.js'
import { type RunningAgent, startAgent } from './running-agent.js'

const HOSTILE = fileURLToPath(new URL('../../fixtures/security/08-http-101-hangs-watch/hostile.mjs', import.meta.url))
const PORT = 7041

/** fixtures/security/01-deep-managed-fields: what anybody who may write a Service could end every agent with. */
describeIptables('an agent that is sent an object nested thousands of levels', () => {
  const folder = temporaryFolder()
  const authority = createTestAuthority()
  const kubeconfig = folder.path('kubeconfig')
  let node: KernelNode | undefined
  let server: ChildProcess | undefined
  const agents: RunningAgent[] = []
  afterEach(async () => {
    for (const agent of agents) agent.signal('SIGKILL')
    await Promise.all(agents.splice(0).map(({ ended }) => ended))
    server?.kill('SIGKILL')
    node?.remove()
  })
  afterAll(folder.remove)

  const begin = async (mode: string): Promise<() => RunningAgent> => {
    const { certificate, key } = authority.issue({ commonName: 'server', names: ['127.0.0.1'] })
    mkdirSync(folder.path('certificates'), { recursive: true })
    writeFileSync(folder.path('certificates/tls.crt'), certificate)
    writeFileSync(folder.path('certificates/tls.key'), key)
    const user = { token: 'none' }
    const url = `https://127.0.0.1:${PORT}`
    writeFileSync(kubeconfig, kubeconfigText({ url, authority: authority.certificate, user }))
    node = createKernelNode('nft')
    server = spawn(process.execPath, [HOSTILE, mode, String(PORT)], {
      env: { PATH: process.env['PATH'], CERTS: folder.path('certificates'), QUIET: '1' },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    if (server.stdout !== null) await once(server.stdout, 'data')
    const flags = [
      ['--kubeconfig', kubeconfig, '--log', folder.path(`${mode}.db`), '--hostname-override', 'node-a'],
      [
        '--cluster-cidr',
        '10.244.0.0/16',
        '--conntrack-max-per-core',
        '0',
        '--iptables-variant',
        'nft',
        '--family',
        'ipv4',
      ],
      ['--iptables-min-sync-period', '100ms'],
    ].flat()
    return () => {
      const agent = startAgent(flags)
      agents.push(agent)
      return agent
    }
  }
  const rules = (): string => node?.saved('iptables-save.txt') ?? ''
  const recordsOf = (mode: string): readonly string[] => {
    const reader = openChangeLog(folder.path(`${mode}.db`))
    try {
      return [...reader.records()].map((record) =>
        record.type === 'notice' ? `${record.code} ${record.message}` : record.type,
      )
    } finally {
      reader.close()
    }
  }
  const endOf = async (agent: RunningAgent): Promise<void> => {
    agent.signal('SIGTERM')
    expect(await agent.ended).toEqual({ status: 0, signal: null })
    expect(agent.said()).not.toMatch(/bug|RangeError|Maximum call stack/)
  }

  test('in managedFields serves it, and starts again from its log', async () => {
    const start = await begin('deep')
    const first = start()
    await first.hasSaid(/synced everything/)
    await expect.poll(rules, { timeout: 30_000, interval: 200 }).toContain('10.96.0.9/32')
    await endOf(first)
    const second = start()
    // This server lists without it and sends it on the watch: it is gone after the list, and comes again.
    await second.hasSaid(/watching Services|watch of Services resumed|all watches resumed/)
    await expect.poll(rules, { timeout: 30_000, interval: 200 }).toContain('10.96.0.9/32')
    await endOf(second)
  })

  test('in the spec names it, writes its log and goes on', async () => {
    const start = await begin('deepspec')
    const agent = start()
    await agent.hasSaid(
      /Service: shop\/d is skipped, and its last usable version stays in effect: it nests deeper than 100 levels/,
    )
    expect(rules()).toContain('10.96.0.5/32')
    expect(rules()).not.toContain('10.96.0.9/32')
    await endOf(agent)
    expect(recordsOf('deepspec')).toContainEqual(expect.stringMatching(/^OBJECT_UNREADABLE Service: shop\/d /))
  })
})
