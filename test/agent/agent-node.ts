import { writeFileSync } from 'node:fs'
import { get as httpGet } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import type { KubernetesObject } from '@pointsman/core'
import { createKernelNode, type KernelNode } from '../support/kernel-node.js'
import { differencesOf } from '../support/goldens.js'
import type { RemoteApiServer } from '../../packages/core/src/testing/api-server/remote-calls.js'
import { spawnApiServer } from '../support/api-server/spawn-api-server.js'
import type { Folder } from '../support/shop.js'
import { type RunningAgent, startAgent } from './running-agent.js'

/** A node in a namespace of its own, with an API server beside it in the same namespace. */
export interface AgentNode extends KernelNode {
  readonly server: RemoteApiServer
  /** The file that leads to the server. */
  readonly kubeconfig: string
  /** The change log's file. */
  readonly log: string
  /** The agent, as kube-proxy would be started. */
  readonly start: (...args: readonly string[]) => RunningAgent
  /** The same with other executables first in the PATH. */
  readonly startWith: (path: string, ...args: readonly string[]) => RunningAgent
  /**
   * The same after shell commands in a mount namespace of its own: what they mount, and the environment that they export, is
   * the agent's alone.
   */
  readonly startAfter: (commands: string, ...args: readonly string[]) => RunningAgent
  /** What a GET in the namespace is answered; status 0 and the cause where nobody listens. */
  readonly get: (url: string) => Promise<Answered>
  /** Options by which a command asks about the objects that `differences` compared last. */
  readonly question: () => readonly string[]
  /** What differs between the rules of the node and those that `pointsman render` prints for what the server has. */
  readonly differences: () => Promise<readonly unknown[]>
  /** Ends all agents that still run. */
  readonly stopAll: () => Promise<void>
  /** Waits until there is no difference; fails with those that there are. */
  readonly converged: (withinMs: number) => Promise<void>
}

export interface Answered {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

export const CLUSTER_CIDR = '10.244.0.0/16'

let count = 0

/** `server`: what the API server does otherwise than usual. */
export async function createAgentNode(
  folder: Folder,
  { server: settings = {} }: { readonly server?: Parameters<typeof spawnApiServer>[0] } = {},
): Promise<AgentNode> {
  const node = createKernelNode('nft')
  const name = `node-${++count}`
  const server = await spawnApiServer({ bookmarkIntervalMs: 500, ...settings })
  const kubeconfig = folder.path(`kubeconfig-${name}`)
  writeFileSync(kubeconfig, await server.kubeconfig())
  const log = folder.path(`${name}.db`)
  const flags = [
    ['--kubeconfig', kubeconfig, '--log', log, '--hostname-override', 'node-a', '--cluster-cidr', CLUSTER_CIDR],
    // Its size is the machine's, and no namespace's.
    ['--conntrack-max-per-core', '0', '--iptables-variant', 'nft', '--family', 'ipv4'],
  ].flat()
  const objects = folder.path(`${name}-objects.json`)
  const question = ['--objects', objects, '--node', 'node-a', '--cluster-cidr', CLUSTER_CIDR, '--family', 'ipv4']
  const differences = async (): Promise<readonly unknown[]> => {
    writeFileSync(objects, JSON.stringify({ apiVersion: 'v1', kind: 'List', items: await allObjects(server) }))
    const rendered = await node.pointsman('render', ...question)
    if (rendered.status !== 0) throw new Error(rendered.stderr)
    return differencesOf(withoutOthers(rendered.stdout), withoutOthers(node.saved('iptables-save.txt')))
  }
  const agents: RunningAgent[] = []
  const started = (agent: RunningAgent): RunningAgent => {
    agents.push(agent)
    return agent
  }
  return {
    ...node,
    server,
    kubeconfig,
    log,
    start: (...args) => started(startAgent([...flags, ...args])),
    startWith: (path, ...args) => {
      const env = { PATH: `${path}:${process.env['PATH'] ?? ''}` }
      return started(startAgent([...flags, ...args], { env }))
    },
    startAfter: (commands, ...args) => {
      const prefix = ['unshare', '--mount', 'sh', '-c', `set -e; ${commands}; exec "$@"`, 'sh']
      return started(startAgent([...flags, ...args], { prefix }))
    },
    get: getHere,
    question: () => question,
    differences,
    async converged(withinMs) {
      const until = performance.now() + withinMs
      // Before the first sync there is nothing that could be compared, which the comparer refuses.
      const find = (): Promise<readonly unknown[]> => differences().catch((error: unknown) => [String(error)])
      let last = await find()
      while (last.length > 0) {
        if (performance.now() > until) throw new Error(`the rules are not right: ${JSON.stringify(last, undefined, 2)}`)
        await sleep(100)
        last = await find()
      }
    },
    async stopAll() {
      for (const agent of agents) agent.signal('SIGKILL')
      await Promise.all(agents.map(({ ended }) => ended))
    },
    remove: () => {
      for (const agent of agents) agent.signal('SIGKILL')
      server.kill()
      node.remove()
    },
  }
}

/** This thread is in the namespace, and so are the sockets that it makes. */
const getHere = (url: string): Promise<Answered> =>
  new Promise((resolve) => {
    const request = httpGet(url, { agent: false }, (answer) => {
      let body = ''
      answer.setEncoding('utf8').on('data', (text: string) => (body += text))
      const headers = Object.entries(answer.headers).map(([name, value]) => [name, String(value)] as const)
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, headers: Object.fromEntries(headers), body }))
    })
    request.on('error', (error) =>
      resolve({ status: 0, headers: {}, body: 'code' in error ? String(error.code) : error.message }),
    )
  })

async function allObjects(server: RemoteApiServer): Promise<readonly KubernetesObject[]> {
  const resources = ['services', 'endpointslices', 'nodes', 'servicecidrs'] as const
  return (await Promise.all(resources.map((resource) => server.objects(resource)))).flat()
}

/** Without the chains of others. */
const withoutOthers = (save: string): string => save.replaceAll(/^(?::|-A )CNI-\S+ .*\n/gm, '')
