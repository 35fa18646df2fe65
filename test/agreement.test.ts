import { buildState, DEFAULT_PROXY_CONFIG, type KubernetesObject, type ProxyConfig, route } from '@pointsman/core'
import { node, service, slice } from '@pointsman/core/testing'
import fc from 'fast-check'
import { afterEach, expect, test } from 'vitest'
import { synced } from '../packages/cli/src/agent/health/test-support/agent-events.js'
import { createConnectionLimit } from '../packages/cli/src/agent/http/connection-limit.js'
import { createHealthCheckPorts, type HealthCheckPorts } from '../packages/cli/src/agent/http/health-check-ports.js'
import { ask, freePort } from '../packages/cli/src/agent/http/test-support/ask.js'
import { runInProcess } from './support/run-in-process.js'

/*
 * One fact, several commands: what `explain`, `services`, `trace`, `route` and the agent's health-check port say of the same
 * objects. Commands are compared by their JSON.
 */

let ports: HealthCheckPorts | undefined
afterEach(() => ports?.close())

test(
  'explain, services, trace, route and the health-check port agree about any two Services',
  { timeout: 120_000 },
  async () => {
    const healthCheckNodePort = await freePort()
    await fc.assert(
      fc.asyncProperty(objectsArbitrary(healthCheckNodePort), async (objects) => {
        const { items: rows } = await answerOf<{ items: readonly ServiceRow[] }>(
          'services',
          objects,
          '--node',
          'node-a',
        )
        for (const name of ['web', 'cart']) {
          const explained = await answerOf<Explanation>('explain', objects, `shop/${name}`, ...CIDR)
          expect(explained.ports.map(rowOf)).toEqual(rows.filter((row) => row.name === name))
          for (const port of explained.ports) {
            expectWaysByPolicy(port)
            await expectTracesToAgree(port, objects)
          }
          if (name === 'web') expect(await probed(objects, healthCheckNodePort)).toEqual(healthOf(explained))
        }
      }),
      // Each run asks about twenty commands.
      { numRuns: SOAK ? 300 : QUICK ? 3 : 12 },
    )
  },
)

/** `services` tells a port as `explain` does, but for what becomes of packets, and for slices. */
const rowOf = ({ fronts: _, hints: __, overlaps: ___, slices: ____, endpoints, ...row }: ExplainedPort): unknown => ({
  ...row,
  endpoints: endpoints.map(({ slices: _____, ...endpoint }) => endpoint),
})

/** Which endpoints a packet may go to is what each endpoint is said to be used for. */
function expectWaysByPolicy({ endpoints, fronts, internalTrafficPolicy, externalTrafficPolicy }: ExplainedPort): void {
  const used = (kind: 'clusterTraffic' | 'localTraffic'): readonly string[] =>
    endpoints
      .filter((each) => each[kind]?.used === true)
      .map(keyOf)
      .toSorted()
  for (const { type, ways } of fronts) {
    for (const { from, fate, endpoints: reached } of ways) {
      if (fate !== 'endpoints') continue
      // A pod of this node, and the node itself, reach every endpoint by addresses for those outside.
      const isLocal =
        type === 'clusterIP'
          ? internalTrafficPolicy === 'Local'
          : externalTrafficPolicy === 'Local' && from === 'outside'
      expect({ type, from, reached: reached.map(keyOf).toSorted() }).toEqual({
        type,
        from,
        reached: used(isLocal ? 'localTraffic' : 'clusterTraffic'),
      })
    }
  }
}

async function expectTracesToAgree(port: ExplainedPort, objects: readonly KubernetesObject[]): Promise<void> {
  const { state } = buildState({ objects, nodeName: 'node-a' })
  for (const front of port.fronts) {
    for (const way of front.ways) {
      const from = way.from === 'pod' ? POD[port.family] : way.from
      const to = front.address.includes(':') ? `[${front.address}]` : front.address
      const packet = `${port.protocol.toLowerCase()} ${from} -> ${to}:${front.port}`
      const traced = await answerOf<Trace>('trace', objects, packet, ...CIDR)
      const meant = route(state, CONFIG, {
        from,
        to: front.address,
        port: front.port,
        protocol: port.protocol,
        ...(way.from === 'outside' && { interface: 'another' }),
      })
      const explained = { packet, ...told(way.fate, way.endpoints) }
      expect({ packet, ...told(traced.fate, traced.endpoints) }).toEqual(explained)
      expect({ packet, ...told(meant.verdict, meant.endpoints) }).toEqual(explained)
    }
  }
}

interface Reached {
  readonly slices?: unknown
  readonly address: string
  readonly port: number
  readonly odds: number
}

const told = (fate: string, endpoints: readonly Reached[]): object => ({
  fate,
  endpoints: endpoints.map((each) => `${keyOf(each)} ${each.odds.toFixed(3)}`).toSorted(),
})

const keyOf = ({ address, port }: { readonly address: string; readonly port: number }): string => `${address} ${port}`

/** What a load balancer hears of shop/web from the agent, as `explain` tells it. */
async function probed(objects: readonly KubernetesObject[], port: number): Promise<unknown> {
  ports ??= createHealthCheckPorts({
    addresses: () => ['127.0.0.1'],
    isServing: () => true,
    onFailed: ({ message }) => expect.fail(message),
    connections: createConnectionLimit({ maxConnections: 100 }),
    maxListeners: 4,
  })
  const { state } = buildState({ objects, nodeName: 'node-a' })
  ports.on(synced({ toSeq: 1, startedAt: 0, endedAt: 0, state }))
  await ports.settled()
  try {
    const { status, body } = await ask(port, '/')
    const { localEndpoints } = JSON.parse(body) as { readonly localEndpoints: number }
    return { status, localEndpoints }
  } catch {
    return 'closed'
  }
}

const healthOf = ({ healthCheck }: Explanation): unknown =>
  healthCheck === undefined ? 'closed' : { status: healthCheck.status, localEndpoints: healthCheck.localEndpoints }

async function answerOf<Answer>(
  command: string,
  objects: readonly KubernetesObject[],
  ...args: readonly string[]
): Promise<Answer> {
  const input = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects })
  const running = runInProcess([command, ...args, '--objects', '-', '-o', 'json'], { input })
  await running.ended
  expect({ command, args, isAnswered: running.stdout() !== '', stderr: running.stderr() }).toMatchObject({
    isAnswered: true,
  })
  return JSON.parse(running.stdout()) as Answer
}

interface ServiceRow {
  readonly name: string
}

interface Explanation {
  readonly ports: readonly ExplainedPort[]
  readonly healthCheck?: { readonly status: number; readonly localEndpoints: number }
}

interface ExplainedPort {
  readonly protocol: 'TCP' | 'UDP'
  readonly family: 'IPv4' | 'IPv6'
  readonly internalTrafficPolicy: string
  readonly externalTrafficPolicy: string
  readonly endpoints: readonly (Reached & {
    readonly [kind in 'clusterTraffic' | 'localTraffic']?: { readonly used: boolean }
  })[]
  readonly fronts: readonly {
    readonly type: string
    readonly address: string
    readonly port: number
    readonly ways: readonly {
      readonly from: 'pod' | 'node' | 'outside'
      readonly fate: string
      readonly endpoints: readonly Reached[]
    }[]
  }[]
  readonly hints: unknown
  readonly overlaps: unknown
  readonly slices?: unknown
}

interface Trace {
  readonly fate: string
  readonly endpoints: readonly Reached[]
}

const SOAK = process.env['POINTSMAN_SOAK'] === '1'
const QUICK = process.env['POINTSMAN_QUICK'] === '1'
const CIDRS = ['10.244.0.0/16', 'fd00:244::/32']
const CIDR = ['--cluster-cidr', CIDRS.join(',')]
const CONFIG: ProxyConfig = { ...DEFAULT_PROXY_CONFIG, detectLocal: { mode: 'ClusterCIDR', cidrs: CIDRS } }
/** A pod of node-a that is no endpoint. */
const POD = { IPv4: '10.244.1.200', IPv6: 'fd00:244:1::c8' }

const policy = fc.constantFrom('Cluster', 'Local')

const FAMILIES = fc.constantFrom<readonly ('IPv4' | 'IPv6')[]>(['IPv4'], ['IPv6'], ['IPv4', 'IPv6'])

const endpointArbitrary = fc.record({
  pod: fc.integer({ min: 1, max: 4 }),
  on: fc.constantFrom('a', 'b'),
  conditions: fc.constantFrom(
    { ready: true, serving: true, terminating: false },
    { ready: true, serving: true, terminating: false },
    { ready: false, serving: true, terminating: true },
    { ready: false, serving: false, terminating: false },
  ),
  zone: fc.constantFrom('', 'zone-a', 'zone-b'),
})

/** A Node of two families, and two Services: a load balancer that may be asked for its health, and one inside. */
const objectsArbitrary = (healthCheckNodePort: number): fc.Arbitrary<readonly KubernetesObject[]> =>
  fc
    .record({
      families: FAMILIES,
      internal: policy,
      external: policy,
      // The same pods in each family, as in a cluster, or other ones.
      endpoints: fc.array(fc.array(endpointArbitrary, { maxLength: 4 }), { minLength: 2, maxLength: 2 }),
      alike: fc.boolean(),
    })
    .map(({ families, internal, external, endpoints: [first = [], second = []], alike }) => {
      const address = { IPv4: '10.96.0.', IPv6: 'fd00:96::' }
      const spec = (number: number) => {
        const clusterIPs = families.map((family) => `${address[family]}${number}`)
        return { clusterIP: clusterIPs[0] ?? '', clusterIPs, ipFamilies: families, internalTrafficPolicy: internal }
      }
      const slices = ['web', 'cart'].flatMap((name) =>
        families.map((family) => {
          const chosen = family === 'IPv4' || alike ? first : second
          const once = new Map(chosen.map((each) => [`${each.on} ${each.pod}`, each]))
          return slice({
            namespace: 'shop',
            name: `${name}-${family.toLowerCase()}`,
            service: name,
            addressType: family,
            endpoints: [...once.values()].map(({ pod, on, conditions, zone }) => ({
              addresses: [
                family === 'IPv4' ? `10.244.${on === 'a' ? 1 : 2}.${pod}` : `fd00:244:${on === 'a' ? 1 : 2}::${pod}`,
              ],
              conditions,
              nodeName: `node-${on}`,
              ...(zone !== '' && { hints: { forZones: [{ name: zone }] } }),
            })),
          })
        }),
      )
      return [
        node({
          name: 'node-a',
          zone: 'zone-a',
          addresses: ['192.168.55.10', 'fd00:55::10'],
          podCIDRs: ['10.244.1.0/24', 'fd00:244:1::/64'],
        }),
        service({
          namespace: 'shop',
          name: 'web',
          spec: {
            ...spec(1),
            type: 'LoadBalancer',
            externalTrafficPolicy: external,
            ...(external === 'Local' && { healthCheckNodePort }),
            ports: [{ name: 'http', port: 80, nodePort: 30_080 }],
          },
        }),
        service({ namespace: 'shop', name: 'cart', spec: { ...spec(2), ports: [{ name: 'http', port: 80 }] } }),
        ...slices,
      ]
    })
