import { createMockBackend, type MockBackend, type Packet, type Route } from '@pointsman/backend-mock'
import { createIptablesBackend, prepareNode } from '@pointsman/backend-iptables'
import { createNftablesBackend, openNft } from '@pointsman/backend-nftables'
import {
  buildState,
  DEFAULT_PROXY_CONFIG,
  isEqual,
  seq,
  type Backend,
  type IpFamily,
  type ProxyConfig,
  type State,
} from '@pointsman/core'
import { changedBetween } from '@pointsman/core/testing'
import { createIptables, runProcess, type Iptables, type Run, type Variant } from 'node-iptables'
import { objectsOf, type ServiceDescription } from './cluster.js'
import { fateByMeaning, fateSeen } from './fate.js'
import type { Outcome } from './host.js'
import { addressOf, CLUSTER_CIDRS, FAMILIES } from './names.js'
import type { Network } from './network.js'
import { INTERFACES } from './topology.js'
import { readPacket, type NamedPacket, type PacketInFamily } from './packet.js'

/** A variant of iptables, or kube-proxy's mode nftables. */
export type RulesOf = Variant | 'nftables'

/** The node under test in its network, and what its Services mean. */
export interface World {
  readonly variant: RulesOf
  readonly network: Network
  /** iptables on the node, for each family; none in mode nftables. */
  readonly iptables: readonly Iptables[]
  /**
   * Puts the rules of these Services on the node in place of what was there, both families, and what they mean into the
   * mock. One backend does it for as long as the configuration stays, and is told what changes.
   */
  readonly sync: (scenario: Scenario) => Promise<void>
  /** A sync, after which the node forgets its connections. */
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

export async function createWorld(network: Network, variant: RulesOf): Promise<World> {
  const iptables =
    variant === 'nftables'
      ? []
      : await Promise.all(FAMILIES.map((family) => createIptables({ family, variant, prefix: network.onNode })))
  const onNode: Run = (request) => runProcess({ ...request, argv: [...network.onNode, ...request.argv] })
  let last: Synced | undefined

  async function backendsFor(config: ProxyConfig, state: State): Promise<Synced> {
    if (last !== undefined && isEqual(last.config, config)) return last
    if (variant === 'nftables') {
      const nft = await openNft({ run: onNode })
      const backend = createNftablesBackend({ config, nft, families: FAMILIES })
      return { config, backend, mock: createMockBackend({ config }), state: undefined }
    }
    const prepared = await prepareNode({
      run: runProcess,
      prefix: network.onNode,
      config,
      families: FAMILIES,
      node: state.node,
    })
    if (prepared.warnings.length > 0) throw new Error(prepared.warnings.join('; '))
    const backend = createIptablesBackend({ config, iptables, ...prepared })
    return { config, backend, mock: createMockBackend({ config }), state: undefined }
  }

  async function sync({ services, config: changes = {} }: Scenario): Promise<void> {
    const config: ProxyConfig = {
      ...DEFAULT_PROXY_CONFIG,
      detectLocal: { mode: 'ClusterCIDR', cidrs: CLUSTER_CIDRS },
      ...changes,
      ...(variant === 'nftables' && MODE_NFTABLES),
    }
    const state = stateOf(services)
    const { backend, mock, state: before } = await backendsFor(config, state)
    const changed = before === undefined ? 'all' : changedBetween(before, state)
    for (const each of [backend, mock]) {
      await each.sync({ state, changed, fromSeq: seq(1), toSeq: state.seq }, new AbortController().signal)
    }
    last = { config, backend, mock, state }
  }

  const sendMany = (packet: PacketInFamily, { times, timeoutMs, from }: Sending): Promise<readonly Outcome[]> => {
    const { family, protocol, port } = packet
    // The node chooses its address by where it sends to.
    const own = packet.from === 'node' ? undefined : addressOf(packet.from, family)
    const sent = { protocol, from: from ?? own, to: addressOf(packet.to, family), port, timeoutMs }
    return network.send(packet.from, sent, times)
  }
  const routeOf = (packet: PacketInFamily): Route => {
    if (last === undefined) throw new Error('nothing is applied yet')
    return last.mock.route(asRouted(packet))
  }

  return {
    variant,
    network,
    iptables,
    sync,
    apply: async (scenario) => {
      await sync(scenario)
      network.run('node', 'conntrack', '-F')
    },
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

const MODE_NFTABLES = { mode: 'nftables', layout: 'kube-proxy' } as const

/** What is in force, and what put it there. */
interface Synced {
  readonly config: ProxyConfig
  readonly backend: Backend
  readonly mock: MockBackend
  readonly state: State | undefined
}

/** Throws for Services that are not served, or not as they are written: a slip in a scenario. */
function stateOf(services: readonly ServiceDescription[]): State {
  const { state, skipped, diagnostics } = buildState({
    objects: objectsOf(services),
    seq: seq(++count),
    nodeName: 'node-a',
  })
  if (skipped.length + diagnostics.length > 0) throw new Error(JSON.stringify([...skipped, ...diagnostics]))
  return state
}

let count = 0

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
