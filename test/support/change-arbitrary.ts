import type { State } from '@pointsman/core'
import { endpointsOf } from '@pointsman/core/testing'
import fc from 'fast-check'
import { stateArbitrary } from './proxy-arbitraries.js'

/** Two states on one node: something happened to each service, or everything is another. */
export const changeArbitrary = (): fc.Arbitrary<{ readonly before: State; readonly after: State }> =>
  fc.tuple(stateArbitrary(), fc.oneof(changesArbitrary, stateArbitrary())).map(([before, change]) => ({
    before,
    after: 'services' in change ? onNodeOf(before, change) : changed(before, change),
  }))

const CHANGES = [
  'none',
  'gains endpoints',
  'loses endpoints',
  'loses endpoints here',
  'ranges',
  'no ranges',
  'other external policy',
  'other internal policy',
  'other affinity',
  'loses an address',
  'gone',
] as const
type Change = (typeof CHANGES)[number]
const changesArbitrary: fc.Arbitrary<readonly Change[]> = fc.array(fc.constantFrom(...CHANGES), {
  minLength: 5,
  maxLength: 10,
})

/** States of one cluster, one after the other: something happens to each service, or the node leaves and comes back to another. */
export const statesArbitrary = (): fc.Arbitrary<readonly State[]> =>
  fc
    .tuple(stateArbitrary(), fc.array(fc.oneof(changesArbitrary, stateArbitrary()), { minLength: 1, maxLength: 4 }))
    .map(([first, changes]) =>
      changes.reduce<readonly State[]>(
        (states, change) => [...states, 'services' in change ? change : changed(states.at(-1) ?? first, change)],
        [first],
      ),
    )

const onNodeOf = ({ node }: State, { node: _, ...rest }: State): State => ({ ...rest, ...(node && { node }) })

function changed(state: State, changes: readonly Change[]): State {
  const services = new Map(state.services)
  const endpoints = new Map(state.endpoints)
  for (const [index, port] of [...state.services.values()].entries()) {
    const list = endpoints.get(port.id) ?? []
    switch (changes[index % changes.length] ?? 'none') {
      case 'gains endpoints':
        endpoints.set(
          port.id,
          endpointsOf([port.family === 'IPv4' ? '10.244.1.9:80@node-a' : '[fd00:10:244:1::9]:80@node-a']),
        )
        break
      case 'loses endpoints':
        endpoints.delete(port.id)
        break
      case 'loses endpoints here':
        endpoints.set(
          port.id,
          list.map((endpoint) => ({ ...endpoint, nodeName: 'node-b' })),
        )
        break
      case 'ranges':
        services.set(port.id, {
          ...port,
          loadBalancerSourceRanges: [port.family === 'IPv4' ? '10.0.0.0/8' : 'fd00::/8'],
        })
        break
      case 'no ranges':
        services.set(port.id, { ...port, loadBalancerSourceRanges: [] })
        break
      case 'other external policy':
        services.set(port.id, { ...port, externalTrafficPolicy: otherPolicy(port.externalTrafficPolicy) })
        break
      case 'other internal policy':
        services.set(port.id, { ...port, internalTrafficPolicy: otherPolicy(port.internalTrafficPolicy) })
        break
      case 'other affinity':
        services.set(port.id, { ...port, affinitySeconds: port.affinitySeconds === 0 ? 180 : 0 })
        break
      case 'loses an address':
        services.set(port.id, { ...port, externalIPs: [] })
        break
      case 'gone':
        services.delete(port.id)
        break
      case 'none':
    }
  }
  return { ...state, services, endpoints }
}

const otherPolicy = (policy: 'Cluster' | 'Local'): 'Cluster' | 'Local' => (policy === 'Cluster' ? 'Local' : 'Cluster')
