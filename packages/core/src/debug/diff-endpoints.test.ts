import { expect, it } from 'vitest'
import { type PortDescription, stateOf } from '../testing/state-builder.js'
import { endpointCondition, endpointKey } from '../model/endpoint.js'
import { diffEndpoints } from './diff-objects.js'

const WEB: PortDescription = { is: 'shop/web:http', clusterIP: '10.96.0.1' }
const CART: PortDescription = { is: 'shop/cart:http', clusterIP: '10.96.0.2', endpoints: ['10.244.1.9:80'] }

const told = (before: readonly PortDescription[], after: readonly PortDescription[]): readonly string[] =>
  diffEndpoints(stateOf({ ports: before }), stateOf({ ports: after })).map(
    ({ event, port, endpoints }) =>
      `${event} ${port.name}: ${endpoints
        .map((difference) => {
          const place = difference.after ?? difference.before
          const states = [difference.before, difference.after].map((one) => (one ? endpointCondition(one) : 'none'))
          return `${place === undefined ? '' : endpointKey(place)} ${states.join(' -> ')}`
        })
        .join('; ')}`,
  )

it('tells which endpoints came, left, and are in another condition, by address', () => {
  const before = [{ ...WEB, endpoints: ['10.244.1.1:80', '10.244.1.2:80', '10.244.1.3:80'] }, CART]
  const ill = { at: '10.244.1.2:80', ready: false, serving: false }
  const after = [{ ...WEB, endpoints: [ill, '10.244.1.3:80', '10.244.1.4:80'] }, CART]
  expect(told(before, after)).toEqual([
    'MODIFIED web: 10.244.1.1:80 ready -> none; 10.244.1.2:80 ready -> not ready; 10.244.1.4:80 none -> ready',
  ])
})

it('tells of ports that came and went, with or without endpoints', () => {
  expect(told([CART], [WEB])).toEqual(['DELETED cart: 10.244.1.9:80 ready -> none', 'ADDED web: '])
})

it('says nothing of a port that changed in something else', () => {
  expect(told([CART], [{ ...CART, clusterIP: '10.96.0.7', nodePort: 30_000 }])).toEqual([])
})
