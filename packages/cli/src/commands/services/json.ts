import {
  type Diagnostic,
  ENDPOINT_REASONS,
  type EndpointVerdict,
  SKIP_REASONS,
  type SkippedPort,
} from '@pointsman/core'
import type { EndpointRow, ServiceRow } from './answer.js'

/** An item of a ServiceList as `docs/json.md` has it: what is empty, zero or unknown is left out. */
export function serviceItem({ port, serviceType, endpoints, ready, used, onNode }: ServiceRow): object {
  return {
    namespace: port.namespace,
    name: port.name,
    ...(port.portName !== '' && { portName: port.portName }),
    type: serviceType,
    protocol: port.protocol,
    family: port.family,
    clusterIP: port.clusterIP,
    port: port.port,
    ...(port.nodePort !== 0 && { nodePort: port.nodePort }),
    ...(port.healthCheckNodePort !== 0 && { healthCheckNodePort: port.healthCheckNodePort }),
    ...list('externalIPs', port.externalIPs),
    ...list('loadBalancerVIPs', port.loadBalancerVIPs),
    ...list('loadBalancerProxyIPs', port.loadBalancerProxyIPs),
    ...list('loadBalancerSourceRanges', port.loadBalancerSourceRanges),
    externalTrafficPolicy: port.externalTrafficPolicy,
    internalTrafficPolicy: port.internalTrafficPolicy,
    ...(port.affinitySeconds > 0 && { affinitySeconds: port.affinitySeconds }),
    readyEndpoints: ready,
    totalEndpoints: endpoints.length,
    usedEndpoints: used,
    ...(onNode !== undefined && { endpointsOnNode: onNode }),
    endpoints: endpoints.map(endpointItem),
  }
}

function endpointItem({ endpoint, cluster, local, isOnNode }: EndpointRow): object {
  return {
    address: endpoint.address,
    port: endpoint.port,
    ...(endpoint.pod !== undefined && { pod: endpoint.pod }),
    ...(endpoint.nodeName !== undefined && { nodeName: endpoint.nodeName }),
    ...(endpoint.zone !== undefined && { zone: endpoint.zone }),
    ready: endpoint.ready,
    serving: endpoint.serving,
    terminating: endpoint.terminating,
    ...(isOnNode !== undefined && { onNode: isOnNode }),
    ...(cluster && { clusterTraffic: verdictItem(cluster) }),
    ...(local && { localTraffic: verdictItem(local) }),
  }
}

const verdictItem = ({ used, reason }: EndpointVerdict): object => ({ used, reason, message: ENDPOINT_REASONS[reason] })

export const skippedItem = ({ service, portName, family, reason }: SkippedPort): object => ({
  service,
  ...(portName !== undefined && portName !== '' && { portName }),
  ...(family !== undefined && { family }),
  reason,
  message: SKIP_REASONS[reason],
})

export const diagnosticItem = ({ code, object, path, value, message }: Diagnostic): object => ({
  code,
  object,
  path,
  ...(value !== undefined && value !== null && { value }),
  message,
})

const list = (name: string, values: readonly string[]): object => (values.length === 0 ? {} : { [name]: values })
