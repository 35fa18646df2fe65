import { stateOf, type PortDescription } from '../testing/state-builder.js'
import { describe, expect, it } from 'vitest'
import { healthCheckedServices } from './port-traffic.js'

const lb: PortDescription = {
  is: 'shop/web:http',
  clusterIP: '10.96.0.1',
  externalTrafficPolicy: 'Local',
  healthCheckNodePort: 32_000,
}
const countOf = (...ports: readonly PortDescription[]): readonly (readonly [string, number, number])[] =>
  healthCheckedServices(stateOf({ node: {}, ports })).map(({ service, port, localEndpoints }) => [
    service,
    port,
    localEndpoints,
  ])

describe('local endpoints of a health-checked Service', () => {
  it('are those on this node, each address once, whatever its ports', () => {
    const endpoints = ['10.244.1.5:80@node-a', '10.244.1.6:80@node-a', '10.244.2.5:80@node-b', '10.244.2.6:80']
    const admin = { ...lb, is: 'shop/web:admin', port: 81, endpoints: ['10.244.1.5:81@node-a'] }
    expect(countOf({ ...lb, endpoints }, admin)).toEqual([['shop/web', 32_000, 2]])
  })

  it('are ready: one that only serves until it ends takes no new connections', () => {
    const endpoints = [
      { at: '10.244.1.5:80@node-a', ready: false, serving: true, terminating: true },
      { at: '10.244.1.6:80@node-a', ready: false, serving: false },
    ]
    expect(countOf({ ...lb, endpoints })).toEqual([['shop/web', 32_000, 0]])
  })

  it('of two families are those of the one that has more', () => {
    const six = { ...lb, clusterIP: 'fd00::1', endpoints: ['[fd00::5]:80@node-a', '[fd00::6]:80@node-a'] }
    expect(countOf({ ...lb, endpoints: ['10.244.1.5:80@node-a'] }, six)).toEqual([['shop/web', 32_000, 2]])
  })

  it('are asked of no other Service, and of none while the node is not known', () => {
    expect(countOf({ is: 'shop/other:http', clusterIP: '10.96.0.2', endpoints: ['10.244.1.5:80@node-a'] })).toEqual([])
    const [service] = healthCheckedServices(stateOf({ ports: [{ ...lb, endpoints: ['10.244.1.5:80@node-a'] }] }))
    expect(service).toMatchObject({ namespace: 'shop', name: 'web', localEndpoints: 0 })
  })
})
