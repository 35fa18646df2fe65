import { execFileSync } from 'node:child_process'
import {
  startHost,
  type DialedTarget,
  type DialingPace,
  type DialTally,
  type Host,
  type Outcome,
  type SentPacket,
} from './host.js'
import { answerSctp, sendSctp } from './sctp.js'
import type { Name } from './names.js'
import { SOCKETS } from './sockets.js'
import {
  CONFIGURATION,
  EVERY_ADDRESS,
  HOSTS,
  LINKS,
  NEIGHBOURS,
  NODE,
  SENDERS,
  SETTINGS,
  type HostName,
} from './topology.js'

/** The namespaces of topology.ts, with a process in each that answers on the sockets of sockets.ts, and sends. */
export interface Network {
  /** Words before a command that runs on the node. */
  readonly onNode: readonly string[]
  /** Runs a command in a namespace and gives its output. Throws when it fails. */
  readonly run: (host: HostName, ...argv: readonly string[]) => string
  /** Sends so many first packets of connections for a name, and tells what became of each. */
  readonly send: (name: Name, packet: SentPacket, times: number) => Promise<readonly Outcome[]>
  /** Starts to dial from a host, and gives what ends it and tells what became of the dials. */
  readonly dial: (
    host: HostName,
    targets: readonly DialedTarget[],
    pace: DialingPace,
  ) => Promise<() => Promise<readonly DialTally[]>>
  /** What holds connections open from a host. */
  readonly caller: (host: HostName) => Pick<Host, 'hold' | 'speak' | 'letGo'>
  /** Lets the pods answer SCTP from now on, and gives what ends that. */
  readonly answerSctp: () => Promise<() => Promise<void>>
  readonly close: () => Promise<void>
}

let count = 0

export async function createNetwork(): Promise<Network> {
  const name = `packets-${process.pid}-${++count}`
  const namespaceOf = (host: HostName): string => `${name}-${host}`
  const hosts = new Map<HostName, Host>()
  const close = async (): Promise<void> => {
    await Promise.all([...hosts.values()].map((host) => host.close()))
    for (const host of HOSTS) ip('netns', 'del', namespaceOf(host))
  }
  const queues = new Map<string, Promise<unknown>>()
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
      if (packet.protocol !== 'sctp') return hostCalled(host).send({ ...packet, protocol: packet.protocol }, times)
      // A raw socket is told of refusals whatever their port: one after the other, or it would hear of another's.
      const queue = `${host} ${packet.to.includes(':')}`
      const outcomes = (queues.get(queue) ?? Promise.resolve()).then(() => sendSctp(namespaceOf(host), packet, times))
      queues.set(queue, outcomes)
      return outcomes
    },
    dial: async (name, targets, pace) => {
      const host = hostCalled(name)
      await host.dial(targets, pace)
      return () => host.hangUp()
    },
    caller: hostCalled,
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

// What a command has to say goes into the error, if there is one.
const ip = (...argv: readonly string[]): string => execFileSync('ip', argv, { encoding: 'utf8', stdio: 'pipe' })

const inNamespace = (namespace: string, ...argv: readonly string[]): string => ip('netns', 'exec', namespace, ...argv)

const batch = (namespace: string, lines: readonly string[], ...options: readonly string[]): void => {
  execFileSync('ip', [...options, '-n', namespace, '-batch', '-'], {
    input: lines.map((line) => `${line}\n`).join(''),
    stdio: 'pipe',
  })
}
