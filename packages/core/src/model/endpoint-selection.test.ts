import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { endpointSliceArbitrary, serviceArbitrary } from '../testing/arbitraries.js'
import { service } from '../testing/manifests.js'
import { explainSelection, selectEndpoints, type SelectionInput } from './endpoint-selection.js'
import { type Endpoint, endpointKey } from './endpoint.js'
import type { JsonObject } from './kubernetes-object.js'
import { servicePortsOf } from './service-ports.js'
import { endpointsOfSlice } from './slice-endpoints.js'

const portOf = (spec: JsonObject): SelectionInput['port'] => {
  const [port] = servicePortsOf(service({ name: 'web', spec })).ports
  if (port === undefined) throw new Error('no port')
  return port
}
const CLUSTER = portOf({})
const INTERNAL_LOCAL = portOf({ internalTrafficPolicy: 'Local' })
const EXTERNAL_LOCAL = portOf({
  type: 'NodePort',
  externalTrafficPolicy: 'Local',
  ports: [{ port: 80, nodePort: 30080 }],
})

type Sketch = Omit<Partial<Endpoint>, 'address'>
const ON_A: Sketch = { nodeName: 'node-a' }
const ON_B: Sketch = { nodeName: 'node-b' }
const TERMINATING: Sketch = { ready: false, serving: true, terminating: true }
const GONE: Sketch = { ready: false, serving: false, terminating: true }
const NOT_READY: Sketch = { ready: false, serving: false, terminating: false }

/** Endpoints a, b, c in the order given: what is told is their letters. */
const endpointsOf = (sketches: readonly Sketch[]): readonly Endpoint[] =>
  sketches.map((sketch, index) => ({
    address: `10.0.0.${index + 1}`,
    port: 80,
    ready: true,
    serving: true,
    terminating: false,
    ...sketch,
  }))
const letters = (endpoints: readonly Endpoint[]): string =>
  endpoints.map(({ address }) => 'abcdef'[Number(address.slice(7)) - 1]).join('')

const NODE_A = { name: 'node-a', zone: 'zone-a' }

describe('the endpoints that a node may use', () => {
  it.each<
    [
      string,
      SelectionInput['port'],
      readonly Sketch[],
      { readonly cluster: string; readonly local: string; readonly has: boolean },
    ]
  >([
    ['are the ready ones', CLUSTER, [ON_A, ON_B, NOT_READY, TERMINATING], { cluster: 'ab', local: '', has: true }],
    [
      'are terminating ones that serve when none is ready',
      CLUSTER,
      [NOT_READY, TERMINATING, GONE],
      { cluster: 'b', local: '', has: true },
    ],
    [
      'are ready when said so, terminating or not',
      CLUSTER,
      [{ terminating: true }, TERMINATING],
      { cluster: 'a', local: '', has: true },
    ],
    ['are none', CLUSTER, [], { cluster: '', local: '', has: false }],
    ['are none when all are gone', CLUSTER, [NOT_READY, GONE], { cluster: '', local: '', has: false }],
    [
      'are those of the node with internal policy Local',
      INTERNAL_LOCAL,
      [ON_A, ON_B, {}],
      { cluster: '', local: 'a', has: true },
    ],
    ['may all be elsewhere with internal policy Local', INTERNAL_LOCAL, [ON_B], { cluster: '', local: '', has: true }],
    [
      'may be terminating elsewhere with internal policy Local',
      INTERNAL_LOCAL,
      [{ ...ON_B, ...TERMINATING }],
      { cluster: '', local: '', has: true },
    ],
    ['are both with external policy Local', EXTERNAL_LOCAL, [ON_A, ON_B], { cluster: 'ab', local: 'a', has: true }],
    [
      'fall back for the node alone when others are ready elsewhere',
      EXTERNAL_LOCAL,
      [{ ...ON_A, ...TERMINATING }, ON_B, { ...ON_B, ...GONE }],
      { cluster: 'b', local: 'a', has: true },
    ],
  ])('%s', (_, port, sketches, expected) => {
    const { cluster, local, hasEndpoints } = selectEndpoints({ port, endpoints: endpointsOf(sketches), node: NODE_A })
    expect({ cluster: letters(cluster), local: letters(local), has: hasEndpoints }).toEqual(expected)
  })

  it.each<[string, readonly Sketch[], { readonly cluster: boolean; readonly local: boolean }]>([
    ['neither', [ON_A], { cluster: false, local: false }],
    ['local traffic alone', [{ ...ON_A, ...TERMINATING }, ON_B], { cluster: false, local: true }],
    ['both', [{ ...ON_A, ...TERMINATING }], { cluster: true, local: true }],
    ['cluster traffic alone', [{ ...ON_B, ...TERMINATING }], { cluster: true, local: false }],
  ])('say that terminating endpoints serve %s', (_, sketches, expected) => {
    const selection = selectEndpoints({ port: EXTERNAL_LOCAL, endpoints: endpointsOf(sketches), node: NODE_A })
    expect({ cluster: selection.clusterFallback, local: selection.localFallback }).toEqual(expected)
  })

  it('are never local while the node is not known', () => {
    const endpoints = endpointsOf([ON_A, { nodeName: '' }])
    for (const node of [undefined, { name: '', zone: '' }]) {
      expect(letters(selectEndpoints({ port: EXTERNAL_LOCAL, endpoints, node }).local)).toBe('')
    }
  })
})

const zones = (...zoneHints: readonly string[]): Sketch => ({ zoneHints })
const nodes = (...nodeHints: readonly string[]): Sketch => ({ nodeHints })

describe('topology hints', () => {
  const NO_ZONE = { name: 'node-a', zone: '' }
  it.each<[string, SelectionInput['node'], readonly Sketch[], string, string | undefined, readonly [string, string]]>([
    [
      'keep traffic in the zone',
      NODE_A,
      [zones('zone-a'), zones('zone-b'), zones('zone-b', 'zone-a')],
      'ac',
      'PreferSameZone',
      ['NO_HINTS', 'FOLLOWED'],
    ],
    [
      'keep traffic on the node, before the zone',
      NODE_A,
      [
        { ...nodes('node-a'), ...zones('zone-b') },
        { ...nodes('node-b'), ...zones('zone-a') },
      ],
      'a',
      'PreferSameNode',
      ['FOLLOWED', 'NODE_HINTS_FOLLOWED'],
    ],
    [
      'for zones count where those for nodes name others',
      NODE_A,
      [
        { ...nodes('node-c'), ...zones('zone-b') },
        { ...nodes('node-b'), ...zones('zone-a') },
      ],
      'b',
      'PreferSameZone',
      ['NONE_FOR_THIS_NODE', 'FOLLOWED'],
    ],
    [
      'do not count unless every ready endpoint has one',
      NODE_A,
      [zones('zone-a'), {}],
      'ab',
      undefined,
      ['NO_HINTS', 'SOME_WITHOUT_HINT'],
    ],
    [
      'are not asked of endpoints that are not ready',
      NODE_A,
      [zones('zone-a'), NOT_READY, zones('zone-b')],
      'a',
      'PreferSameZone',
      ['NO_HINTS', 'FOLLOWED'],
    ],
    [
      'do not count when none names the zone',
      NODE_A,
      [zones('zone-b')],
      'a',
      undefined,
      ['NO_HINTS', 'NONE_FOR_THIS_ZONE'],
    ],
    [
      'of an endpoint that is not ready name nothing',
      NODE_A,
      [zones('zone-b'), { ...NOT_READY, ...zones('zone-a') }],
      'a',
      undefined,
      ['NO_HINTS', 'NONE_FOR_THIS_ZONE'],
    ],
    [
      'do not count on a node without a zone',
      NO_ZONE,
      [zones('zone-a')],
      'a',
      undefined,
      ['NO_HINTS', 'NODE_WITHOUT_ZONE'],
    ],
    [
      'do not count on a node that is not known',
      undefined,
      [{ ...nodes('node-a'), ...zones('zone-a') }],
      'a',
      undefined,
      ['NODE_UNKNOWN', 'NODE_UNKNOWN'],
    ],
    [
      'do not count among terminating endpoints',
      NODE_A,
      [
        { ...TERMINATING, ...zones('zone-a') },
        { ...TERMINATING, ...zones('zone-b') },
      ],
      'ab',
      undefined,
      ['NO_READY_ENDPOINT', 'NO_READY_ENDPOINT'],
    ],
    ['may not be there', NODE_A, [{}], 'a', undefined, ['NO_HINTS', 'NO_HINTS']],
  ])('%s', (_, node, sketches, used, distribution, [nodeHints, zoneHints]) => {
    const input = { port: CLUSTER, endpoints: endpointsOf(sketches), node }
    const selection = selectEndpoints(input)
    expect(letters(selection.cluster)).toBe(used)
    expect(selection.distribution).toBe(distribution)
    expect(explainSelection(input).hints).toEqual({
      ...(distribution !== undefined && { distribution }),
      nodeHints,
      zoneHints,
    })
  })

  it('never count for policy Local', () => {
    const input = {
      port: INTERNAL_LOCAL,
      endpoints: endpointsOf([
        { ...ON_A, ...zones('zone-b') },
        { ...ON_B, ...zones('zone-a') },
      ]),
      node: NODE_A,
    }
    expect(letters(selectEndpoints(input).local)).toBe('a')
    expect(explainSelection(input).hints).toEqual({ nodeHints: 'POLICY_NOT_USED', zoneHints: 'POLICY_NOT_USED' })
  })
})

describe('the reason of each endpoint', () => {
  const reasons = (input: SelectionInput, traffic: 'cluster' | 'local'): readonly string[] =>
    explainSelection(input)[traffic].map(({ used, reason }) => `${used ? 'used' : 'not used'}: ${reason}`)

  it.each<[string, SelectionInput['port'], readonly Sketch[], 'cluster' | 'local', readonly string[]]>([
    [
      'when some are ready',
      CLUSTER,
      [{}, NOT_READY, TERMINATING, GONE],
      'cluster',
      ['used: READY', 'not used: NOT_READY', 'not used: TERMINATING_NOT_NEEDED', 'not used: NOT_SERVING'],
    ],
    [
      'when none is ready',
      CLUSTER,
      [NOT_READY, TERMINATING, GONE],
      'cluster',
      ['not used: NOT_READY', 'used: TERMINATING_FALLBACK', 'not used: NOT_SERVING'],
    ],
    [
      'for hints of zones',
      CLUSTER,
      [zones('zone-a'), zones('zone-b'), { ...TERMINATING, ...zones('zone-b') }],
      'cluster',
      ['used: READY', 'not used: HINT_OTHER_ZONE', 'not used: TERMINATING_NOT_NEEDED'],
    ],
    [
      'for hints of nodes',
      CLUSTER,
      [nodes('node-a'), nodes('node-b')],
      'cluster',
      ['used: READY', 'not used: HINT_OTHER_NODE'],
    ],
    ['for traffic that the port does not have', CLUSTER, [{}], 'local', ['not used: POLICY_NOT_USED']],
    [
      'for cluster traffic of a port with Local alone',
      INTERNAL_LOCAL,
      [ON_A],
      'cluster',
      ['not used: POLICY_NOT_USED'],
    ],
    [
      'on this node and others',
      EXTERNAL_LOCAL,
      [ON_A, ON_B, {}, { ...ON_A, ...TERMINATING }],
      'local',
      ['used: READY', 'not used: NOT_LOCAL', 'not used: NO_NODE_NAME', 'not used: TERMINATING_NOT_NEEDED'],
    ],
    [
      'when none on this node is ready',
      EXTERNAL_LOCAL,
      [{ ...ON_A, ...TERMINATING }, ON_B],
      'local',
      ['used: TERMINATING_FALLBACK', 'not used: NOT_LOCAL'],
    ],
  ])('is told %s', (_, port, sketches, traffic, expected) => {
    expect(reasons({ port, endpoints: endpointsOf(sketches), node: NODE_A }, traffic)).toEqual(expected)
  })

  it('is told when the node is not known', () => {
    expect(reasons({ port: EXTERNAL_LOCAL, endpoints: endpointsOf([ON_A]), node: undefined }, 'local')).toEqual([
      'not used: NODE_UNKNOWN',
    ])
  })

  it('says "used" of exactly those that are selected', () => {
    const node = fc.constantFrom(undefined, NODE_A, { name: 'node-b', zone: 'zone-b' }, { name: 'node-c', zone: '' })
    let tried = 0
    fc.assert(
      fc.property(serviceArbitrary(), endpointSliceArbitrary(), node, (object, slice, chosen) => {
        const [endpoints] = endpointsOfSlice(slice).endpoints.values()
        for (const port of servicePortsOf(object).ports) {
          const input = { port, endpoints: endpoints ?? [], node: chosen }
          const selection = selectEndpoints(input)
          const explanation = explainSelection(input)
          const used = (traffic: 'cluster' | 'local'): readonly string[] =>
            explanation[traffic].filter((verdict) => verdict.used).map(({ endpoint }) => endpointKey(endpoint))
          expect(used('cluster')).toEqual(selection.cluster.map(endpointKey))
          expect(used('local')).toEqual(selection.local.map(endpointKey))
          expect(explanation.hints.distribution).toBe(selection.distribution)
          const fallback = (traffic: 'cluster' | 'local'): boolean =>
            explanation[traffic].some(({ reason }) => reason === 'TERMINATING_FALLBACK')
          expect(fallback('cluster')).toBe(selection.clusterFallback)
          expect(fallback('local')).toBe(selection.localFallback)
          tried++
        }
      }),
    )
    expect(tried).toBeGreaterThan((fc.readConfigureGlobal().numRuns ?? 100) / 2)
  })
})
