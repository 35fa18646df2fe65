import { fileURLToPath } from 'node:url'
import { runProcess } from 'node-iptables'
import { createKernelNamespace, type KernelNamespace } from '../../packages/backend-iptables/src/test-support/kernel.js'

/**
 * Three network namespaces: a client, the node, and behind it a pod with several addresses, which answers each datagram
 * with the address and port that it came to. The node is the only way between the two.
 */
export interface UdpNetwork {
  readonly node: KernelNamespace
  /** Sends datagrams until one is answered, and gives the answer: `10.244.1.5 53`. Empty: none came within a second. */
  readonly ask: (from: 'client' | 'node', place: Place & { readonly sourcePort: number }) => Promise<string>
  readonly remove: () => Promise<void>
}

export interface Place {
  readonly address: string
  readonly port: number
}

/** What stands where, in each family. `outside` is no pod and no service: something that the pod's namespace bears too. */
export const ADDRESSES = {
  IPv4: {
    client: '10.0.1.2',
    node: '10.0.1.1',
    gateway: '10.244.1.1',
    pods: ['10.244.1.5', '10.244.1.6'],
    outside: '203.0.113.9',
    service: '10.96.0.10',
    length: 24,
  },
  IPv6: {
    client: 'fd00:1::2',
    node: 'fd00:1::1',
    gateway: 'fd00:244::1',
    pods: ['fd00:244::5', 'fd00:244::6'],
    outside: 'fd00:113::9',
    service: 'fd00:96::a',
    length: 64,
  },
} as const

export async function createUdpNetwork(servers: readonly Place[]): Promise<UdpNetwork> {
  const [client, node, pod] = [createKernelNamespace(), createKernelNamespace(), createKernelNamespace()]
  const remove = (): void => [client, node, pod].forEach((namespace) => namespace.remove())
  const serving = new AbortController()
  try {
    connect({ client, node, pod })
    const server = serve(pod, servers, serving.signal)
    await Promise.race([server.ready, server.ended])
    return {
      node,
      ask: async (from, { address, port, sourcePort }) => {
        const { prefix } = from === 'client' ? client : node
        const argv = [...prefix, process.execPath, script('udp-ask.mjs'), address, String(port), String(sourcePort)]
        return (await runProcess({ argv })).stdout
      },
      remove: async () => {
        serving.abort()
        await server.ended.catch(() => undefined)
        remove()
      },
    }
  } catch (error) {
    serving.abort()
    remove()
    throw error
  }
}

const script = (name: string): string => fileURLToPath(new URL(name, import.meta.url))

type Namespaces = { readonly [name in 'client' | 'node' | 'pod']: KernelNamespace }

function connect({ client, node, pod }: Namespaces): void {
  for (const namespace of [client, node, pod]) {
    // A link's own IPv6 address, which asks for neighbours, cannot be used before a second is over otherwise.
    namespace.run('sysctl', '-qw', 'net.ipv6.conf.default.accept_dad=0', 'net.ipv6.conf.all.accept_dad=0')
  }
  for (const [end, there, near] of [
    [client, 'client', 'eth0'],
    [pod, 'pod', 'eth0'],
  ] as const) {
    node.run('ip', 'link', 'add', there, 'type', 'veth', 'peer', 'name', near, 'netns', end.name)
    node.run('ip', 'link', 'set', there, 'up')
    end.run('ip', 'link', 'set', near, 'up')
    end.run('ip', 'link', 'set', 'lo', 'up')
  }
  node.run('ip', 'link', 'set', 'lo', 'up')
  node.run('sysctl', '-qw', 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1')
  for (const family of ['IPv4', 'IPv6'] as const) {
    const { length, ...at } = ADDRESSES[family]
    const add = (to: KernelNamespace, device: string, address: string): unknown =>
      to.run('ip', 'addr', 'add', `${address}/${length}`, 'dev', device)
    add(client, 'eth0', at.client)
    add(node, 'client', at.node)
    add(node, 'pod', at.gateway)
    for (const address of [...at.pods, at.outside]) add(pod, 'eth0', address)
    client.run('ip', 'route', 'add', 'default', 'via', at.node)
    pod.run('ip', 'route', 'add', 'default', 'via', at.gateway)
    node.run('ip', 'route', 'add', at.outside, 'dev', 'pod')
    // Where packets go that are not translated, and are lost: the client forwards nothing.
    node.run('ip', 'route', 'add', 'default', 'via', at.client)
  }
}

function serve(
  pod: KernelNamespace,
  servers: readonly Place[],
  signal: AbortSignal,
): { readonly ready: Promise<void>; readonly ended: Promise<never> } {
  const places = servers.flatMap(({ address, port }) => [address, String(port)])
  let isReady: () => void = () => undefined
  const ready = new Promise<void>((resolve) => (isReady = resolve))
  const ended = runProcess({
    argv: [...pod.prefix, process.execPath, script('udp-echo.mjs'), ...places],
    onOutput: () => isReady(),
    signal,
  }).then((result) => {
    throw new Error(`the pod's server ended: ${result.stderr}`)
  })
  ended.catch(() => undefined)
  return { ready, ended }
}
