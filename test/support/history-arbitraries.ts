import { DEFAULT_PROXY_CONFIG, type JsonObject, type KubernetesObject, type LogRecord, seq } from '@pointsman/core'
import { node, service, slice } from '@pointsman/core/testing'
import fc from 'fast-check'

/**
 * The records of a log in which two Services live through what happens to Services: endpoints come, go, fall ill and
 * terminate, policies, ports, ranges and affinity are edited, hints and zones move, objects are deleted and made again,
 * the configuration changes; and edits that change nothing.
 */
export const recordsArbitrary = (): fc.Arbitrary<readonly LogRecord[]> =>
  fc.array(stepArbitrary, { minLength: 1, maxLength: 30 }).map(recordsOf)

type Step =
  | { readonly type: 'object'; readonly object: KubernetesObject; readonly gone: boolean }
  | { readonly type: 'config'; readonly config: JsonObject }

const names = fc.constantFrom('web', 'cart')
const seldom = fc.integer({ min: 0, max: 7 }).map((number) => number === 0)
const policy = fc.constantFrom('Cluster', 'Cluster', 'Local')

const portsArbitrary = fc.constantFrom<readonly JsonObject[]>(
  [{ name: 'http', protocol: 'TCP', port: 80, nodePort: 30_080 }],
  [
    { name: 'http', protocol: 'TCP', port: 80, nodePort: 30_080 },
    { name: 'dns', protocol: 'UDP', port: 53, nodePort: 30_053 },
  ],
  [{ name: 'http', protocol: 'TCP', port: 8080 }],
)

const serviceArbitrary = fc
  .record({
    name: names,
    label: fc.nat(1),
    ports: portsArbitrary,
    internal: policy,
    external: policy,
    // The same range twice makes the same rule twice.
    ranges: fc.constantFrom([], ['10.0.0.0/8'], ['10.0.0.0/8', '10.0.0.0/8'], ['192.0.2.0/24']),
    affinity: fc.constantFrom<JsonObject>(
      { sessionAffinity: 'None' },
      { sessionAffinity: 'ClientIP', sessionAffinityConfig: { clientIP: { timeoutSeconds: 60 } } },
      { sessionAffinity: 'ClientIP', sessionAffinityConfig: { clientIP: { timeoutSeconds: 90 } } },
    ),
  })
  .map(({ name, label, ports, internal, external, ranges, affinity }) =>
    service({
      name,
      labels: { release: String(label) },
      spec: {
        type: 'LoadBalancer',
        clusterIP: name === 'web' ? '10.96.0.1' : '10.96.0.2',
        ports,
        internalTrafficPolicy: internal,
        externalTrafficPolicy: external,
        loadBalancerSourceRanges: ranges,
        ...affinity,
      },
      status: { loadBalancer: { ingress: [{ ip: '203.0.113.1' }] } },
    }),
  )

const endpointArbitrary = fc
  .record({
    address: fc.constantFrom('10.244.1.1', '10.244.1.2', '10.244.2.1', '10.244.2.10', '10.244.3.1'),
    conditions: fc.constantFrom<JsonObject>(
      { ready: true, serving: true, terminating: false },
      { ready: true, serving: true, terminating: false },
      { ready: false, serving: false, terminating: false },
      { ready: false, serving: true, terminating: true },
    ),
    nodeName: fc.constantFrom('node-a', 'node-b'),
    hint: fc.constantFrom('', 'zone-a', 'zone-b'),
  })
  .map(({ address, conditions, nodeName, hint }) => ({
    addresses: [address],
    conditions,
    nodeName,
    ...(hint !== '' && { hints: { forZones: [{ name: hint }] } }),
  }))

const sliceArbitrary = fc
  .record({
    name: fc.constantFrom('one', 'two', 'three'),
    service: names,
    endpoints: fc.array(endpointArbitrary, { maxLength: 4 }),
    ports: fc.constantFrom<readonly JsonObject[]>(
      [{ name: 'http', protocol: 'TCP', port: 8080 }],
      [
        { name: 'http', protocol: 'TCP', port: 8080 },
        { name: 'dns', protocol: 'UDP', port: 5353 },
      ],
    ),
  })
  .map((fields) => slice(fields))

const nodeArbitrary = fc
  .record({ zone: fc.constantFrom('zone-a', 'zone-b'), address: fc.constantFrom('192.168.55.10', '192.168.55.11') })
  .map(({ zone, address }) => node({ name: 'node-a', zone, addresses: [address] }))

const configArbitrary = fc
  .record({
    layout: fc.constantFrom('current', 'current', 'classic'),
    masqueradeAll: fc.boolean(),
    nodePortAddresses: fc.constantFrom('all', 'primary'),
    detectLocal: fc.constantFrom<JsonObject>(
      { mode: 'ClusterCIDR', cidrs: ['10.244.0.0/16'] },
      { mode: 'NodeCIDR' },
      { mode: 'None' },
    ),
  })
  .map((config) => ({ ...(DEFAULT_PROXY_CONFIG as unknown as JsonObject), ...config }))

const object = (objects: fc.Arbitrary<KubernetesObject>): fc.Arbitrary<Step> =>
  fc.record({ type: fc.constant('object' as const), object: objects, gone: seldom })

const stepArbitrary: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: object(serviceArbitrary) },
  { weight: 10, arbitrary: object(sliceArbitrary) },
  { weight: 1, arbitrary: object(nodeArbitrary) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('config' as const), config: configArbitrary }) },
)

function recordsOf(steps: readonly Step[]): readonly LogRecord[] {
  const alive = new Map<string, KubernetesObject>()
  const records: LogRecord[] = []
  for (const step of steps) {
    const position = { seq: seq(records.length + 1), observedAt: 1_800_000_000_000 + records.length * 1000 }
    if (step.type === 'config') {
      records.push({ ...position, type: 'config', config: step.config })
      continue
    }
    const { kind, metadata } = step.object
    const key = `${kind} ${metadata.name}`
    const before = alive.get(key)
    if (step.gone && before === undefined) continue
    const last = step.gone && before !== undefined ? before : step.object
    if (step.gone) alive.delete(key)
    else alive.set(key, last)
    records.push({
      ...position,
      type: 'object',
      event: step.gone ? 'DELETED' : before === undefined ? 'ADDED' : 'MODIFIED',
      kind,
      namespace: metadata.namespace ?? '',
      name: metadata.name,
      uid: `uid-${kind}-${metadata.name}`,
      resourceVersion: String(position.seq),
      object: { ...last, metadata: { ...last.metadata, resourceVersion: String(position.seq) } },
    })
  }
  return records
}
