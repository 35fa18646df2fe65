import { execFileSync } from 'node:child_process'
import { chmodSync, chownSync, mkdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { describeIptables } from '../support/describe-iptables.js'
import { temporaryFolder } from '../support/shop.js'
import { worldOf } from '../source/world.js'
import { type AgentNode, createAgentNode } from '../agent/agent-node.js'

/*
 * What an operator installs, instead of this workspace: scripts/test-installed.mjs makes both and names them.
 */

const folder = temporaryFolder()
/** As deploy/image/entry.sh has it. */
const UNPRIVILEGED = 65532

interface Installation {
  /** Shell commands that make it usable in a mount namespace of its own. */
  readonly mounts: readonly string[]
  /** The commands `pointsman` and `kube-proxy` of it. */
  readonly pointsman: string
  readonly kubeProxy: string
}

const named = (variable: string): string => {
  const value = process.env[variable]
  if (value === undefined) throw new Error(`${variable} is not set: see scripts/test-installed.mjs`)
  return value
}

/** The image's root, with what a container engine mounts, and the folder of the test at its own path. */
function inRoot(root: string): Installation {
  const mounted = join(root, folder.path(''))
  mkdirSync(mounted, { recursive: true })
  const mounts = [
    `mount -t proc proc ${root}/proc`,
    `mount --rbind /sys ${root}/sys`,
    `mount -t tmpfs tmpfs ${root}/run`,
    `mount --bind ${folder.path('')} ${mounted}`,
  ]
  return { mounts, pointsman: `chroot ${root} pointsman-entry`, kubeProxy: `chroot ${root} kube-proxy` }
}

const inPrefix = (prefix: string): Installation => ({
  mounts: ['true'],
  pointsman: `${prefix}/bin/pointsman`,
  kubeProxy: `${prefix}/bin/pointsman run`,
})

describe.each([
  ['the root of the image', 'image', () => inRoot(named('POINTSMAN_IMAGE_ROOT'))],
  ['the tarball that npm installed', 'package', () => inPrefix(named('POINTSMAN_PREFIX'))],
])('%s', (_, name, find) => {
  const installed = find()
  let node: AgentNode

  /** What it prints, in the namespace of the node. */
  const run = (...args: readonly string[]): string => {
    const script = `set -e; ${installed.mounts.join('; ')}; exec ${installed.pointsman} "$@"`
    return execFileSync('unshare', ['--mount', 'sh', '-c', script, 'sh', ...args], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
      cwd: '/',
      env: { PATH: process.env['PATH'] },
    })
  }

  describeIptables('as a node has it', () => {
    beforeAll(async () => {
      node = await createAgentNode(folder)
      await node.server.putAll(worldOf(20))
    })
    afterAll(() => node.remove())

    test('shows the demo', () => {
      expect(run('demo')).toMatch(/^shop\/checkout had no endpoints for 6\.3 s$/m)
    })

    test('records from the API server, and answers from that log', async () => {
      // The image's entry point runs these commands as a user without privileges.
      const records = folder.path(name)
      mkdirSync(records)
      chownSync(records, UNPRIVILEGED, UNPRIVILEGED)
      chmodSync(folder.path(''), 0o711)
      chmodSync(node.kubeconfig, 0o644)
      const log = join(records, 'cluster.db')
      run('record', '--kubeconfig', node.kubeconfig, '--log', log, '--for', '5s')
      expect(statSync(log).uid).toBe(name === 'image' ? UNPRIVILEGED : 0)
      const listed = run('services', '--log', log, '--node', 'node-a', '-o', 'json')
      const { items } = JSON.parse(listed) as { readonly items: readonly unknown[] }
      expect(items.length).toBeGreaterThan(0)
      const { stdout } = await node.pointsman('services', '--log', log, '--node', 'node-a', '-o', 'json')
      expect(JSON.parse(listed)).toEqual(JSON.parse(stdout))
    })

    test('is an agent that brings the rules into force', async () => {
      // The words before the flags are those of this workspace's command.
      const commands = [...installed.mounts, `shift 3; set -- ${installed.kubeProxy} "$@"`]
      const agent = node.startAfter(commands.join('; '))
      await agent.hasSaid(/synced everything/)
      expect(await node.differences()).toEqual([])
      agent.signal('SIGTERM')
      expect(await agent.ended).toEqual({ status: 0, signal: null })
    })
  })
})

afterAll(() => folder.remove())
