import { writeFileSync } from 'node:fs'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { describeIptables } from '../support/describe-iptables.js'
import { temporaryFolder } from '../support/shop.js'
import { worldOf } from '../source/world.js'
import { type AgentNode, createAgentNode } from './agent-node.js'
import { createStoppingRestore } from './stopping-restore.js'

const SERVICES = 40

describeIptables('the end of an agent', () => {
  const folder = temporaryFolder()
  let node: AgentNode
  beforeAll(async () => {
    node = await createAgentNode(folder)
    await node.server.putAll(worldOf(SERVICES))
  })
  afterAll(() => {
    node.remove()
    folder.remove()
  })

  afterEach(() => node.stopAll())

  const configured = (name: string, ...lines: readonly string[]): string => {
    const file = folder.path(name)
    const head = ['apiVersion: kubeproxy.config.k8s.io/v1alpha1', 'kind: KubeProxyConfiguration']
    writeFileSync(file, [...head, ...lines, ''].join('\n'))
    return file
  }

  test('comes as soon as what was seen is in force, also where a configuration file is watched', async () => {
    const agent = node.start('--config', configured('plain.yaml'))
    await agent.hasSaid(/synced everything/)
    await agent.hasSaid(/watching EndpointSlice/)
    agent.signal('SIGTERM')
    const asked = performance.now()
    expect(await agent.ended).toEqual({ status: 0, signal: null })
    expect(performance.now() - asked).toBeLessThan(2900)
    expect(await node.differences()).toEqual([])
  })

  test('takes no rules away for what had not been listed yet', async () => {
    await node.server.misbehave({ type: 'no-streaming-lists', as: 400 }, { kind: 'streaming-list', times: 1000 })
    await node.server.misbehave({ type: 'hang' }, { kind: 'list', resource: 'endpointslices', times: 1000 })
    const agent = node.start('--log', folder.path('empty.db'))
    await agent.hasSaid(/watching Service/)
    agent.signal('SIGTERM')
    expect((await agent.ended).status).toBe(0)
    expect(agent.said()).not.toContain('synced')
    expect(await node.differences()).toEqual([])
  })

  test('is as good where it comes before anything has begun', async () => {
    const agent = node.start()
    await agent.hasSaid(/starting from|no logged state/)
    agent.signal('SIGTERM')
    expect(await agent.ended).toEqual({ status: 0, signal: null })
    expect(agent.said()).not.toContain('aborted by the caller')
  })

  test('comes within five seconds though iptables hangs', async () => {
    const restore = createStoppingRestore(folder.path('stopping'))
    const agent = node.startWith(restore.path)
    await agent.hasSaid(/synced everything/)
    const stopped = restore.stopAt('before')
    node.run('iptables-nft -t nat -F KUBE-SERVICES')
    await stopped
    agent.signal('SIGTERM')
    const asked = performance.now()
    expect(await agent.ended).toEqual({ status: 0, signal: null })
    expect(performance.now() - asked).toBeLessThan(5000)
  })

  test('is one line where an address that it must have is taken', async () => {
    const taken = [`healthzBindAddress: 127.0.0.1:${node.server.port}`, 'bindAddressHardFail: true']
    const agent = node.start('--config', configured('taken.yaml', ...taken))
    expect(await agent.ended).toEqual({ status: 3, signal: null })
    expect(agent.said()).toMatch(/cannot serve health on 127\.0\.0\.1:\d+: another process has the port/)
    expect(agent.said()).not.toMatch(/^ {4}at /m)
  })
})
