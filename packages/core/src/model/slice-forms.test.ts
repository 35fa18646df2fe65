import { expect, test } from 'vitest'
import type { JsonObject, KubernetesObject } from './kubernetes-object.js'
import { endpointsOfSlice } from './slice-endpoints.js'
import { asCurrentVersion } from './slice-forms.js'

const old = (endpoints: JsonObject['endpoints']): JsonObject => ({
  kind: 'EndpointSlice',
  apiVersion: 'discovery.k8s.io/v1beta1',
  metadata: { name: 'web-1', namespace: 'shop', labels: { 'kubernetes.io/service-name': 'web' } },
  addressType: 'IPv4',
  ports: [{ name: 'http', port: 8080 }],
  endpoints,
})

test('node and zone of an endpoint are taken out of its topology', () => {
  const topology = { 'kubernetes.io/hostname': 'node-a', 'topology.kubernetes.io/zone': 'zone-a' }
  const current = asCurrentVersion(
    old([
      { addresses: ['10.244.1.5'], topology },
      { addresses: ['10.244.1.6'], nodeName: 'node-b', topology },
      { addresses: ['10.244.1.7'] },
    ]),
  )
  expect(current['apiVersion']).toBe('discovery.k8s.io/v1')
  const [list] = endpointsOfSlice(current as KubernetesObject).endpoints.values()
  expect(list?.map(({ nodeName, zone }) => [nodeName, zone])).toEqual([
    ['node-a', 'zone-a'],
    ['node-b', 'zone-a'],
    [undefined, undefined],
  ])
})

test('what is of another version, or unreadable, is as it was', () => {
  const current = { ...old([]), apiVersion: 'discovery.k8s.io/v1' }
  expect(asCurrentVersion(current)).toBe(current)
  expect(asCurrentVersion(old('x'))).toMatchObject({ endpoints: 'x' })
  expect(asCurrentVersion(old([null, 5, { topology: 7 }]))).toMatchObject({ endpoints: [null, 5, {}] })
})
