import { fieldReader, type FieldReader, type Findings, isPortNumber } from './diagnostic.js'
import type { JsonObject } from './kubernetes-object.js'
import type { ServicePort } from './service-port.js'

/** What a Service says about all its ports and families alike. */
export type ServiceTraffic = Pick<
  ServicePort,
  'externalTrafficPolicy' | 'internalTrafficPolicy' | 'affinitySeconds' | 'healthCheckNodePort'
>

/** Three hours: what the API server fills in. */
export const DEFAULT_AFFINITY_SECONDS = 10_800
const LONGEST_AFFINITY_SECONDS = 86_400

/** Reads the traffic policies, the session affinity and the health-check node port of a Service's spec. */
export function serviceTrafficOf(spec: JsonObject, findings: Findings): ServiceTraffic {
  const fields = fieldReader(findings, 'spec')
  const type = choice(spec, { field: 'type', choices: SERVICE_TYPES }, fields, findings)
  const wanted = choice(spec, { field: 'externalTrafficPolicy', choices: POLICIES }, fields, findings)
  const external = takesExternalTraffic(type, spec) ? wanted : 'Cluster'
  return {
    externalTrafficPolicy: external,
    internalTrafficPolicy: choice(spec, { field: 'internalTrafficPolicy', choices: POLICIES }, fields, findings),
    affinitySeconds: affinityOf(spec, fields, findings),
    healthCheckNodePort: type === 'LoadBalancer' && external === 'Local' ? healthCheckPortOf(spec, findings) : 0,
  }
}

/** The API's word for what applies where a field is absent comes first. */
const SERVICE_TYPES = ['ClusterIP', 'NodePort', 'LoadBalancer'] as const
const POLICIES = ['Cluster', 'Local'] as const
const AFFINITIES = ['None', 'ClientIP'] as const

/** A policy for external traffic on a Service that takes none is ignored (ExternallyAccessible of pkg/api/v1/service). */
const takesExternalTraffic = (type: (typeof SERVICE_TYPES)[number], spec: JsonObject): boolean =>
  type !== 'ClusterIP' || (Array.isArray(spec['externalIPs']) && spec['externalIPs'].length > 0)

interface Choice<Value extends string> {
  readonly field: string
  readonly choices: readonly [Value, ...Value[]]
}

function choice<Value extends string>(
  spec: JsonObject,
  { field, choices }: Choice<Value>,
  fields: FieldReader,
  findings: Findings,
): Value {
  const value = fields.text(spec[field], field) ?? ''
  const known = choices.find((candidate) => candidate === value)
  if (known === undefined && value !== '') findings.report('UNKNOWN_VALUE', fields.path(field), value)
  return known ?? choices[0]
}

function affinityOf(spec: JsonObject, fields: FieldReader, findings: Findings): number {
  const affinity = choice(spec, { field: 'sessionAffinity', choices: AFFINITIES }, fields, findings)
  if (affinity === 'None') return 0
  const config = fields.record(spec['sessionAffinityConfig'], 'sessionAffinityConfig')
  const clientIP = fields.record(config?.['clientIP'], 'sessionAffinityConfig.clientIP')
  const seconds = clientIP?.['timeoutSeconds'] ?? DEFAULT_AFFINITY_SECONDS
  if (typeof seconds === 'number' && Number.isInteger(seconds) && seconds >= 1 && seconds <= LONGEST_AFFINITY_SECONDS) {
    return seconds
  }
  findings.report('OUT_OF_RANGE', 'spec.sessionAffinityConfig.clientIP.timeoutSeconds', seconds)
  return DEFAULT_AFFINITY_SECONDS
}

function healthCheckPortOf(spec: JsonObject, findings: Findings): number {
  const port = spec['healthCheckNodePort'] ?? 0
  const absent = port === 0
  if (isPortNumber(port)) return port
  findings.report(absent ? 'NO_HEALTH_CHECK_PORT' : 'NOT_A_PORT', 'spec.healthCheckNodePort', port)
  return 0
}
