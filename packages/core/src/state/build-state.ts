import type { Diagnostic } from '../model/diagnostic.js'
import type { Endpoint } from '../model/endpoint.js'
import type { KubernetesObject } from '../model/kubernetes-object.js'
import type { ServiceName, ServicePortName } from '../model/names.js'
import { type NodeInfo, nodeInfoOf } from '../model/node.js'
import { NO_SEQ, type Seq } from '../model/record.js'
import type { ServicePort, SkippedPort } from '../model/service-port.js'
import { servicePortsOf } from '../model/service-ports.js'
import { endpointsOfSlice, gatherEndpoints, type SliceEndpoints } from '../model/slice-endpoints.js'
import { nodeOfInterest, type State } from './state.js'

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
      }
    }
  }

  const endpoints = new Map<ServicePortName, readonly Endpoint[]>()
  for (const slicesOfService of slices.values()) {
    for (const [id, list] of gatherEndpoints(slicesOfService)) endpoints.set(id, list)
  }
  const node = nodeOfInterest(nodes, nodeName)
  return { state: { seq, nodes, services, endpoints, ...(node && { node }) }, skipped, diagnostics }
}

function latestByName(objects: Iterable<KubernetesObject>): Iterable<KubernetesObject> {
  const latest = new Map<string, KubernetesObject>()
  for (const object of objects) {
    latest.set(`${object.kind} ${object.metadata.namespace ?? ''}/${object.metadata.name}`, object)
  }
  return latest.values()
}
