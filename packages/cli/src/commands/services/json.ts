import {
  type Diagnostic,
  ENDPOINT_REASONS,
  type EndpointVerdict,
  SKIP_REASONS,
  type SkippedPort,
} from '@pointsman/core'
import type { EndpointRow, ServiceRow } from './answer.js'
import type { DiagnosticJson, EndpointJson, ServiceJson, SkippedJson, VerdictJson } from './schema.js'

/** An item of a ServiceList as `docs/json.md` has it: what is empty, zero or unknown is left out. */
export function serviceItem({ port, serviceType, endpoints, ready, used, onNode }: ServiceRow): ServiceJson {
  return {
    namespace: port.namespace,
    name: port.name,
    portName: port.portName || undefined,
    type: serviceType,
    protocol: port.protocol,
    family: port.family,
    clusterIP: port.clusterIP,
    port: port.port,
    nodePort: port.nodePort || undefined,
    healthCheckNodePort: port.healthCheckNodePort || undefined,
    externalIPs: unlessEmpty(port.externalIPs),
    loadBalancerVIPs: unlessEmpty(port.loadBalancerVIPs),
    loadBalancerProxyIPs: unlessEmpty(port.loadBalancerProxyIPs),
    loadBalancerSourceRanges: unlessEmpty(port.loadBalancerSourceRanges),
    externalTrafficPolicy: port.externalTrafficPolicy,
    internalTrafficPolicy: port.internalTrafficPolicy,
    affinitySeconds: port.affinitySeconds > 0 ? port.affinitySeconds : undefined,
    readyEndpoints: ready,
    totalEndpoints: endpoints.length,
    usedEndpoints: used,
    endpointsOnNode: onNode,
    endpoints: endpoints.map(endpointItem),
  }
}

function endpointItem({ endpoint, cluster, local, isOnNode }: EndpointRow): EndpointJson {
  return {
    address: endpoint.address,
    port: endpoint.port,
    pod: endpoint.pod,
    nodeName: endpoint.nodeName,
    zone: endpoint.zone,
    ready: endpoint.ready,
    serving: endpoint.serving,
    terminating: endpoint.terminating,
    onNode: isOnNode,
    clusterTraffic: cluster && verdictItem(cluster),
    localTraffic: local && verdictItem(local),
  }
}

const verdictItem = ({ used, reason }: EndpointVerdict): VerdictJson => ({
  used,
  reason,
  message: ENDPOINT_REASONS[reason],
})

export const skippedItem = ({ service, portName, family, reason }: SkippedPort): SkippedJson => ({
  service,
  portName: portName || undefined,
  family,
  reason,
  message: SKIP_REASONS[reason],
})

export const diagnosticItem = ({ code, object, path, value, message }: Diagnostic): DiagnosticJson => ({
  code,
  object,
  path,
  value: value ?? undefined,
  message,
})

const unlessEmpty = (values: readonly string[]): readonly string[] | undefined =>
  values.length === 0 ? undefined : values
