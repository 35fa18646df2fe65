import type { Diagnostic } from '../model/diagnostic.js'
import type { Endpoint } from '../model/endpoint.js'
import { isEqual } from '../model/json-value.js'
import type { KubernetesObject } from '../model/kubernetes-object.js'
import type { ServiceName, ServicePortName } from '../model/names.js'
import { nodeInfoOf, type NodeInfo } from '../model/node.js'
import { NO_SEQ, type Seq } from '../model/record.js'
import type { ServicePort, SkippedPort } from '../model/service-port.js'
import { serviceCidrsOf, unionOfCidrs } from '../model/service-cidr.js'
import { servicePortsOf } from '../model/service-ports.js'
import { endpointsOfSlice, gatherEndpoints, type SliceEndpoints } from '../model/slice-endpoints.js'
import type { WatchEvent } from '../model/watch-event.js'
import {
  changedEndpoints,
  createEndpointChangeTracker,
  createObjectReader,
  createServiceChangeTracker,
  filterServicePorts,
  mergeEndpoints,
  mergeServicePorts,
  unmergeEndpoints,
  unmergeServicePorts,
  type ReaderOptions,
  type ServiceChange,
} from './service-changes.js'
import { nodeOfInterest, type State } from './state.js'

/** What an application of pending changes did to the state. */
export interface Applied {
  /** Service ports that differ from before, gone ones included. */
  readonly changed: ReadonlySet<ServicePortName>
  /** The Node that the rules are for differs in something that rules are made from. */
  readonly nodeChanged: boolean
  /** The CIDRs of the ServiceCIDRs are others than before. */
  readonly serviceCidrsChanged: boolean
  /**
   * What reading found, by kind, namespace and name (`Service shop/web`): of each object that was read and holds what cannot
   * be read; empty where it did so when it was read before, and does so no more or is gone.
   */
  readonly diagnostics: ReadonlyMap<string, readonly Diagnostic[]>
}

/** State as a fold over watch events, in two steps: events are tracked as they come, and applied together. */
export interface StateFold {
  /** The state after the last `apply`. Its maps are changed by the next one. */
  readonly state: State
  /** The last event tracked; `state.seq` follows with `apply`. */
  readonly trackedSeq: Seq
  /**
   * A digest of the objects that `state` is made from: of two folds that have the same, so are the states. Undefined where it does not tell: an object
   * has no version, or could not be read.
   */
  readonly objects: string | undefined
  track(seq: Seq, event: WatchEvent): void
  apply(): Applied
}

interface StateFoldOptions extends ReaderOptions {
  /** The node that the rules are for; absent: the only one. */
  readonly nodeName?: string
}

export function createStateFold(options: StateFoldOptions = {}): StateFold {
  const { nodeName } = options
  const services = new Map<ServicePortName, ServicePort>()
  const endpoints = new Map<ServicePortName, readonly Endpoint[]>()
  const nodes = new Map<string, NodeInfo>()
  const { onUnusable } = options
  const reader = createObjectReader({
    onUnusable:
      onUnusable &&
      ((object, error) => {
        // Its last version counts on, which another fold may not have.
        versions.doubt()
        onUnusable(object, error)
      }),
  })
  const serviceChanges = createServiceChangeTracker(reader)
  const endpointChanges = createEndpointChangeTracker(reader)
  const nodeChanges = new Map<string, KubernetesObject | undefined>()
  const serviceCidrs = new Map<string, readonly string[]>()
  const serviceCidrChanges = new Map<string, KubernetesObject | undefined>()
  const versions = createVersionSum()
  let objects: string | undefined = versions.digest()
  let trackedSeq = NO_SEQ
  let state: State = { seq: NO_SEQ, nodes, services, endpoints, serviceCidrs: [] }

  const trackObject = (object: KubernetesObject, deleted: boolean): void => {
    if (!versions.note(object, deleted)) return
    switch (object.kind) {
      case 'Service':
        return serviceChanges.update(object, deleted)
      case 'EndpointSlice':
        return endpointChanges.update(object, deleted)
      case 'Node':
        nodeChanges.set(object.metadata.name, deleted ? undefined : object)
        return
      case 'ServiceCIDR':
        serviceCidrChanges.set(object.metadata.name, deleted ? undefined : object)
    }
  }

  return {
    get state() {
      return state
    },
    get trackedSeq() {
      return trackedSeq
    },
    get objects() {
      return objects
    },
    track(seq, event) {
      trackedSeq = seq
      if (event.type !== 'BOOKMARK') trackObject(event.object, event.type === 'DELETED')
    },
    apply() {
      const changed = new Set<ServicePortName>()
      for (const change of serviceChanges.take()) {
        mergeServicePorts(services, change.current)
        const gone = filterServicePorts(change)
        unmergeServicePorts(services, gone)
        for (const { id } of gone) changed.add(id)
        for (const { id } of differing(change)) changed.add(id)
      }
      for (const change of endpointChanges.take()) {
        unmergeEndpoints(endpoints, change.previous)
        mergeEndpoints(endpoints, change.current)
        for (const id of changedEndpoints(change)) changed.add(id)
      }

      for (const [name, node] of nodeChanges) {
        if (node === undefined) {
          nodes.delete(name)
          reader.forget('Node', `/${name}`)
          continue
        }
        const read = reader.read(node, nodeInfoOf)
        if (read !== undefined) nodes.set(name, read.node)
      }
      nodeChanges.clear()
      for (const [name, object] of serviceCidrChanges) {
        if (object === undefined) {
          serviceCidrs.delete(name)
          reader.forget('ServiceCIDR', `/${name}`)
          continue
        }
        const read = reader.read(object, serviceCidrsOf)
        if (read !== undefined) serviceCidrs.set(name, read.cidrs)
      }
      const union = serviceCidrChanges.size === 0 ? state.serviceCidrs : unionOfCidrs(serviceCidrs.values())
      serviceCidrChanges.clear()
      const serviceCidrsChanged = !isEqual(state.serviceCidrs, union)
      const node = nodeOfInterest(nodes, nodeName)
      const nodeChanged = !isEqual(rulesView(state.node), rulesView(node))
      objects = versions.digest()
      state = { seq: trackedSeq, nodes, services, endpoints, serviceCidrs: union, ...(node && { node }) }
      return { changed, nodeChanged, serviceCidrsChanged, diagnostics: reader.take() }
    },
  }
}

/** Which objects there are, in which versions, as a sum that a change of one costs little. */
interface VersionSum {
  /** False: refused, as it is the deletion of an object whose name another one, of another uid, has taken since. */
  note(object: KubernetesObject, deleted: boolean): boolean
  /** From now on there is no digest. */
  doubt(): void
  digest(): string | undefined
}

function createVersionSum(): VersionSum {
  /** By kind, namespace and name. */
  const living = new Map<string, Version>()
  let [one, other] = [0, 0]
  let isDoubtful = false
  const add = (key: string, { uid, resourceVersion }: Version, sign: 1 | -1): void => {
    const text = `${key} ${uid} ${resourceVersion}`
    one = (one + sign * hashOf(text, 0x01000193)) >>> 0
    other = (other + sign * hashOf(text, 0x85ebca6b)) >>> 0
  }
  return {
    note({ kind, metadata: { namespace = '', name, uid, resourceVersion } }, deleted) {
      const key = `${kind} ${namespace}/${name}`
      const before = living.get(key)
      if (deleted && typeof uid === 'string' && before !== undefined && before.uid !== uid) return false
      if (before !== undefined) add(key, before, -1)
      if (deleted) {
        living.delete(key)
        return true
      }
      if (typeof uid !== 'string' || typeof resourceVersion !== 'string') isDoubtful = true
      const version =
        typeof uid === 'string'
          ? { uid, resourceVersion: typeof resourceVersion === 'string' ? resourceVersion : '' }
          : before
      if (version === undefined) return true
      living.set(key, version)
      add(key, version, 1)
      return true
    },
    doubt: () => void (isDoubtful = true),
    digest: () => (isDoubtful ? undefined : `${living.size}-${one.toString(16)}-${other.toString(16)}`),
  }
}

interface Version {
  readonly uid: string
  readonly resourceVersion: string
}

/** As FNV-1a, with a factor of one's own: texts of two sums that are the same are the same, unless somebody makes them so on purpose. */
function hashOf(text: string, factor: number): number {
  let hash = 0x811c9dc5
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), factor)
  return hash >>> 0
}

/** Each port that is new or not what it was; a removed one is the caller's matter. */
function differing({ previous, current }: ServiceChange): readonly ServicePort[] {
  const former = new Map(previous.map((port) => [port.id, port]))
  return current.filter((port) => {
    const before = former.get(port.id)
    return before === undefined || !isEqual(before, port)
  })
}

/** What rules are made from; taints and a coming deletion only decide whether the node takes load-balancer traffic. */
const rulesView = (node: NodeInfo | undefined): unknown =>
  node && { name: node.name, addresses: node.addresses, podCIDRs: node.podCIDRs, zone: node.zone }

export interface BuiltState {
  readonly state: State
  /** Services, and ports of them, that get no rules, with the reason. */
  readonly skipped: readonly SkippedPort[]
  /** What was left out of the objects, or read otherwise than written. */
  readonly diagnostics: readonly Diagnostic[]
}

/** The state that objects make, in whatever order they come. Of two objects with one kind and name the later counts. */
export function buildState({
  objects,
  seq = NO_SEQ,
  nodeName,
}: {
  readonly objects: Iterable<KubernetesObject>
  readonly seq?: Seq
  readonly nodeName?: string | undefined
}): BuiltState {
  const services = new Map<ServicePortName, ServicePort>()
  const nodes = new Map<string, NodeInfo>()
  const slices = new Map<ServiceName, SliceEndpoints[]>()
  const serviceCidrs: (readonly string[])[] = []
  const skipped: SkippedPort[] = []
  const diagnostics: Diagnostic[] = []

  for (const object of latestByName(objects)) {
    switch (object.kind) {
      case 'Service': {
        const result = servicePortsOf(object)
        for (const port of result.ports) services.set(port.id, port)
        for (const port of result.skipped) skipped.push(port)
        for (const diagnostic of result.diagnostics) diagnostics.push(diagnostic)
        break
      }
      case 'EndpointSlice': {
        const { service, ...slice } = endpointsOfSlice(object)
        if (service !== undefined) slices.set(service, [...(slices.get(service) ?? []), { ...slice, service }])
        for (const diagnostic of slice.diagnostics) diagnostics.push(diagnostic)
        break
      }
      case 'Node': {
        const result = nodeInfoOf(object)
        nodes.set(result.node.name, result.node)
        for (const diagnostic of result.diagnostics) diagnostics.push(diagnostic)
        break
      }
      case 'ServiceCIDR': {
        const result = serviceCidrsOf(object)
        serviceCidrs.push(result.cidrs)
        for (const diagnostic of result.diagnostics) diagnostics.push(diagnostic)
      }
    }
  }

  const endpoints = new Map<ServicePortName, readonly Endpoint[]>()
  for (const slicesOfService of slices.values()) {
    for (const [id, list] of gatherEndpoints(slicesOfService)) endpoints.set(id, list)
  }
  const node = nodeOfInterest(nodes, nodeName)
  const state = { seq, nodes, services, endpoints, serviceCidrs: unionOfCidrs(serviceCidrs), ...(node && { node }) }
  return { state, skipped, diagnostics }
}

function latestByName(objects: Iterable<KubernetesObject>): Iterable<KubernetesObject> {
  const latest = new Map<string, KubernetesObject>()
  for (const object of objects) {
    latest.set(`${object.kind} ${object.metadata.namespace ?? ''}/${object.metadata.name}`, object)
  }
  return latest.values()
}
