import {
  type BackendContents,
  type Endpoint,
  endpointKey,
  type InForce,
  isEqual,
  type NodeInfo,
  packetSemanticsOf,
  type ProxyConfig,
  selectEndpoints,
  type ServicePort,
  type ServicePortName,
} from '@pointsman/core'
import { createHash } from 'node:crypto'

/** What the mock has in force: its own copy, with its digest and its number of rules kept up to date at what changes cost. */
export interface Contents {
  readonly inForce: InForce
  readonly rules: number
  readonly digest: string
  /** Names of service ports in force. */
  names(): Iterable<ServicePortName>
  setNode(node: NodeInfo | undefined): number
  setServiceCidrs(cidrs: readonly string[]): number
  /** Puts a service port in force, or takes it out where `port` is undefined. Answers the bytes that this took: 0 for no change. */
  set(name: ServicePortName, port: ServicePort | undefined, endpoints: readonly Endpoint[]): number
}

export function createContents(config: ProxyConfig): Contents {
  const services = new Map<ServicePortName, ServicePort>()
  const endpointsOf = new Map<ServicePortName, readonly Endpoint[]>()
  const prints = new Map<ServicePortName, Print>()
  let node: NodeInfo | undefined
  let serviceCidrs: readonly string[] = []
  let sum = 0n
  let rules = 0

  const inForce: InForce = {
    get node() {
      return node
    },
    services,
    endpoints: endpointsOf,
    get serviceCidrs() {
      return serviceCidrs
    },
  }

  function remove(name: ServicePortName): void {
    const print = prints.get(name)
    if (print === undefined) return
    services.delete(name)
    endpointsOf.delete(name)
    prints.delete(name)
    sum = modulo(sum - print.hash)
    rules -= print.rules
  }

  function recount(): void {
    rules = 0
    for (const [name, print] of prints) {
      const port = services.get(name)
      const count = port === undefined ? 0 : countRules(port, endpointsOf.get(name) ?? [], node)
      prints.set(name, { ...print, rules: count })
      rules += count
    }
  }

  return {
    inForce,
    get rules() {
      return rules
    },
    get digest() {
      return digestOf({ config, node, serviceCidrs, sum })
    },
    names: () => prints.keys(),
    setNode(next) {
      if (isEqual(node, next)) return 0
      node = next === undefined ? undefined : copyOf(next)
      // Which endpoints may be used depends on the node's name and zone.
      recount()
      return Buffer.byteLength(canonicalJson(next ?? null))
    },
    setServiceCidrs(next) {
      // In modes that do not use them, nothing that is in force differs.
      if (!usesServiceCidrs(config) || isEqual(serviceCidrs, next)) return 0
      serviceCidrs = [...next]
      return Buffer.byteLength(canonicalJson(next))
    },
    set(name, port, endpoints) {
      const before = prints.get(name)
      if (port === undefined || !config.families.includes(port.family)) {
        remove(name)
        return before === undefined ? 0 : Buffer.byteLength(name)
      }
      const text = textOf(port, endpoints)
      const hash = hashOf(text)
      if (before?.hash === hash) return 0
      remove(name)
      const copy = JSON.parse(text) as PortText
      services.set(name, copy.port)
      if (copy.endpoints.length > 0) endpointsOf.set(name, copy.endpoints)
      const count = countRules(copy.port, copy.endpoints, node)
      prints.set(name, { hash, rules: count })
      sum = modulo(sum + hash)
      rules += count
      return Buffer.byteLength(text)
    },
  }
}

/** Counts and digests what is in force from nothing: what `createContents` keeps up to date has to agree with it. */
export function readContents(
  { node, services, endpoints, serviceCidrs }: InForce,
  config: ProxyConfig,
): BackendContents {
  let sum = 0n
  let rules = 0
  for (const [name, port] of services) {
    const ofPort = endpoints.get(name) ?? []
    sum = modulo(sum + hashOf(textOf(port, ofPort)))
    rules += countRules(port, ofPort, node)
  }
  return { rules, digest: digestOf({ config, node, serviceCidrs: serviceCidrs ?? [], sum }) }
}

export const usesServiceCidrs = ({ mode }: ProxyConfig): boolean => packetSemanticsOf(mode).dropsUnallocated

interface Print {
  readonly hash: bigint
  readonly rules: number
}

interface PortText {
  readonly port: ServicePort
  readonly endpoints: readonly Endpoint[]
}

const copyOf = (node: NodeInfo): NodeInfo => JSON.parse(canonicalJson(node)) as NodeInfo

function textOf(port: ServicePort, endpoints: readonly Endpoint[]): string {
  const sorted = endpoints.toSorted((a, b) => (endpointKey(a) < endpointKey(b) ? -1 : 1))
  return canonicalJson({ port, endpoints: sorted } satisfies PortText)
}

/** A mock's rule: one endpoint that one front leads to. */
function countRules(port: ServicePort, endpoints: readonly Endpoint[], node: NodeInfo | undefined): number {
  const { cluster, local } = selectEndpoints({ port, endpoints, node })
  const externalFronts = port.externalIPs.length + port.loadBalancerVIPs.length + (port.nodePort === 0 ? 0 : 1)
  const internal = port.internalTrafficPolicy === 'Local' ? local : cluster
  const external = port.externalTrafficPolicy === 'Local' ? local : cluster
  return internal.length + externalFronts * external.length
}

// A sum does not depend on the order of what is added, and takes one addition to update.
const MODULUS = 1n << 256n
const modulo = (value: bigint): bigint => ((value % MODULUS) + MODULUS) % MODULUS
const hashOf = (text: string): bigint => BigInt(`0x${createHash('sha256').update(text).digest('hex')}`)

function digestOf(parts: {
  readonly config: ProxyConfig
  readonly node: NodeInfo | undefined
  readonly serviceCidrs: readonly string[]
  readonly sum: bigint
}): string {
  const { config, node, serviceCidrs, sum } = parts
  // When syncs run decides about no packet.
  const { minSyncPeriodMs: _min, syncPeriodMs: _max, mode, ...others } = config
  // Packets of iptables and mock are answered alike: logs of both have equal digests.
  const answering =
    packetSemanticsOf(mode) === packetSemanticsOf('iptables') ? others : { ...others, mode, serviceCidrs }
  return createHash('sha256')
    .update(canonicalJson({ config: answering, node: node ?? null, sum: sum.toString(16) }))
    .digest('hex')
}

/** JSON with the keys of every object sorted: equal plain data, equal text. Undefined fields are left out. */
const canonicalJson = (value: unknown): string => JSON.stringify(value, sortedKeys)

function sortedKeys(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
}
