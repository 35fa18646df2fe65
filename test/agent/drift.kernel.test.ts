import { existsSync, mkdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { describeIptables } from '../support/describe-iptables.js'
import { temporaryFolder } from '../support/shop.js'
import { root } from '../support/source-tree.js'
import { type AgentNode, createAgentNode } from './agent-node.js'
import { SMALL_WORLD } from './small-world.js'

describeIptables('what somebody else changes', () => {
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

  test('is repaired without a monitor, however soon after the start', async () => {
    const agent = node.start()
    await agent.hasSaid(/synced everything/)
    node.run('iptables-nft -t nat -F KUBE-SERVICES')
    await agent.hasSaid(/IPv4 rules in 1 chain were modified externally.*nat KUBE-SERVICES/)
    expect(await node.differences()).toEqual([])
    expect(monitorsIn(node)).toEqual([])
    agent.signal('SIGTERM')
    await agent.ended
  })

  test('is found after a restart, which reads no tables where there is none', async () => {
    const path = folder.path('counted')
    mkdirSync(path)
    const count = 'echo save >> "$(dirname "$0")/saves"; PATH=${PATH#*:} exec iptables-nft-save "$@"'
    writeFileSync(join(path, 'iptables-nft-save'), `#!/bin/sh\n${count}\n`, { mode: 0o755 })
    const restart = async (): Promise<string> => {
      const agent = node.startWith(path)
      await agent.hasSaid(/synced everything/)
      agent.signal('SIGTERM')
      expect((await agent.ended).status).toBe(0)
      return agent.said()
    }
    await restart()
    rmSync(join(path, 'saves'), { force: true })
    expect(await restart()).toMatch(/in force up to seq \d+: the kernel reports no change[^]*synced everything/)
    expect(existsSync(join(path, 'saves'))).toBe(false)
    node.run('nft add table inet other')
    expect(await restart()).toMatch(/in force up to seq \d+: the tables read as[^]*synced everything/)
    rmSync(join(path, 'saves'), { force: true })
    node.run('iptables-nft -t nat -F KUBE-SERVICES')
    expect(await restart()).not.toMatch(/in force up to seq/)
    // To find out that they are not as they were left, and by the sync.
    expect(readFileSync(join(path, 'saves'), 'utf8')).toBe('save\nsave\n')
    expect(await node.differences()).toEqual([])
  })

  test('is reported by nft monitor where netlink cannot be used, and found where it happened while that was restarted', async () => {
    const agent = node.startAfter(`mount -t tmpfs none ${KOFFI}`)
    await agent.hasSaid(/synced everything/)
    const listening = async (): Promise<unknown> => {
      const { body } = await node.get('http://127.0.0.1:10249/readyz')
      return (JSON.parse(body) as { checks: { audit: { listening: boolean } } }).checks.audit.listening
    }
    await expect
      .poll(
        () => {
          node.run('nft add table inet others')
          node.run('nft delete table inet others')
          return listening()
        },
        { timeout: 20_000 },
      )
      .toBe(true)
    const [monitor = 0] = monitorsIn(node)
    process.kill(monitor, 'SIGKILL')
    node.run('iptables-nft -t nat -F KUBE-SERVICES')
    await expect.poll(() => monitorsIn(node).filter((pid) => pid !== monitor), { timeout: 20_000 }).toHaveLength(1)
    await expect
      .poll(
        () => {
          node.run('nft add table inet others')
          node.run('nft delete table inet others')
          return agent.said()
        },
        { timeout: 20_000 },
      )
      .toMatch(/IPv4 rules in 1 chain were modified externally.*nat KUBE-SERVICES/)
    expect(await node.differences()).toEqual([])
    agent.signal('SIGTERM')
    await agent.ended
  })
})

/** Processes of `nft monitor` in the node's namespace. */
const monitorsIn = ({ pids }: AgentNode): readonly number[] => pids().filter((pid) => commandOf(pid) === 'nft monitor')

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim()
  } catch {
    return ''
  }
}

const KOFFI = realpathSync(join(root, 'packages/cli/node_modules/koffi'))
