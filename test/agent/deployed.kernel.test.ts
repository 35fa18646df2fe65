import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { describeIptables } from '../support/describe-iptables.js'
import { temporaryFolder } from '../support/shop.js'
import { root } from '../support/source-tree.js'
import { worldOf } from '../source/world.js'
import { type AgentNode, createAgentNode } from './agent-node.js'

describeIptables('the agent of deploy/base', () => {
  const folder = temporaryFolder()
  let node: AgentNode
  beforeAll(async () => {
    node = await createAgentNode(folder)
    await node.server.putAll(worldOf(20))
  })
  afterAll(() => {
    node.remove()
    folder.remove()
  })

  test('has the rules in force with the capabilities that it gets and read-only settings, once --init-only has run', async () => {
    const init = node.start('--init-only')
    expect(await init.ended).toEqual({ status: 0, signal: null })
    expect(init.said()).toContain('nf_conntrack_tcp_timeout_established')

    const manifest = readFileSync(join(root, 'deploy/base/daemonset.yaml'), 'utf8')
    const capabilities = /add: \[(.*)\]/.exec(manifest)?.[1]?.toLowerCase().split(', ') ?? []
    expect(capabilities).toContain('net_admin')
    const kept = ['-all', ...capabilities.map((name) => `+${name}`)].join(',')
    const agent = node.startAfter(
      `mount -o bind,ro /proc/sys /proc/sys; set -- setpriv --bounding-set=${kept} --no-new-privs -- "$@"`,
    )
    await agent.hasSaid(/synced everything/)
    expect(await node.differences()).toEqual([])
    expect(agent.said()).not.toMatch(/\/proc\/sys\S* cannot be set/)
    agent.signal('SIGTERM')
    expect(await agent.ended).toEqual({ status: 0, signal: null })
  })
})
