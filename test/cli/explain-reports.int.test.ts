import { node, service, slice } from '@pointsman/core/testing'
import { describe, expect, test } from 'vitest'
import { type Ended, runPointsman } from '../support/run-pointsman.js'
import { reportInput } from '../support/shop.js'
import { JSON_SCHEMAS, schemaProblems } from '../support/json-schemas.js'

/** Services that do not work as their owners expect: fixtures/reports, and others of their kinds. */
const CIDR = ['--cluster-cidr', '10.244.0.0/16']
const report = (path: string): readonly string[] => ['--objects', reportInput(path)]
const squeezed = (text: string): string => text.replaceAll(/ {2,}/g, '  ')

async function explain(name: string, ...args: readonly string[]): Promise<string> {
  const answer = await runPointsman(['explain', name, ...args])
  expect(answer.status).toBe(0)
  const json = await runPointsman(['explain', name, ...args, '-o', 'json'])
  expect(schemaProblems(JSON.parse(json.stdout), JSON_SCHEMAS.Explanation)).toEqual([])
  return squeezed(answer.stdout)
}

async function documentOf(name: string, ...args: readonly string[]): Promise<unknown> {
  const { stdout } = await runPointsman(['explain', name, ...args, '-o', 'json'])
  return JSON.parse(stdout) as unknown
}

async function explainItems(name: string, ...items: readonly object[]): Promise<Ended> {
  const input = JSON.stringify({ kind: 'List', items })
  const answer = await runPointsman(['explain', name, '--objects', '-', ...CIDR], { input })
  return { ...answer, stdout: squeezed(answer.stdout) }
}

describe('slices by hand (07-slice-port-name)', () => {
  const objects = [...report('07-slice-port-name/base.yaml'), ...report('07-slice-port-name/objects.yaml'), ...CIDR]

  test.each([
    [
      'shop/extdb',
      "EndpointSlice extdb-1 lists 192.0.2.77 under the unnamed port, and the Service's port is named pg",
      'OTHER_PORT_NAME',
    ],
    [
      'shop/fq',
      'EndpointSlice fq-1 has addressType FQDN (db.example.com), and kube-proxy uses only IPv4 and IPv6',
      'ADDRESS_TYPE',
    ],
    [
      'shop/proto',
      "EndpointSlice proto-1 lists 10.244.1.81 under dns/TCP, and the Service's port is dns/UDP",
      'OTHER_PROTOCOL',
    ],
  ])('%s', async (name, message, reason) => {
    const text = await explain(name, ...objects)
    expect(text).toContain(`no endpoint can be used: ${message}\n`)
    expect(text).not.toContain('no endpoint is listed')
    expect(await documentOf(name, ...objects)).toMatchObject({ ports: [{ slices: [{ reason, message }] }] })
  })
})

describe('two Services with one external IP (10-same-external-ip)', () => {
  const objects = [...report('10-same-external-ip/base.yaml'), ...report('10-same-external-ip/objects.yaml'), ...CIDR]
  const open = 'kube-proxy does not define which of the two Services wins on a node (Pointsman: the older, web/edge-b)'

  test('the younger is served by its own endpoint, and by the shared address perhaps', async () => {
    const text = await explain('web/edge-a', ...objects)
    expect(text.split('\n')[1]).toBe(
      `web/edge-a is served by 1 endpoint of its own; 203.0.113.9:80 is also claimed by web/edge-b:web, and ${open}`,
    )
    expect(await documentOf('web/edge-a', ...objects)).toMatchObject({
      conclusion: { reached: 'sometimes', dependsOn: [expect.stringContaining(open)] },
      ports: [{ overlaps: [{ otherIsFirst: true, isDefined: false }] }],
    })
  })

  test('so is the older', async () => {
    const text = await explain('web/edge-b', ...objects)
    expect(text.split('\n')[1]).toBe(
      `web/edge-b is served by 1 endpoint; 203.0.113.9:80 is also claimed by web/edge-a:web, and ${open}`,
    )
  })

  test('a Service without endpoints leaves the address to the other, in either order', async () => {
    const shared = { externalIPs: ['203.0.113.9'] }
    const items = [
      node({ name: 'node-a' }),
      service({ name: 'full', createdAt: '2026-01-02T00:00:00Z', spec: { ...shared, clusterIP: '10.96.0.1' } }),
      service({ name: 'empty', spec: { ...shared, clusterIP: '10.96.0.2' } }),
      slice({ name: 'full-1', service: 'full', endpoints: ['10.244.1.5'] }),
    ]
    const full = await explainItems('full', ...items)
    expect(full.stdout).toContain('shop/full is served by 1 endpoint\n')
    const empty = await explainItems('empty', ...items)
    expect(empty.stdout.split('\n')[1]).toBe(
      'shop/empty is not served: traffic from anywhere to cluster IP 10.96.0.2:80 is rejected: shop/empty:http has no endpoints; traffic to external IP 203.0.113.9:80 goes to shop/full:http',
    )
  })
})

test('a node that is none is named, and its node port is dropped (13-wrong-node-name)', async () => {
  const config = reportInput('13-wrong-node-name/kube-proxy.yaml')
  const objects = [...report('13-wrong-node-name/base.yaml'), ...report('13-wrong-node-name/service.yaml')]
  const text = await explain('nginx-ext', ...objects, '--config', config)
  const lines = text.split('\n').map((line) => line.trim())
  expect(lines[2]).toMatch(/^there is no Node worker-01, nor any endpoint on it; the input has node-a: /)
  const row = lines.findIndex((line) => line.startsWith('node port 32204  pods  10.244.1.56:80'))
  expect(lines[row + 2]).toBe(
    'outside  dropped: default/nginx-ext has no endpoints on this node (externalTrafficPolicy Local)',
  )
  expect(await documentOf('nginx-ext', ...objects, '--config', config)).toMatchObject({
    unknownNode: { name: 'worker-01', others: ['node-a'] },
    conclusion: { reached: 'sometimes' },
  })
})

test('without any Node, the answer says that it depends on the node', async () => {
  const document = await documentOf('nginx-ext', ...report('13-wrong-node-name/service.yaml'), ...CIDR)
  expect(document).toMatchObject({
    conclusion: {
      dependsOn: [
        'this is a node without endpoints, and traffic with policy Local depends on the node: ask with --node for node-a',
      ],
    },
    ports: [{ fronts: [{ type: 'clusterIP' }, { type: 'nodePort', port: 32_204 }] }],
  })
})

describe('Pods in the input', () => {
  const LABELS = { app: 'checkout', tier: 'backend' }
  const checkout = service({ name: 'checkout', spec: { selector: LABELS, clusterIP: '10.96.0.9' } })
  const empty = slice({ name: 'checkout-1', service: 'checkout', endpoints: [] })
  const pod = (name: string, labels: object, status: object = {}, namespace = 'shop'): object => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace, labels },
    spec: { nodeName: 'node-a' },
    status: { phase: 'Running', podIP: '10.244.1.5', ...status },
  })
  const READY = { conditions: [{ type: 'Ready', status: 'True' }] }
  const base = [node({ name: 'node-a' }), checkout, empty]

  test('say which label differs', async () => {
    const { stdout } = await explainItems(
      'checkout',
      ...base,
      pod('checkout-0', { app: 'checkout', tier: 'web' }, READY),
      pod('checkout-9', LABELS, READY, 'staging'),
    )
    expect(stdout).toContain(
      'no endpoint is listed: no Pod of namespace shop has the labels app=checkout,tier=backend\n',
    )
    expect(stdout).toContain('the closest is checkout-0: it has tier=web instead of tier=backend\n')
    expect(stdout).toContain('a Service selects only in its own: 1 Pod in staging\n')
  })

  test('say which are not ready, since when and why', async () => {
    const crash = {
      containerStatuses: [{ name: 'app', state: { waiting: { reason: 'CrashLoopBackOff' } } }],
      conditions: [
        { type: 'Ready', status: 'False', reason: 'ContainersNotReady', lastTransitionTime: '2026-01-01T00:10:00Z' },
      ],
    }
    const { stdout } = await explainItems('checkout', ...base, pod('checkout-0', LABELS, crash))
    expect(stdout).toContain(
      'no endpoint is listed: there is 1 Pod with the labels app=checkout,tier=backend, 0 ready (below)\n',
    )
    expect(stdout).toContain(
      'checkout-0  2026-01-01T00:10:00.000Z  is not ready (ContainersNotReady; app: CrashLoopBackOff)\n',
    )
  })

  // https://github.com/kubernetes/kubernetes/issues/109627, and with a second Deployment kubernetes/ingress-nginx#9149
  test('say that no container has the port that targetPort names, where a slice has no ports', async () => {
    const ports = [{ name: 'http', port: 80, targetPort: 'web' }]
    const named = service({ name: 'checkout', spec: { selector: LABELS, clusterIP: '10.96.0.9', ports } })
    const unset = slice({ name: 'checkout-u', service: 'checkout', endpoints: ['10.244.1.5'], ports: [] })
    const items = [node({ name: 'node-a' }), named, unset, pod('checkout-0', LABELS, READY)]
    const { stdout } = await explainItems('checkout', ...items)
    expect(stdout).toContain('no endpoint can be used: EndpointSlice checkout-u lists 10.244.1.5 without any port; ')
    expect(stdout).toContain(
      'checkout-0  -  port http: has no container port web/TCP, which is the targetPort (its containers declare no port)\n',
    )
    const other = slice({ name: 'checkout-v', service: 'checkout', endpoints: ['10.244.1.6'] })
    const both = await explainItems('checkout', ...items, other)
    expect(both.stdout).toContain('shop/checkout is served by 1 endpoint\n')
    expect(both.stdout).toContain('slices  EndpointSlice checkout-u lists 10.244.1.5 without any port; ')
  })

  test('may be those of other namespaces alone, or lack those of the endpoints', async () => {
    const elsewhere = pod('api-0', { app: 'api' }, READY, 'staging')
    const none = await explainItems('checkout', ...base, elsewhere)
    expect(none.stdout).toContain('no endpoint is listed: the input has no Pod of namespace shop ')
    const served = slice({ name: 'checkout-2', service: 'checkout', endpoints: ['10.244.1.5'] })
    const some = await explainItems('checkout', ...base, served, elsewhere)
    expect(some.stdout).toContain('tier=backend: none in the input, although endpoints are listed\n')
  })

  test('are no objects that the other commands report as ignored', async () => {
    const input = JSON.stringify({ kind: 'List', items: [...base, pod('checkout-0', LABELS)] })
    const { stderr } = await runPointsman(['services', '--objects', '-'], { input })
    expect(stderr).toBe('')
  })
})

test.each(['shop/gone', 'gone'])('slices of a Service that is gone are named: %s', async (name) => {
  const left = slice({ name: 'gone-x', service: 'gone', endpoints: ['10.244.1.5'] })
  const answer = await explainItems(name, node({ name: 'node-a' }), left)
  expect(answer).toMatchObject({ status: 1, stdout: '' })
  expect(answer.stderr).toBe(
    `error: service ${name} not found in the objects: EndpointSlice gone-x belongs to it, and without the Service there are no rules for it\n`,
  )
})

test('slices of discovery.k8s.io/v1beta1 are read, with their topology', async () => {
  const old = {
    ...slice({
      name: 'web-1',
      service: 'web',
      endpoints: [{ addresses: ['10.244.1.5'], topology: { 'kubernetes.io/hostname': 'node-a' } }],
    }),
    apiVersion: 'discovery.k8s.io/v1beta1',
  }
  const { stdout, stderr } = await explainItems('web', node({ name: 'node-a' }), service({ name: 'web' }), old)
  expect(stdout).toContain('10.244.1.5:8080  -  node-a (this node)  -  web-1  used\n')
  expect(stderr).toBe('warning: standard input: 1 EndpointSlice of discovery.k8s.io/v1beta1 is read as v1\n')
})

test('below the answer stands what else to look at', async () => {
  const items = [
    node({ name: 'node-a' }),
    service({ name: 'dns', spec: { ports: [{ name: 'dns', port: 53, protocol: 'UDP' }] } }),
    slice({
      name: 'dns-1',
      service: 'dns',
      endpoints: ['10.244.1.5'],
      ports: [{ name: 'dns', port: 53, protocol: 'UDP' }],
    }),
  ]
  const { stdout } = await explainItems('dns', ...items)
  const [, looks = ''] = stdout.split('Also look at, on the node:\n')
  expect([...looks.matchAll(/`(.*)`/g)].map(([, command]) => command)).toEqual([
    'grep . /sys/class/net/*/brport/hairpin_mode',
    'sysctl net.bridge.bridge-nf-call-iptables',
    'conntrack -L -p udp --orig-dst 10.96.0.1 --orig-port-dst 53',
  ])
})

test('a Service in an input without any EndpointSlice depends on whether that is all there is', async () => {
  const { stdout } = await explainItems('shop/web', service({ name: 'web' }))
  expect(stdout).toContain(
    'the input has no EndpointSlice at all: add them, or this is the verdict for a Service without endpoints',
  )
})
