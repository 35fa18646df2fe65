import type { Endpoint } from '../model/endpoint.js'
import type { ServicePortName } from '../model/names.js'
import type { NodeInfo } from '../model/node.js'
import type { Seq } from '../model/record.js'
import type { ServicePort } from '../model/service-port.js'

export type ServiceMap = ReadonlyMap<ServicePortName, ServicePort>
/** Endpoints of a service port, whatever their conditions, sorted by `endpointKey`. A port without any has no entry. */
export type EndpointsMap = ReadonlyMap<ServicePortName, readonly Endpoint[]>

/**
 * What a backend is to bring about: a fold over the log. Endpoints may be there for service ports that are not (a
 * slice whose Service another proxy serves); backends look endpoints up by service port.
 */
export interface State {
  /** The last watch-event record that is in it. */
  readonly seq: Seq
  /** The Node that the rules are for; absent while it has not been seen. */
  readonly node?: NodeInfo
  /** Every Node seen, by name: a recording may hold several. */
  readonly nodes: ReadonlyMap<string, NodeInfo>
  readonly services: ServiceMap
  readonly endpoints: EndpointsMap
}

/** The Node that the rules are for: the named one, else the only one. */
export function nodeOfInterest(
  nodes: ReadonlyMap<string, NodeInfo>,
  nodeName: string | undefined,
): NodeInfo | undefined {
  if (nodeName !== undefined) return nodes.get(nodeName)
  return nodes.size === 1 ? [...nodes.values()][0] : undefined
}
