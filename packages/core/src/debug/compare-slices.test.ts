import { describe, expect, test } from 'vitest'
import type { JsonObject, KubernetesObject } from '../model/kubernetes-object.js'
import { servicePortsOf } from '../model/service-ports.js'
import { service, slice, type SliceFields } from '../testing/manifests.js'
import { sliceComparer } from './compare-slices.js'

const HTTP = { name: 'http', port: 80, protocol: 'TCP', targetPort: 8080 }

function messages(spec: JsonObject, ...slices: readonly KubernetesObject[]): readonly string[] {
  const web = service({ name: 'web', spec })
  const { ports } = servicePortsOf(web)
  const families = new Set(ports.map(({ family }) => family))
  const compare = sliceComparer({ service: web, families, objects: [web, ...slices] })
  return ports.flatMap((port) => compare(port).findings.map(({ reason, message }) => `${reason}: ${message}`))
}

const of = (fields: Partial<SliceFields>): KubernetesObject =>
  slice({ name: 'web-1', service: 'web', endpoints: ['10.244.1.5'], ...fields })

const labelled = (object: KubernetesObject, metadata: JsonObject): KubernetesObject => ({
  ...object,
  metadata: {
    ...object.metadata,
    ...metadata,
    labels: { ...(object.metadata['labels'] as JsonObject), ...(metadata['labels'] as JsonObject | undefined) },
  },
})

describe('an EndpointSlice that gives nothing to a service port', () => {
  test.each<readonly [what: string, spec: JsonObject, fields: Partial<SliceFields>, expected: string]>([
    [
      'has its port under another name',
      { ports: [HTTP] },
      { ports: [{ name: 'web', port: 8080 }] },
      "OTHER_PORT_NAME: EndpointSlice web-1 lists 10.244.1.5 under port web, and the Service's port is named http",
    ],
    [
      'names a port that has no name in the Service',
      { ports: [{ port: 80 }] },
      {},
      "OTHER_PORT_NAME: EndpointSlice web-1 lists 10.244.1.5 under port http, and the Service's port has no name",
    ],
    [
      'has many ports and addresses',
      { ports: [{ ...HTTP, name: 'x' }] },
      {
        endpoints: ['10.244.1.5', '10.244.1.6', '10.244.1.7', '10.244.1.8'],
        ports: ['a', 'b', 'c', 'd'].map((name) => ({ name, port: 1 })),
      },
      "OTHER_PORT_NAME: EndpointSlice web-1 lists 10.244.1.5, 10.244.1.6 and 2 more under port a, port b and 2 more, and the Service's port is named x",
    ],
    [
      'has its port with another protocol',
      { ports: [{ ...HTTP, protocol: 'UDP' }] },
      {},
      "OTHER_PROTOCOL: EndpointSlice web-1 lists 10.244.1.5 under http/TCP, and the Service's port is http/UDP",
    ],
    [
      'has an unnamed port with another protocol',
      { ports: [{ port: 80, protocol: 'SCTP' }] },
      { ports: [{ name: '', port: 80 }] },
      "OTHER_PROTOCOL: EndpointSlice web-1 lists 10.244.1.5 under TCP, and the Service's port is SCTP",
    ],
    [
      'has a port whose name is nil',
      { ports: [HTTP] },
      { ports: [{ port: 8080 }] },
      'NO_PORT_NAME: EndpointSlice web-1 lists 10.244.1.5 under a port whose name is nil, which kube-proxy ignores: it must be http',
    ],
    [
      'has a port without a number',
      { ports: [HTTP] },
      { ports: [{ name: 'http' }] },
      'NO_PORT_NUMBER: EndpointSlice web-1 lists 10.244.1.5 under port http without a port number',
    ],
    [
      'has no ports',
      { ports: [HTTP] },
      { ports: [] },
      'NO_PORTS: EndpointSlice web-1 lists 10.244.1.5 without any port',
    ],
    [
      'has no ports, where the targetPort is a name',
      { ports: [{ ...HTTP, targetPort: 'web' }] },
      { ports: [] },
      'NO_PORTS: EndpointSlice web-1 lists 10.244.1.5 without any port; that is how a Pod is listed without a container port web (targetPort)',
    ],
    [
      'has names instead of addresses',
      { ports: [HTTP] },
      { addressType: 'FQDN', endpoints: [{ addresses: ['db.example.com'] }] },
      'ADDRESS_TYPE: EndpointSlice web-1 has addressType FQDN (db.example.com), and kube-proxy uses only IPv4 and IPv6',
    ],
    [
      'is of the other family',
      { ports: [HTTP] },
      { addressType: 'IPv6', endpoints: ['fd00::5'] },
      'OTHER_FAMILY: EndpointSlice web-1 has addressType IPv6 (fd00::5), and the Service has only IPv4',
    ],
    [
      'has an address of the other family',
      { ports: [HTTP] },
      { endpoints: ['fd00::5'] },
      'NO_ADDRESS: EndpointSlice web-1 lists fd00::5, none of which is an IPv4 address that can be used',
    ],
    ['is empty', { ports: [HTTP] }, { endpoints: [] }, 'NO_ENDPOINTS: EndpointSlice web-1 lists no endpoint'],
    [
      'has no label',
      { ports: [HTTP] },
      { service: null },
      'NO_SERVICE_LABEL: EndpointSlice web-1 has no label kubernetes.io/service-name, so that it belongs to no Service',
    ],
    [
      'has the label of another Service',
      { ports: [HTTP] },
      { name: 'web', service: 'wbe' },
      'OTHER_SERVICE_LABEL: EndpointSlice web has the label kubernetes.io/service-name=wbe: it belongs to that Service',
    ],
  ])('%s', (_, spec, fields, expected) => {
    expect(messages(spec, of(fields))).toEqual([expected])
  })
})

test('a slice that fits, and those of both families of a dual-stack Service, are no finding', () => {
  expect(messages({ ports: [HTTP] }, of({}))).toEqual([])
  const dual = { clusterIPs: ['10.96.0.1', 'fd00:96::1'], ipFamilies: ['IPv4', 'IPv6'], ports: [HTTP] }
  const six = of({ name: 'web-6', addressType: 'IPv6', endpoints: ['fd00::5'] })
  expect(messages(dual, of({}), six)).toEqual([])
})

test('slices of other Services and namespaces are none of its', () => {
  const others = [
    of({ name: 'web-api-1', service: 'web-api' }),
    of({ namespace: 'prod', service: null }),
    slice({ name: 'cart-1', service: null, endpoints: ['10.244.1.9'] }),
  ]
  expect(messages({ ports: [HTTP] }, ...others)).toEqual([])
})

test('a mirrored slice beside a selector, and one of an earlier Service, are named although they are used', () => {
  const mirrored = labelled(of({ name: 'web-m' }), {
    labels: { 'endpointslice.kubernetes.io/managed-by': 'endpointslicemirroring-controller.k8s.io' },
  })
  const earlier = labelled(of({ name: 'web-e' }), { ownerReferences: [{ kind: 'Service', name: 'web', uid: 'old' }] })
  expect(messages({ ports: [HTTP] }, mirrored, earlier)).toEqual([
    'EARLIER_SERVICE: EndpointSlice web-e is of an earlier Service of this name, and is used until it is deleted',
    'MIRRORED: EndpointSlice web-m is mirrored from an Endpoints object, and the Service has a selector: its endpoints are used beside the selected ones',
  ])
  expect(messages({ ports: [HTTP], selector: {} }, mirrored)).toEqual([])
  // https://github.com/kubernetes/kubernetes/issues/111929
  const left = labelled(of({}), {
    labels: { 'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io' },
  })
  expect(messages({ ports: [HTTP] }, left)).toEqual([])
  expect(messages({ ports: [HTTP], selector: {} }, left)).toEqual([
    'NO_SELECTOR: EndpointSlice web-1 was written by the EndpointSlice controller, and the Service has no selector now: it is used, and nothing updates it',
  ])
})

test('each endpoint has the slices that list it, by name', () => {
  const web = service({ name: 'web' })
  const [port] = servicePortsOf(web).ports
  const slices = [of({ name: 'web-2' }), of({ name: 'web-1', endpoints: ['10.244.1.5', '10.244.1.6'] })]
  const compare = sliceComparer({ service: web, families: new Set(['IPv4']), objects: slices })
  expect(port && Object.fromEntries(compare(port).slicesOf)).toEqual({
    '10.244.1.5:8080': ['web-1', 'web-2'],
    '10.244.1.6:8080': ['web-1'],
  })
})
