import { createHmac } from 'node:crypto'
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { cidrContains, parseAddress, parseCidr } from '../../model/address.js'
import { keepObject } from '../../model/keep-object.js'
import type { Json, KubernetesObject } from '../../model/kubernetes-object.js'
import { sliceOfEndpoints } from '../../model/slice-forms.js'
import { buildState } from '../../state/state-fold.js'
import { addressRedactor, createRedactor } from './redactor.js'

const keyed = (key: string) => (text: string) => createHmac('sha256', key).update(text).digest()
const redactorOf = (key = 'a key') => createRedactor(keyed(key))
const addresses = (key = 'a key') => addressRedactor((text) => ((keyed(key)(text)[0] ?? 0) & 1) === 1)

describe('addresses', () => {
  const anyAddress = fc.oneof(
    fc.ipV4(),
    fc.ipV6(),
    fc.tuple(fc.nat(3), fc.nat(3)).map(([a, b]) => `10.244.${a}.${b}`),
    fc.nat(9).map((n) => `fd00:10:244::${n}`),
  )
  const canonical = (text: string): string => parseAddress(text)?.text ?? ''

  test('share exactly as many leading bits as before', () => {
    const redact = addresses()
    fc.assert(
      fc.property(anyAddress, anyAddress, (a, b) => {
        const [one, other] = [redact(a) ?? '', redact(b) ?? '']
        expect(parseAddress(one)?.family).toBe(parseAddress(a)?.family)
        expect(commonBits(one, other)).toBe(commonBits(canonical(a), canonical(b)))
      }),
    )
  })

  test('lie in a network if and only if they did', () => {
    const redact = addresses()
    fc.assert(
      fc.property(anyAddress, anyAddress, fc.nat(128), (inside, of, bits) => {
        const network = `${of}/${of.includes(':') ? bits : bits % 33}`
        const redacted = { network: parseCidr(redact(network) ?? ''), address: parseAddress(redact(inside) ?? '') }
        const plain = { network: parseCidr(network), address: parseAddress(inside) }
        if (!plain.network || !plain.address || !redacted.network || !redacted.address) throw new Error('unreadable')
        expect(redacted.network.prefix).toBe(plain.network.prefix)
        expect(cidrContains(redacted.network, redacted.address)).toBe(cidrContains(plain.network, plain.address))
      }),
    )
  })

  test('are never their own pseudonym, but for those that say nothing', () => {
    const redact = addresses()
    fc.assert(
      fc.property(anyAddress, (address) => {
        fc.pre(!/^(?:0|127)\./.test(canonical(address)) && !['::', '::1'].includes(canonical(address)))
        expect(redact(address)).not.toBe(canonical(address))
      }),
    )
  })

  test('differ from themselves right behind the bits that say their sort, by every key', () => {
    for (let key = 0; key < 50; key++) {
      expect(commonBits(addresses(`${key}`)('10.244.1.1') ?? '', '10.244.1.1')).toBe(5)
      expect(commonBits(addresses(`${key}`)('fd00::1') ?? '', 'fd00::1')).toBe(8)
    }
  })

  test('of two networks are not shuffled alike', () => {
    const redact = addresses()
    const hosts = (network: string): readonly string[] =>
      Array.from({ length: 16 }, (_, host) => (redact(`${network}.${host}`) ?? '').split('.')[3] ?? '')
    expect(hosts('10.1.1')).not.toEqual(hosts('10.1.2'))
  })

  test.each(['0.0.0.0', '127.0.0.1', '::1', '::', '0.0.0.0/0', '::/0', '127.0.0.0/8'])('%s stays', (text) => {
    expect(addresses()(text)).toBe(text)
  })

  test('a network keeps its host bits if it had some', () => {
    const redact = addresses()
    expect(redact('10.1.2.0/24')).toMatch(/\.0\/24$/)
    expect(redact('10.1.2.3/24')).toBe(`${redact('10.1.2.3')}/24`)
  })

  test.each(['web', 'web.example.org', 'a:b', '1.2.3', '10.0.0.1/33', '1.2.3.4:80'])('%s is none', (text) => {
    expect(addresses()(text)).toBeUndefined()
  })
})

test('a key gives one set of pseudonyms, which stay the same from version to version', () => {
  const { metadata, spec } = redactorOf('a key').object({
    ...service('web', 'shop'),
    spec: { clusterIPs: ['10.96.1.2', '10.96.1.3', 'fd00::1:2'], externalName: 'web.example.org' },
  })
  expect({ metadata, spec }).toEqual({
    metadata: { name: 'culokodajupobe', namespace: 'tenacacilewaso' },
    spec: {
      clusterIPs: ['13.18.247.48', '13.18.247.49', 'fdb0:1ff9:6d5f:f403:e02f:929c:a6da:8b59'],
      externalName: 'kuniwumuwuhubi',
    },
  })
})

describe('objects', () => {
  test('say the same about services and endpoints, in other words', () => {
    const redactor = redactorOf()
    const objects = shopObjects()
    const plain = buildState({ objects, nodeName: 'node-a' })
    const node = redactor.object(objects.find(({ kind }) => kind === 'Node') as KubernetesObject).metadata.name
    const redacted = buildState({ objects: objects.map((object) => redactor.object(object)), nodeName: node })
    expect(redacted.diagnostics).toEqual(plain.diagnostics)
    expect(redacted.state.services.size).toBe(plain.state.services.size)
    expect(shapeOf(redacted.state)).toEqual(shapeOf(plain.state))
    expect(redacted.state.node?.podCIDRs).toHaveLength(1)
    const local = [...redacted.state.endpoints.values()].flat().filter(({ nodeName }) => nodeName === node)
    const cidr = parseCidr(redacted.state.node?.podCIDRs[0] ?? '')
    expect(local.length).toBeGreaterThan(0)
    for (const { address } of local) expect(cidr && cidrContains(cidr, parseAddress(address) as never)).toBe(true)
  })

  test('hold no name and no address of the original', () => {
    const redactor = redactorOf('another key')
    const originals = shopObjects()
      .flatMap((object) => [...stringsIn(object)])
      .filter(isTelling)
    const tokens = new Set(shopObjects().flatMap((object) => [...stringsIn(redactor.object(object))]))
    const text = [...tokens].join('\n')
    expect(originals.length).toBeGreaterThan(100)
    for (const original of new Set(originals)) expect(text).not.toContain(original)
  })

  test('keep the names that every cluster has', () => {
    const made = redactorOf().object(service('kubernetes', 'default'))
    expect(made.metadata).toMatchObject({ name: 'kubernetes', namespace: 'default' })
  })

  test('keep a None, a headless label, times, words of the API, and keys of Kubernetes', () => {
    const labels = {
      'service.kubernetes.io/headless': '',
      'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io',
    }
    const object = {
      ...service('web', 'shop'),
      metadata: { name: 'web', labels, creationTimestamp: '2026-01-01T00:00:00Z', resourceVersion: '7' },
      spec: {
        type: 'ClusterIP',
        clusterIP: 'None',
        clusterIPs: ['None'],
        ports: [{ protocol: 'TCP', port: 80, targetPort: 81 }],
      },
    }
    const { name: _, ...metadata } = redactorOf().object(object).metadata
    expect(metadata).toEqual({ labels, creationTimestamp: '2026-01-01T00:00:00Z', resourceVersion: '7' })
    expect(redactorOf().object(object)['spec']).toEqual(object.spec)
  })

  test('hide values that look like words of the API where people write them', () => {
    const labels = { tier: 'TCP', type: 'ClusterIP', 'example.org/kind': 'Service' }
    const made = redactorOf().object({ ...service('web', 'shop'), metadata: { name: 'Service', labels } })
    const text = JSON.stringify(made.metadata)
    expect(text).not.toMatch(/tier|TCP|ClusterIP|example|kind|Service/)
  })

  test('get other pseudonyms by another key, and the same by the same', () => {
    const object = service('web', 'shop')
    expect(redactorOf('x').object(object)).toEqual(redactorOf('x').object(object))
    expect(redactorOf('x').object(object).metadata.name).not.toBe(redactorOf('y').object(object).metadata.name)
  })

  test('of any shape are redacted without failing, each string of theirs', () => {
    const redactor = redactorOf()
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 4 }), (value) => {
        const object = { ...service('web', 'shop'), spec: { other: value } } as unknown as KubernetesObject
        expect(() => redactor.object(object)).not.toThrow()
      }),
    )
  })
})

describe('no text that somebody chose comes through', () => {
  /** As a name, behind known and unknown prefixes, as a group, and among other words. */
  const DISGUISES = [
    'SECRETtext',
    'secret.k8s.io',
    'secret.kubernetes.io/x',
    'secret.k8s.io/v1',
    'service.k8s.io/secret',
    'k8s.io/secret',
    'kubernetes.io/cluster-secret',
    'node-role.kubernetes.io/secret',
    'app.kubernetes.io/name/secret',
    'secret-',
    'TCP\nsecret',
    'ClusterIPsecret',
    'fe80::1%secret',
    '2026-01-01T00:00:00Z secret',
    '7secret',
  ]
  const isHidden = (value: unknown): boolean => !/secret/i.test(JSON.stringify(value))

  test.each(fullObjects())('of a $kind, wherever it stands', (object) => {
    const redactor = redactorOf()
    let places = 0
    for (const changed of withEachText(object, DISGUISES)) {
      places += 1
      const made = redactor.object(changed as KubernetesObject)
      if (!isHidden(made)) expect({ changed, made }).toBe('hidden')
    }
    expect(places).toBeGreaterThan(1000)
  })

  test('nor a number or a time where none belongs', () => {
    const made = redactorOf().object({
      ...service('web', 'shop'),
      metadata: { name: 'web', labels: { born: '1990-01-01T00:00:00Z', phone: 5551234 } },
      spec: { telephone: 5551234, ports: [{ port: 5551234, nodePort: -5551234 }] },
    })
    expect(JSON.stringify(made)).not.toMatch(/1990|5551234/)
  })

  test('nor that of an author or of a bookmark', () => {
    const redactor = redactorOf()
    for (const text of DISGUISES) {
      expect(isHidden(redactor.author({ manager: text, operation: text, subresource: text }))).toBe(true)
      expect(isHidden(redactor.resourceVersion(text))).toBe(true)
    }
    expect(redactor.resourceVersion('17')).toBe('17')
  })

  test('but keys that every cluster may have do, and known prefixes', () => {
    const labels = { 'node-role.kubernetes.io/control-plane': '', 'topology.kubernetes.io/zone': 'eu', app: 'web' }
    const taints = [
      { key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' },
      { key: 'node-role.kubernetes.io/payments', effect: 'NoExecute' },
    ]
    const redactor = redactorOf()
    const made = redactor.object({ kind: 'Node', metadata: { name: 'a', labels }, spec: { taints } })
    const name = (text: string): string => redactor.author({ manager: text, operation: '' }).manager
    expect(made.metadata['labels']).toEqual({
      'node-role.kubernetes.io/control-plane': '',
      'topology.kubernetes.io/zone': name('eu'),
      [name('app')]: name('web'),
    })
    expect(made['spec']).toEqual({
      taints: [taints[0], { key: `node-role.kubernetes.io/${name('payments')}`, effect: 'NoExecute' }],
    })
  })
})

test('an EndpointSlice that stands for an Endpoints keeps its endpoints', () => {
  const slice = sliceOfEndpoints({
    kind: 'Endpoints',
    metadata: { name: 'web', namespace: 'shop' },
    subsets: [
      {
        addresses: [{ ip: '10.244.1.2', nodeName: 'node-a', targetRef: { kind: 'Pod', name: 'web-0' } }],
        notReadyAddresses: [{ ip: '10.244.1.3' }, { ip: 'fd00::3' }],
        ports: [{ port: 8080, protocol: 'TCP' }],
      },
    ],
  })
  const spec = { clusterIP: '10.96.0.1', ports: [{ port: 80 }] }
  const objects = [{ ...service('web', 'shop'), spec }, slice as KubernetesObject]
  const redactor = redactorOf()
  const made = buildState({ objects: objects.map((object) => redactor.object(object)) }).state
  expect(shapeOf(made)).toEqual(shapeOf(buildState({ objects }).state))
  expect([...made.endpoints.values()].map((list) => list.map(({ ready }) => ready))).toEqual([[true, false], [false]])
  expect([...made.endpoints.values()].flat()[0]?.nodeName).toMatch(/./)
})

test('what the model refuses is refused in its redacted form for the same reasons', () => {
  const objects: readonly KubernetesObject[] = [
    { ...service('Web', 'shop'), spec: { clusterIP: '10.96.0.1', ports: [{ port: 80 }] } },
    {
      ...service('web', 'shop'),
      spec: {
        clusterIP: '10.96.0.2',
        type: 'LoadBalancer',
        ports: [
          { name: 'a/b', port: 80 },
          { name: 'b', port: 70_000 },
          { name: 'c', port: 81, protocol: 'tcp' },
        ],
        externalIPs: ['nowhere', 5],
        loadBalancerSourceRanges: [' 10.0.0.0/8 ', 'everybody'],
        sessionAffinity: 'ClientIP',
        sessionAffinityConfig: { clientIP: { timeoutSeconds: 10_000_000 } },
      },
    },
    {
      kind: 'EndpointSlice',
      metadata: { name: 'web-1', namespace: 'shop', labels: { 'kubernetes.io/service-name': 'web/' } },
      addressType: 'FQDN',
      endpoints: [{ addresses: [] }, { addresses: ['x'], conditions: { ready: 'yes' } }],
      ports: [{ name: 'A_', port: 80 }],
    },
  ]
  const redactor = redactorOf()
  const told = (of: readonly KubernetesObject[]): readonly string[] =>
    buildState({ objects: of }).diagnostics.map(({ code, path }) => `${code} ${path}`)
  expect(told(objects).length).toBeGreaterThan(6)
  expect(told(objects.map((object) => redactor.object(object)))).toEqual(told(objects))
})

test('an author has the pseudonym that its managedFields entry has', () => {
  const redactor = redactorOf()
  const object = { ...service('web', 'shop'), metadata: { name: 'web', managedFields: [{ manager: 'kubectl-edit' }] } }
  const made = redactor.object(object).metadata['managedFields']
  expect(made).toEqual([{ manager: redactor.author({ manager: 'kubectl-edit', operation: 'Update' }).manager }])
})

const service = (name: string, namespace: string): KubernetesObject => ({
  kind: 'Service',
  metadata: { name, namespace },
})

function commonBits(a: string, b: string): number {
  const bits = (text: string): string => {
    const groups = parseCidr(`${text}/${text.includes(':') ? 128 : 32}`)?.groups ?? []
    return groups.map((group) => group.toString(2).padStart(16, '0')).join('')
  }
  const [one, other] = [bits(a), bits(b)]
  if (one.length !== other.length) return -1
  const index = [...one].findIndex((bit, at) => bit !== other[at])
  return index < 0 ? one.length : index
}

/** What is left of a state when names and addresses are taken out: counts, ports, policies, conditions. */
function shapeOf(state: ReturnType<typeof buildState>['state']): readonly string[] {
  return [...state.services.values()]
    .map((port) => {
      const endpoints = (state.endpoints.get(port.id) ?? []).map(
        (endpoint) => `${endpoint.port}${endpoint.ready}${endpoint.terminating}`,
      )
      const { protocol, port: number, nodePort, externalIPs, loadBalancerVIPs, externalTrafficPolicy } = port
      const ranges = port.loadBalancerSourceRanges.map((range) => range.split('/')[1])
      return JSON.stringify([
        protocol,
        number,
        nodePort,
        externalIPs.length,
        loadBalancerVIPs.length,
        externalTrafficPolicy,
        ranges,
        endpoints,
      ])
    })
    .sort()
}

function shopObjects(): readonly KubernetesObject[] {
  const file = new URL('../../../../../fixtures/recordings/shop-incident/watch.jsonl', import.meta.url)
  const lines = readFileSync(file, 'utf8').trim().split('\n')
  return lines.map((line) => keepObject(JSON.parse(line).object)).filter((object) => object !== undefined)
}

/** Every string in a value, keys of people's maps among them. */
function* stringsIn(value: Json | undefined): Iterable<string> {
  if (typeof value === 'string') yield value
  else if (Array.isArray(value)) for (const item of value) yield* stringsIn(item)
  else if (typeof value === 'object' && value !== null) for (const item of Object.values(value)) yield* stringsIn(item)
}

/** Texts that are somebody's: no word of the API, no number, no time. */
const PUBLIC =
  /^(?:[A-Z][A-Za-z]+[46P]*|IPv[46]|v1|TCP|UDP|discovery\.k8s\.io\/v1|default|kubernetes|kube-system|\d+|.*\.k8s\.io|[a-z.]+\.kubernetes\.io\/.*|0\.0\.0\.0.*|status|\d{4}-.*Z|)$/
const isTelling = (text: string): boolean => !PUBLIC.test(text) && text.length > 2

/** One object of each kind, with every field that the API has for it and with some that it does not have. */
function fullObjects(): readonly KubernetesObject[] {
  const metadata = {
    name: 'x',
    namespace: 'x',
    uid: 'x',
    resourceVersion: '1',
    generateName: 'x-',
    generation: 1,
    creationTimestamp: '2026-01-01T00:00:00Z',
    deletionTimestamp: '2026-01-01T00:00:00Z',
    deletionGracePeriodSeconds: 1,
    labels: { x: 'x', 'kubernetes.io/service-name': 'x', 'endpointslice.kubernetes.io/managed-by': 'x' },
    annotations: {
      'endpoints.kubernetes.io/last-change-trigger-time': '2026-01-01T00:00:00Z',
      'endpoints.kubernetes.io/over-capacity': 'truncated',
      'service.kubernetes.io/topology-mode': 'Auto',
      'kubernetes.io/os': 'linux',
    },
    finalizers: ['service.kubernetes.io/load-balancer-cleanup'],
    ownerReferences: [{ apiVersion: 'apps/v1', kind: 'Service', name: 'x', uid: 'x', controller: true }],
    managedFields: [
      {
        apiVersion: 'v1',
        fieldsType: 'FieldsV1',
        fieldsV1: { 'f:x': {} },
        fieldsDigest: 'x',
        manager: 'x',
        operation: 'Update',
        subresource: 'status',
        time: '2026-01-01T00:00:00Z',
      },
    ],
    clusterName: 'x',
  }
  const port = { name: 'x', port: 80, protocol: 'TCP', appProtocol: 'kubernetes.io/h2c' }
  return [
    {
      kind: 'Service',
      apiVersion: 'v1',
      metadata,
      spec: {
        type: 'LoadBalancer',
        clusterIP: '10.0.0.1',
        clusterIPs: ['10.0.0.1'],
        externalIPs: ['10.0.0.1'],
        externalName: 'x',
        externalTrafficPolicy: 'Local',
        internalTrafficPolicy: 'Local',
        healthCheckNodePort: 1,
        ipFamilies: ['IPv4'],
        ipFamilyPolicy: 'SingleStack',
        loadBalancerClass: 'x/y',
        loadBalancerIP: '10.0.0.1',
        loadBalancerSourceRanges: ['10.0.0.0/8'],
        publishNotReadyAddresses: true,
        allocateLoadBalancerNodePorts: true,
        selector: { x: 'x' },
        sessionAffinity: 'ClientIP',
        sessionAffinityConfig: { clientIP: { timeoutSeconds: 1 } },
        topologyKeys: ['x'],
        trafficDistribution: 'PreferClose',
        ports: [{ ...port, nodePort: 1, targetPort: 'x' }],
        other: { deep: [{ er: 'x' }] },
      },
      status: {
        loadBalancer: { ingress: [{ ip: '10.0.0.1', hostname: 'x', ipMode: 'VIP', ports: [{ port: 1, error: 'x' }] }] },
        conditions: [{ type: 'x', status: 'True', reason: 'x', message: 'x', lastTransitionTime: 'x' }],
      },
    },
    {
      kind: 'EndpointSlice',
      apiVersion: 'discovery.k8s.io/v1',
      metadata,
      addressType: 'IPv4',
      ports: [port],
      endpoints: [
        {
          addresses: ['10.0.0.1'],
          conditions: { ready: true, serving: true, terminating: false },
          hints: { forZones: [{ name: 'x' }], forNodes: [{ name: 'x' }] },
          hostname: 'x',
          deprecatedTopology: { x: 'x' },
          nodeName: 'x',
          zone: 'x',
          targetRef: { kind: 'Pod', name: 'x', namespace: 'x', uid: 'x', apiVersion: 'v1', resourceVersion: '1' },
        },
      ],
    },
    {
      kind: 'EndpointSlice',
      apiVersion: 'discovery.k8s.io/v1',
      metadata,
      subsets: [
        {
          addresses: [
            { ip: '10.0.0.1', hostname: 'x', nodeName: 'x', targetRef: { kind: 'Pod', name: 'x', uid: 'x' } },
          ],
          notReadyAddresses: [{ ip: '10.0.0.1' }],
          ports: [port],
        },
      ],
    },
    {
      kind: 'Node',
      apiVersion: 'v1',
      metadata,
      spec: {
        podCIDR: '10.0.0.0/24',
        podCIDRs: ['10.0.0.0/24'],
        taints: [{ key: 'x', value: 'x', effect: 'NoSchedule', timeAdded: '2026-01-01T00:00:00Z' }],
      },
      status: { addresses: [{ type: 'Hostname', address: 'x' }] },
    },
  ]
}

/** The value with each of the texts in the place of each of its parts, of each key, and as one more member; the kind stays. */
function* withEachText(value: Json, texts: readonly string[]): Generator<Json> {
  if (Array.isArray(value)) {
    for (const text of texts) yield [...value, text]
    for (const [index, item] of value.entries())
      for (const changed of [...texts, ...withEachText(item as Json, texts)])
        yield value.map((other: Json, at) => (at === index ? changed : other))
  } else if (typeof value === 'object' && value !== null) {
    for (const text of texts) yield { ...value, [text]: text }
    for (const [key, item] of Object.entries(value)) {
      const isKind = key === 'kind' && 'metadata' in value
      if (isKind || item === undefined) continue
      const { [key]: _, ...others } = value as Readonly<Record<string, Json>>
      for (const text of texts) if (key !== 'metadata') yield { ...others, [text]: item }
      for (const changed of [...texts, ...withEachText(item, texts)])
        if (key !== 'metadata' || typeof changed === 'object') yield { ...others, [key]: changed }
    }
  }
}
