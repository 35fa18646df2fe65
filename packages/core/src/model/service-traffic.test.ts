import { describe, expect, it } from 'vitest'
import { service } from '../testing/manifests.js'
import type { JsonObject, KubernetesObject } from './kubernetes-object.js'
import type { ServicePort } from './service-port.js'
import { servicePortsOf } from './service-ports.js'

const web = (spec: JsonObject): KubernetesObject => service({ name: 'web', spec })

/** The only port of a Service of one family. */
function portOf(object: KubernetesObject): ServicePort {
  const { ports } = servicePortsOf(object)
  expect(ports).toHaveLength(1)
  if (ports[0] === undefined) throw new Error('no port')
  return ports[0]
}

const complaints = (object: KubernetesObject): readonly string[] =>
  servicePortsOf(object).diagnostics.map(({ code, path }) => `${code} ${path}`)

describe('traffic policies, affinity and the health check', () => {
  const LOCAL = { externalTrafficPolicy: 'Local' }
  it.each<[string, JsonObject, Partial<ServicePort>, readonly string[]]>([
    [
      'external Local counts for LoadBalancer',
      { type: 'LoadBalancer', ...LOCAL, healthCheckNodePort: 30999 },
      { externalTrafficPolicy: 'Local', healthCheckNodePort: 30999 },
      [],
    ],
    [
      'external Local counts for NodePort, which has no health check',
      { type: 'NodePort', ...LOCAL, healthCheckNodePort: 30999 },
      { externalTrafficPolicy: 'Local', healthCheckNodePort: 0 },
      [],
    ],
    [
      'external Local counts for ClusterIP with external IPs',
      { ...LOCAL, externalIPs: ['192.0.2.1'] },
      { externalTrafficPolicy: 'Local' },
      [],
    ],
    ['external Local is nothing to a ClusterIP Service alone', LOCAL, { externalTrafficPolicy: 'Cluster' }, []],
    [
      'an unknown policy is Cluster',
      { type: 'NodePort', externalTrafficPolicy: 'local' },
      { externalTrafficPolicy: 'Cluster' },
      ['UNKNOWN_VALUE spec.externalTrafficPolicy'],
    ],
    ['internal Local', { internalTrafficPolicy: 'Local' }, { internalTrafficPolicy: 'Local' }, []],
    ['absent policies are Cluster', { internalTrafficPolicy: null }, { internalTrafficPolicy: 'Cluster' }, []],
    [
      'the health-check port is told missing',
      { type: 'LoadBalancer', ...LOCAL },
      { healthCheckNodePort: 0 },
      ['NO_HEALTH_CHECK_PORT spec.healthCheckNodePort'],
    ],
    [
      'the health-check port is told wrong',
      { type: 'LoadBalancer', ...LOCAL, healthCheckNodePort: 70000 },
      { healthCheckNodePort: 0 },
      ['NOT_A_PORT spec.healthCheckNodePort'],
    ],
    [
      'policy Cluster has no health check',
      { type: 'LoadBalancer', healthCheckNodePort: 30999 },
      { healthCheckNodePort: 0 },
      [],
    ],
    ['affinity lasts three hours by default', { sessionAffinity: 'ClientIP' }, { affinitySeconds: 10800 }, []],
    [
      'affinity has a timeout',
      { sessionAffinity: 'ClientIP', sessionAffinityConfig: { clientIP: { timeoutSeconds: 86400 } } },
      { affinitySeconds: 86400 },
      [],
    ],
    [
      'a timeout without affinity is nothing',
      { sessionAffinityConfig: { clientIP: { timeoutSeconds: 5 } } },
      { affinitySeconds: 0 },
      [],
    ],
    [
      'a timeout of 0 is read as the default',
      { sessionAffinity: 'ClientIP', sessionAffinityConfig: { clientIP: { timeoutSeconds: 0 } } },
      { affinitySeconds: 10800 },
      ['OUT_OF_RANGE spec.sessionAffinityConfig.clientIP.timeoutSeconds'],
    ],
    [
      'a timeout above a day is read as the default',
      { sessionAffinity: 'ClientIP', sessionAffinityConfig: { clientIP: { timeoutSeconds: 86401 } } },
      { affinitySeconds: 10800 },
      ['OUT_OF_RANGE spec.sessionAffinityConfig.clientIP.timeoutSeconds'],
    ],
    [
      'an unknown affinity is none',
      { sessionAffinity: 'Cookie' },
      { affinitySeconds: 0 },
      ['UNKNOWN_VALUE spec.sessionAffinity'],
    ],
    [
      'an unknown type is ClusterIP',
      { type: 'Ingress', ...LOCAL },
      { externalTrafficPolicy: 'Cluster' },
      ['UNKNOWN_VALUE spec.type'],
    ],
  ])('%s', (_, spec, expected, diagnostics) => {
    const object = web(spec)
    expect(portOf(object)).toMatchObject(expected)
    expect(complaints(object)).toEqual(diagnostics)
  })
})
