import { createMockBackend, type Packet, type Route } from '@pointsman/backend-mock'
import { createIptablesBackend, prepareNode } from '@pointsman/backend-iptables'
import { buildState, DEFAULT_PROXY_CONFIG, seq, type IpFamily, type ProxyConfig } from '@pointsman/core'
import { createIptables, runProcess, type Iptables, type Variant } from 'node-iptables'
import { objectsOf, type ServiceDescription } from './cluster.js'
import { fateByMeaning, fateSeen } from './fate.js'
import type { Outcome } from './host.js'
import { addressOf, CLUSTER_CIDRS, FAMILIES } from './names.js'
import { INTERFACES, type Network } from './network.js'
import { readPacket, type NamedPacket, type PacketInFamily } from './packet.js'

/** The node under test in its network, and what its Services mean. */
export interface World {
  readonly variant: Variant
  readonly network: Network
  /** iptables on the node, for each family. */
  readonly iptables: readonly Iptables[]
  /**
   * Puts the rules of these Services on the node in place of what was there, both families, and what they mean into the
   * mock. The node forgets its connections.
   */
  readonly apply: (scenario: Scenario) => Promise<void>
  /** Sends a packet as often as it takes to see every endpoint that it may reach. */
  readonly fatesOf: (packet: PacketInFamily) => Promise<FatesOfPacket>
  readonly send: (packet: string, options: SendOptions) => Promise<readonly Outcome[]>
  /** What the meaning of the Services says of a packet. */
  readonly routeOf: (packet: PacketInFamily) => Route
}

export interface SendOptions {
  readonly family: IpFamily
  /** At once. Default: 1. */
  readonly times?: number
  /** A source address in place of the sender's own. */
  readonly from?: string
  /** How long the sender waits. Default: long enough for an answer. */
  readonly patienceMs?: number
}

export interface Scenario {
  readonly services: readonly ServiceDescription[]
  /** Over: local traffic is told by the cluster's CIDRs, and the defaults. */
  readonly config?: Partial<ProxyConfig>
}

/** In the words of fate.ts: what became of a packet, and what the meaning of the Services says. */
export interface FatesOfPacket {
  readonly seen: string
  readonly meant: string
}

export async function createWorld(network: Network, variant: Variant): Promise<World> {
  const iptables = await Promise.all(
    FAMILIES.map((family) => createIptables({ family, variant, prefix: network.onNode })),
  )
  let meaning = (_: Packet): Route => {
    throw new Error('nothing is applied yet')
  }

  async function apply({ services, config: changes = {} }: Scenario): Promise<void> {
    const config: ProxyConfig = {
      ...DEFAULT_PROXY_CONFIG,
      detectLocal: { mode: 'ClusterCIDR', cidrs: CLUSTER_CIDRS },
      ...changes,
    }
    const { state, skipped, diagnostics } = buildState({ objects: objectsOf(services), nodeName: 'node-a' })
    const { node } = state
    const prepared = await prepareNode({
      run: runProcess,
      prefix: network.onNode,
      config,
      families: FAMILIES,
      node,
    })
    // A slip in a scenario, or a machine that cannot do what is asked.
    const complaints = [...skipped, ...diagnostics, ...prepared.warnings]
    if (complaints.length > 0) throw new Error(JSON.stringify(complaints))
    const mock = createMockBackend({ config })
    for (const backend of [createIptablesBackend({ config, iptables, ...prepared }), mock]) {
      const request = { state, changed: 'all', fromSeq: seq(1), toSeq: seq(1) } as const
      await backend.sync(request, new AbortController().signal)
    }
    meaning = (packet) => mock.route(packet)
    network.run('node', 'conntrack', '-F')
  }

  const sendMany = (packet: PacketInFamily, { times, timeoutMs, from }: Sending): Promise<readonly Outcome[]> => {
    const { family, protocol, port } = packet
    // The node chooses its address by where it sends to.
    const own = packet.from === 'node' ? undefined : addressOf(packet.from, family)
    const sent = { protocol, from: from ?? own, to: addressOf(packet.to, family), port, timeoutMs }
    return network.send(packet.from, sent, times)
  }
  const routeOf = (packet: PacketInFamily): Route => meaning(asRouted(packet))

  return {
    variant,
    network,
    iptables,
    apply,
    routeOf,
    fatesOf: async (packet) => {
      const route = routeOf(packet)
      const outcomes = await sendMany(packet, sendingFor(route, packet))
      return { seen: fateSeen(outcomes, packet), meant: fateByMeaning(route, packet) }
    },
    send: (text, { family, times = 1, from, patienceMs = PATIENCE_MS.forAnswer }) =>
      sendMany({ ...readPacket(text), family }, { times, timeoutMs: patienceMs, from }),
  }
}

interface Sending {
  readonly times: number
  readonly timeoutMs: number
  readonly from?: string | undefined
}

/** Often enough that an endpoint that may be reached is not missed once in a hundred million runs. */
function sendingFor({ verdict, endpoints: { length } }: Route, { protocol }: NamedPacket): Sending {
  if (verdict === 'dropped') {
    return { times: 2, timeoutMs: protocol === 'tcp' ? PATIENCE_MS.forRefusalOfTcp : PATIENCE_MS.forRefusal }
  }
  const times = length > 1 ? Math.ceil(Math.log(length * 1e8) / -Math.log(1 - 1 / length)) : 5
  return { times, timeoutMs: PATIENCE_MS.forAnswer }
}

/**
 * How long a sender waits. An answer that is expected may be slow on a busy machine. Where there is to be none, a refusal
 * is waited for: on these links it can come before connect(2) has returned and takes notice, which TCP then does when it
 * tries again, after a second.
 */
const PATIENCE_MS = { forAnswer: 5_000, forRefusal: 500, forRefusalOfTcp: 1_300 } as const

const asRouted = ({ protocol, from, to, port, family }: PacketInFamily): Packet => ({
  from: from === 'node' ? 'node' : addressOf(from, family),
  to: addressOf(to, family),
  port,
  protocol,
  ...(from in INTERFACES && { interface: INTERFACES[from as keyof typeof INTERFACES] }),
})
