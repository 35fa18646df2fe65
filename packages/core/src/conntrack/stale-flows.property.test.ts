import fc from 'fast-check'
import { expect, test } from 'vitest'
import { selectEndpoints } from '../model/endpoint-selection.js'
import { endpointKey } from '../model/endpoint.js'
import { DEFAULT_PROXY_CONFIG } from '../model/proxy-config.js'
import { frontsOf, type State } from '../state/state.js'
import { nodeInfoWith, stateOf, type PortDescription } from '../testing/state-builder.js'
import { isTranslated, planFlowDeletions, servedFrontsOf, type Flow } from './stale-flows.js'
import { flowOf } from './test-support/flow-text.js'

const NODE = nodeInfoWith()
const ADDRESSES = ['10.96.0.1', '10.96.0.2', '203.0.113.1', '203.0.113.2', ...NODE.addresses.slice(0, 1), '127.0.0.1']
const PODS = ['10.244.1.1', '10.244.1.2', '10.244.2.1']
const PORTS = [53, 5353, 30_053]

const policy = fc.constantFrom('Cluster' as const, 'Local' as const)

const endpoint = fc.record({
  at: fc
    .tuple(fc.constantFrom(...PODS), fc.constantFrom(53, 5353), fc.constantFrom('', '@node-a', '@node-b'))
    .map(([pod, port, node]) => `${pod}:${port}${node}`),
  ready: fc.boolean(),
  serving: fc.boolean(),
  terminating: fc.boolean(),
  zoneHints: fc.constantFrom(['zone-a'], ['zone-b']),
})

const port = (is: string): fc.Arbitrary<PortDescription> =>
  fc.record({
    is: fc.constant(is),
    protocol: fc.constantFrom('UDP' as const, 'UDP' as const, 'TCP' as const),
    clusterIP: fc.constantFrom('10.96.0.1', '10.96.0.2'),
    port: fc.constantFrom(53, 5353),
    nodePort: fc.constantFrom(0, 30_053),
    externalIPs: fc.subarray(['203.0.113.1', ...NODE.addresses.slice(0, 1)]),
    loadBalancerVIPs: fc.subarray(['203.0.113.2']),
    internalTrafficPolicy: policy,
    externalTrafficPolicy: policy,
    endpoints: fc.uniqueArray(endpoint, { maxLength: 4, selector: ({ at }) => at.split('@')[0] }),
  })

const states: fc.Arbitrary<State> = fc
  .tuple(port('shop/a'), port('shop/b'))
  .map((ports) => stateOf({ ports, node: NODE }))

const end = (addresses: readonly string[]): fc.Arbitrary<string> =>
  fc.tuple(fc.constantFrom(...addresses), fc.constantFrom(...PORTS)).map(([address, number]) => `${address}:${number}`)

const flows: fc.Arbitrary<Flow> = fc
  .tuple(end(ADDRESSES), fc.option(end([...PODS, ...ADDRESSES]), { nil: '' }), fc.constantFrom('', ' zone 5', ' tcp'))
  .map(([front, target, rest]) => flowOf(`10.0.1.2:4000 > ${front}${target === '' ? '' : ` > ${target}`}${rest}`))

/** What the rules would choose for the flow's destination, said once more and in another way. */
function chosenFor(flow: Flow, state: State): { readonly isFront: boolean; readonly targets: readonly string[] } {
  const { dst, dport } = flow.original
  const toNode = NODE.addresses.includes(dst) || dst.startsWith('127.')
  const ports = [...state.services.values()].filter(
    (each) =>
      each.protocol === 'UDP' &&
      frontsOf(each).some((front) => front.port === dport && (front.address === dst || (!front.address && toNode))),
  )
  const targets = ports.flatMap((each) => {
    const { cluster, local } = selectEndpoints({
      port: each,
      endpoints: state.endpoints.get(each.id) ?? [],
      node: state.node,
    })
    return [...cluster, ...local].map(endpointKey)
  })
  return { isFront: ports.length > 0, targets }
}

const deletes = (flow: Flow, state: State): boolean =>
  planFlowDeletions({
    flows: [flow],
    served: servedFrontsOf({ state, config: DEFAULT_PROXY_CONFIG, family: 'IPv4' }),
    formerFronts: new Set(),
  }).length > 0

const targetOf = ({ reply }: Flow): string => endpointKey({ address: reply.src, port: reply.sport })

test('no flow is deleted whose target the rules choose, that is no service’s, or that is not UDP', () => {
  fc.assert(
    fc.property(states, flows, (state, flow) => {
      const { isFront, targets } = chosenFor(flow, state)
      if (!isFront || targets.includes(targetOf(flow)) || flow.protocol !== 'udp') {
        expect(deletes(flow, state)).toBe(false)
      }
    }),
    { numRuns: 2000 },
  )
})

test('every flow to a front is deleted that is translated to what is no endpoint of any service', () => {
  fc.assert(
    fc.property(states, flows, (state, flow) => {
      const { isFront } = chosenFor(flow, state)
      const isEndpoint = [...state.endpoints.values()].flat().some((each) => endpointKey(each) === targetOf(flow))
      if (isFront && !isEndpoint && flow.protocol === 'udp' && isTranslated(flow)) {
        expect(deletes(flow, state)).toBe(true)
      }
    }),
    { numRuns: 2000 },
  )
})
