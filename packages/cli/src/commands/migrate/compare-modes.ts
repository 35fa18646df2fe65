import {
  type InForce,
  type PacketSemantics,
  packetSemanticsOf,
  type ProxyConfig,
  type Route,
  route,
  type ServiceName,
} from '@pointsman/core'
import { type PacketClass, packetClasses, type Sender, type Target } from './packet-classes.js'

/** Why packets are treated otherwise. A code is a contract: codes are added, not renamed. */
export const MIGRATION_REASONS = {
  NODE_PORT_ON_LOOPBACK: 'node ports answer on loopback in mode iptables alone (localhostNodePorts)',
  NODE_PORT_ADDRESSES:
    'node ports answer on other addresses: by default on all in mode iptables, on the primary ones in mode nftables (nodePortAddresses)',
  SOURCE_RANGES_FIRST: 'mode iptables checks source ranges only where the Service has endpoints',
  REFUSED_FOR_NODE:
    'mode iptables refuses nothing that the node itself sends to external addresses without endpoints, nor what it takes in at cluster IPs',
  CLOSED_NODE_PORT:
    'mode iptables refuses node ports without endpoints on every address of the node, other modes only where node ports answer',
  HEALTH_CHECK_PORT: 'modes iptables and ipvs accept health-check node ports before anything can refuse them',
  UNUSED_PORT:
    'mode nftables rejects ports of cluster IPs that their Service does not have, mode ipvs those of all addresses of Services',
  UNALLOCATED_ADDRESS: 'mode nftables drops what is sent to addresses within the ServiceCIDRs that no Service has',
  HAIRPIN:
    'what an endpoint sends to itself is masqueraded in mode iptables on every node, in other modes on its own node alone',
  MASQUERADE_ALL:
    'masqueradeAll differs between the configurations: iptables.masqueradeAll and nftables.masqueradeAll are two settings',
  OTHER_SETTING: 'another setting differs between the configurations',
} as const
export type MigrationReason = keyof typeof MIGRATION_REASONS

export type ChangeType = 'verdict' | 'endpoints' | 'source'

/** Packets that are treated otherwise: all of them alike, before and after. */
export interface Difference {
  readonly target: Target
  /** All addresses that it is so of; the target's is the first. */
  readonly addresses: readonly string[]
  readonly senders: readonly Sender[]
  readonly before: Route
  readonly after: Route
  readonly changes: readonly ChangeType[]
  /** Each of them has a part in it: without it, the packet would not be treated so. */
  readonly reasons: readonly MigrationReason[]
}

export interface Comparison {
  readonly differences: readonly Difference[]
  /** Classes of packets that were compared. */
  readonly classes: number
  readonly services: number
  /** Services for which something changes. */
  readonly changed: ReadonlySet<ServiceName>
}

interface ModesQuestion {
  readonly inForce: InForce
  readonly from: ProxyConfig
  readonly to: ProxyConfig
  readonly interfaceAddresses: readonly string[]
}

/** Asks for every class of packets where it goes in both modes, and why where that differs. */
export function compareModes({ inForce, from, to, interfaceAddresses }: ModesQuestion): Comparison {
  const steps = stepsBetween(from, to)
  const byAddress = new Map<string, Difference>()
  let classes = 0
  for (const each of packetClasses({ inForce, config: from, interfaceAddresses })) {
    classes += 1
    const difference = differenceOf(each, steps)
    if (difference === undefined) continue
    addTo(byAddress, `${each.target.address} ${keyOf(difference)}`, difference)
  }
  const found = new Map<string, Difference>()
  for (const each of byAddress.values()) addTo(found, `${each.senders.join()} ${keyOf(each)}`, each)
  const differences = [...found.values()]
  const changed = new Set(differences.flatMap(({ target: { service } }) => service ?? []))
  const services = new Set([...inForce.services.values()].map(({ service }) => service))
  return { differences, classes, services: services.size, changed }
}

/** One thing in which the modes differ, as a change of what packets are asked under. */
interface Step {
  readonly reason: MigrationReason
  readonly take: (settings: Settings) => Settings
}

/** What decides about a packet: the configuration without its mode, and what the mode does. */
interface Settings {
  readonly config: ProxyConfig
  readonly semantics: PacketSemantics
}

interface Steps {
  readonly from: Settings
  readonly steps: readonly Step[]
}

function stepsBetween(from: ProxyConfig, to: ProxyConfig): Steps {
  const before = settingsOf(from)
  const after = settingsOf(to)
  const steps: Step[] = []
  for (const key of Object.keys(SEMANTICS) as (keyof typeof SEMANTICS)[]) {
    const value = { [key]: after.semantics[key] }
    if (before.semantics[key] === after.semantics[key]) continue
    steps.push({
      reason: SEMANTICS[key],
      take: (settings) => ({ ...settings, semantics: { ...settings.semantics, ...value } }),
    })
  }
  for (const key of Object.keys(after.config) as (keyof ProxyConfig)[]) {
    if (JSON.stringify(before.config[key]) === JSON.stringify(after.config[key])) continue
    const value = { [key]: after.config[key] }
    steps.push({
      reason: CONFIG[key] ?? 'OTHER_SETTING',
      take: (settings) => ({ ...settings, config: { ...settings.config, ...value } }),
    })
  }
  // Where two would do alone, the first is taken back and the other is the reason: of loopback, that it is loopback.
  const isAddresses = ({ reason }: Step): number => (reason === 'NODE_PORT_ADDRESSES' ? 0 : 1)
  return { from: before, steps: steps.toSorted((a, b) => isAddresses(a) - isAddresses(b)) }
}

/** The mode is in the semantics alone, and whether there are node ports on loopback in the configuration alone. */
function settingsOf(config: ProxyConfig): Settings {
  const semantics = packetSemanticsOf(config.mode)
  const localhostNodePorts = semantics.loopbackNodePorts && config.localhostNodePorts
  return { config: { ...config, mode: 'iptables', localhostNodePorts }, semantics }
}

const SEMANTICS = {
  sourceRanges: 'SOURCE_RANGES_FIRST',
  refusesOnEveryWay: 'REFUSED_FOR_NODE',
  refusesWhereNodePortsAnswer: 'CLOSED_NODE_PORT',
  healthChecksFirst: 'HEALTH_CHECK_PORT',
  rejectsUnusedPorts: 'UNUSED_PORT',
  dropsUnallocated: 'UNALLOCATED_ADDRESS',
  hairpin: 'HAIRPIN',
} as const satisfies Record<Exclude<keyof PacketSemantics, 'loopbackNodePorts'>, MigrationReason>

const CONFIG: { readonly [key in keyof ProxyConfig]?: MigrationReason } = {
  localhostNodePorts: 'NODE_PORT_ON_LOOPBACK',
  nodePortAddresses: 'NODE_PORT_ADDRESSES',
  masqueradeAll: 'MASQUERADE_ALL',
}

function differenceOf(
  { target, sender, packet, inForce }: PacketClass,
  { from, steps }: Steps,
): Difference | undefined {
  const ask = (taken: readonly Step[]): Route => {
    const { config, semantics } = taken.reduce((settings, { take }) => take(settings), from)
    return route(inForce, config, packet, semantics)
  }
  const before = ask([])
  const after = ask(steps)
  const changes = changesBetween(before, after)
  if (changes.length === 0) return undefined
  // Takes back one step after another, and keeps those without which the outcome would be another.
  let needed = steps
  for (const step of steps) {
    const without = needed.filter((each) => each !== step)
    if (changesBetween(ask(without), after).length === 0) needed = without
  }
  const reasons = [...new Set(needed.map(({ reason }) => reason))]
  return { target, addresses: [target.address], senders: [sender], before, after, changes, reasons }
}

function changesBetween(before: Route, after: Route): readonly ChangeType[] {
  if (before.verdict !== after.verdict) return ['verdict']
  const shares = ({ endpoints }: Route): string =>
    endpoints.map(({ address, port, odds }) => `${address} ${port} ${odds}`).join()
  const sources = ({ endpoints }: Route): string =>
    endpoints.map(({ address, port, masqueraded }) => `${address} ${port} ${masqueraded}`).join()
  if (shares(before) !== shares(after)) return ['endpoints']
  return sources(before) === sources(after) ? [] : ['source']
}

const keyOf = ({ target, before, after, changes, reasons }: Difference): string => {
  const { type, family, protocol, port, of, assumed, service } = target
  // Of a port that a Service does not have, one number stands for all of them.
  const number = type === 'unusedPort' ? '' : port
  const kept = type === 'unallocated' ? target.address : ''
  return JSON.stringify([
    [service, type, family, protocol, number, of, assumed, kept],
    [before, after].map(({ verdict, servicePort, endpoints }) => [verdict, servicePort, endpoints]),
    [changes, reasons],
  ])
}

function addTo(map: Map<string, Difference>, key: string, difference: Difference): void {
  const known = map.get(key)
  map.set(key, known === undefined ? difference : merged(known, difference))
}

const merged = (known: Difference, { addresses, senders }: Difference): Difference => ({
  ...known,
  addresses: [...new Set([...known.addresses, ...addresses])],
  senders: [...new Set([...known.senders, ...senders])],
})
