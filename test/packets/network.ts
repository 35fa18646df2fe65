import { execFileSync } from 'node:child_process'
import { HEALTH_CHECK_NODE_PORT } from './cluster.js'
import { startHost, type Host, type ListeningSocket, type Outcome, type SentPacket } from './host.js'
import { answerSctp, sendSctp } from './sctp.js'
import { addressOf, crowdOf, FAMILIES, FAR_END, GATEWAY, type Name } from './names.js'

/**
 * A node and its surroundings in network namespaces, both families:
 *
 *     client, stranger, crowd ── node ── internet (answers on every address)
 *                                │ │ └── far-c, far-d: pods of another node
 *                           near-a near-b: pods of this node, a routed link each
 *
 * Everybody but the node sends all it has by the node. Pods answer TCP and UDP on 8080 and 9090, the internet and the
 * node itself TCP on ports that services have.
 */
export interface Network {
  /** Words before a command that runs on the node. */
  readonly onNode: readonly string[]
  /** Runs a command in a namespace and gives its output. Throws when it fails. */
  readonly run: (host: HostName, ...argv: readonly string[]) => string
  /** Sends so many first packets of connections for a name, and tells what became of each. */
  readonly send: (name: Name, packet: SentPacket, times: number) => Promise<readonly Outcome[]>
  /** Lets the pods answer SCTP from now on, and gives what ends that. */
  readonly answerSctp: () => Promise<() => Promise<void>>
  readonly close: () => Promise<void>
}

/** The node's end of the link of each of its neighbours. */
export const INTERFACES = {
  client: 'outside',
  stranger: 'outside',
  internet: 'uplink',
  'near-a': 'pod-a',
  'near-b': 'pod-b',
  'far-c': 'far',
  'far-d': 'far',
} as const satisfies { readonly [name in Name]?: string }

/** A TCP port that answers on the node and on the internet, and that no service of a scenario has. */
export const FREE_PORT = 7777

let count = 0

export async function createNetwork(): Promise<Network> {
  const name = `packets-${process.pid}-${++count}`
  const namespaceOf = (host: HostName): string => `${name}-${host}`
  const hosts = new Map<HostName, Host>()
  const close = async (): Promise<void> => {
    await Promise.all([...hosts.values()].map((host) => host.close()))
    for (const host of HOSTS) ip('netns', 'del', namespaceOf(host))
  }
  for (const host of HOSTS) ip('netns', 'add', namespaceOf(host))
  const hostCalled = (host: HostName): Host => {
    const found = hosts.get(host)
    if (found === undefined) throw new Error(`no host ${host}`)
    return found
  }
  try {
    connect(namespaceOf)
    for (const host of HOSTS) hosts.set(host, startHost(host, namespaceOf(host)))
    await Promise.all([...hosts].map(([name, host]) => host.listen(SOCKETS[name])))
  } catch (error) {
    await close()
    throw error
  }
  return {
    onNode: ['ip', 'netns', 'exec', namespaceOf('node')],
    run: (host, ...argv) => inNamespace(namespaceOf(host), ...argv),
    send: (name, packet, times) => {
      const host = SENDERS[name]
      if (host === undefined) throw new Error(`${name} sends nothing`)
      return packet.protocol === 'sctp'
        ? sendSctp(namespaceOf(host), packet, times)
        : hostCalled(host).send({ ...packet, protocol: packet.protocol }, times)
    },
    answerSctp: async () => {
      const pods = ['near-a', 'near-b', 'far'] as const
      const ends = await Promise.all(pods.map((pod) => answerSctp(pod, namespaceOf(pod), SOCKETS[pod])))
      return async () => {
        await Promise.all(ends.map((end) => end()))
      }
    },
    close,
  }
}

function connect(namespaceOf: (host: HostName) => string): void {
  for (const host of HOSTS) inNamespace(namespaceOf(host), 'sh', '-c', SETTINGS.join('\n'))
  const links = LINKS.map(({ at, to }) => `link add ${at} type veth peer name eth0 netns ${namespaceOf(to)}`)
  batch(namespaceOf('node'), [...links, ...NODE])
  for (const host of NEIGHBOURS) batch(namespaceOf(host), CONFIGURATION[host])
  // A batch makes rules of one family alone.
  for (const family of ['-4', '-6']) batch(namespaceOf('internet'), EVERY_ADDRESS, family)
}

const NEIGHBOURS = ['client', 'internet', 'near-a', 'near-b', 'far'] as const
const HOSTS = ['node', ...NEIGHBOURS] as const
export type HostName = (typeof HOSTS)[number]

const SENDERS: { readonly [name in Name]?: HostName } = {
  client: 'client',
  stranger: 'client',
  node: 'node',
  'node-2': 'node',
  localhost: 'node',
  internet: 'internet',
  'near-a': 'near-a',
  'near-b': 'near-b',
  'far-c': 'far',
  'far-d': 'far',
  // Where it has the address.
  vip: 'node',
}

/** Before there are links: what a link has of this is settled when it is made. */
const SETTINGS: readonly string[] = [
  // Addresses are unique by construction: none has to be probed for before it is used.
  'echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad',
  'echo 0 > /proc/sys/net/ipv6/conf/default/accept_ra',
  'echo 1 > /proc/sys/net/ipv4/ip_forward',
  'echo 1 > /proc/sys/net/ipv6/conf/all/forwarding',
  'echo 0 > /proc/sys/net/ipv4/conf/all/rp_filter',
  'echo 0 > /proc/sys/net/ipv4/conf/default/rp_filter',
  // Many refusals at once are what is asked for here: no kind of ICMP error is limited.
  'echo 0 > /proc/sys/net/ipv4/icmp_ratemask',
  'echo 0 > /proc/sys/net/ipv6/icmp/ratemask',
  'ip link set lo up',
]

interface Link {
  readonly at: string
  readonly to: (typeof NEIGHBOURS)[number]
}

const LINKS: readonly Link[] = [
  { at: INTERFACES.client, to: 'client' },
  { at: INTERFACES.internet, to: 'internet' },
  { at: INTERFACES['near-a'], to: 'near-a' },
  { at: INTERFACES['near-b'], to: 'near-b' },
  { at: INTERFACES['far-c'], to: 'far' },
]

/** A link between an address and its neighbour's, with a route for each end. */
const link = (device: string, address: string, other: string): readonly string[] => [
  own(address, device),
  `route add ${other} dev ${device}`,
]

const own = (address: string, device: string): string =>
  address.includes(':') ? `addr add ${address}/128 dev ${device} nodad` : `addr add ${address}/32 dev ${device}`

const NODE: readonly string[] = [
  ...LINKS.map(({ at }) => `link set ${at} up`),
  ...FAMILIES.flatMap((family) => [
    ...link(INTERFACES.client, addressOf('node', family), addressOf('client', family)),
    ...link(INTERFACES.internet, addressOf('node-2', family), addressOf('internet', family)),
    ...[addressOf('stranger', family), ...crowdOf(family)].map(
      (address) => `route add ${address} via ${addressOf('client', family)}`,
    ),
    // What the node sends anywhere else has its first address.
    `route add default via ${addressOf('internet', family)} src ${addressOf('node', family)}`,
    ...(['near-a', 'near-b'] as const).flatMap((pod) => link(INTERFACES[pod], GATEWAY[family], addressOf(pod, family))),
    ...link(INTERFACES['far-c'], FAR_END[family], addressOf('far-c', family)),
    `route add ${addressOf('far-d', family)} via ${addressOf('far-c', family)}`,
  ]),
]

const neighbour = (
  names: readonly Name[],
  gateway: (family: (typeof FAMILIES)[number]) => string,
): readonly string[] => [
  'link set eth0 up',
  ...FAMILIES.flatMap((family) => {
    const [first = '', ...others] = names.map((name) => addressOf(name, family))
    return [
      ...link('eth0', first, gateway(family)),
      ...others.map((other) => own(other, 'eth0')),
      `route add default via ${gateway(family)} src ${first}`,
    ]
  }),
]

const CONFIGURATION: { readonly [host in (typeof NEIGHBOURS)[number]]: readonly string[] } = {
  client: [
    ...neighbour(['client', 'stranger'], (family) => addressOf('node', family)),
    ...FAMILIES.flatMap((family) => crowdOf(family).map((address) => own(address, 'eth0'))),
  ],
  internet: neighbour(['internet'], (family) => addressOf('node-2', family)),
  'near-a': neighbour(['near-a'], (family) => GATEWAY[family]),
  'near-b': neighbour(['near-b'], (family) => GATEWAY[family]),
  far: neighbour(['far-c', 'far-d'], (family) => FAR_END[family]),
}

/** Whatever comes in is for this host; whatever goes out goes by the node. */
const EVERY_ADDRESS: readonly string[] = [
  'route add local default dev lo table local',
  'rule add pref 10 iif lo lookup main',
  'rule add pref 20 lookup local',
  'rule del pref 0',
]

const podSockets = (...pods: readonly Name[]): readonly ListeningSocket[] =>
  pods.flatMap((pod) =>
    FAMILIES.flatMap((family) =>
      [8080, 9090].flatMap((port) =>
        (['tcp', 'udp'] as const).map((protocol) => ({ protocol, address: addressOf(pod, family), port })),
      ),
    ),
  )

const everywhere = (...ports: readonly number[]): readonly ListeningSocket[] =>
  ports.map((port) => ({ protocol: 'tcp', address: '::', port }))

const SOCKETS: { readonly [host in HostName]: readonly ListeningSocket[] } = {
  client: [],
  node: everywhere(80, 30080, 30081, HEALTH_CHECK_NODE_PORT.web, FREE_PORT),
  internet: everywhere(80, 30080, 30081, FREE_PORT),
  'near-a': podSockets('near-a'),
  'near-b': podSockets('near-b'),
  far: podSockets('far-c', 'far-d'),
}

// What a command has to say goes into the error, if there is one.
const ip = (...argv: readonly string[]): string => execFileSync('ip', argv, { encoding: 'utf8', stdio: 'pipe' })

const inNamespace = (namespace: string, ...argv: readonly string[]): string => ip('netns', 'exec', namespace, ...argv)

const batch = (namespace: string, lines: readonly string[], ...options: readonly string[]): void => {
  execFileSync('ip', [...options, '-n', namespace, '-batch', '-'], {
    input: lines.map((line) => `${line}\n`).join(''),
    stdio: 'pipe',
  })
}
