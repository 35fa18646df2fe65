import { describe, expect, it } from 'vitest'
import { stateOf, nodeInfoWith } from '../testing/state-builder.js'
import { route } from './route.js'
import { RouteError, type Packet } from './source.js'
import { CLUSTER_CIDR } from './test-support/scenario.js'

const state = stateOf({
  ports: [
    {
      is: 'shop/cart:http',
      clusterIP: '10.96.0.10',
      nodePort: 30080,
      endpoints: [
        { at: '10.244.1.10:8080@node-a', pod: 'cart-2' },
        { at: '10.244.1.5:8080@node-a', pod: 'cart-1' },
        '10.244.1.9:8080@node-a',
      ],
    },
  ],
  node: nodeInfoWith(),
})
const packet: Packet = { from: '10.244.1.77', to: '10.96.0.10', port: 80, protocol: 'TCP' }
const ask = (fields: Partial<Packet>) => route(state, CLUSTER_CIDR, { ...packet, ...fields })

describe('the answer to a packet', () => {
  it('names the service port, the front and each endpoint with its pod, in order of their keys', () => {
    expect(ask({})).toEqual({
      verdict: 'endpoints',
      reason: 'shop/cart:http sends it to 3 endpoints, by its cluster IP',
      servicePort: 'shop/cart:http/TCP/IPv4',
      front: { type: 'clusterIP', address: '10.96.0.10', port: 80 },
      endpoints: [
        { address: '10.244.1.10', port: 8080, odds: 1 / 3, masqueraded: false, pod: 'cart-2' },
        { address: '10.244.1.5', port: 8080, odds: 1 / 3, masqueraded: false, pod: 'cart-1' },
        { address: '10.244.1.9', port: 8080, odds: 1 / 3, masqueraded: false },
      ],
    })
  })

  it('has odds that add up to 1', () => {
    expect(ask({}).endpoints.reduce((sum, { odds }) => sum + odds, 0)).toBeCloseTo(1, 12)
  })

  it('names the address that a node port was asked on', () => {
    expect(ask({ from: 'outside', to: '192.168.55.10', port: 30080 }).front).toEqual({
      type: 'nodePort',
      address: '192.168.55.10',
      port: 30080,
    })
  })

  it('names the service port that refused as well', () => {
    const empty = { ...state, endpoints: new Map() }
    const { verdict, servicePort, front, endpoints } = route(empty, CLUSTER_CIDR, packet)
    expect({ verdict, servicePort, front, endpoints }).toEqual({
      verdict: 'rejected',
      servicePort: 'shop/cart:http/TCP/IPv4',
      front: { type: 'clusterIP', address: '10.96.0.10', port: 80 },
      endpoints: [],
    })
  })

  it('takes a protocol in small letters', () => expect(ask({ protocol: 'tcp' })).toEqual(ask({})))
})

describe('what is no packet is refused', () => {
  it.each<readonly [Partial<Packet>, string, string]>([
    [{ to: 'checkout' }, 'NOT_AN_ADDRESS', 'the destination "checkout" is not an IP address'],
    [{ to: 'node' }, 'NOT_AN_ADDRESS', 'the destination "node" is not an IP address'],
    [{ from: 'shop/cart' }, 'NOT_AN_ADDRESS', 'the source "shop/cart" is not an IP address, nor "node" or "outside"'],
    [
      { from: '10.96.0.10:80' },
      'NOT_AN_ADDRESS',
      'the source "10.96.0.10:80" is not an IP address, nor "node" or "outside"',
    ],
    [{ from: 'fd00::1' }, 'FAMILY_MISMATCH', 'fd00::1 is IPv6 and 10.96.0.10 is IPv4'],
    [{ port: 0 }, 'NOT_A_PORT', '0 is not a port: give a whole number from 1 to 65535'],
    [{ port: 65_536 }, 'NOT_A_PORT', '65536 is not a port: give a whole number from 1 to 65535'],
    [{ port: 1.5 }, 'NOT_A_PORT', '1.5 is not a port: give a whole number from 1 to 65535'],
    [{ port: Number.NaN }, 'NOT_A_PORT', 'NaN is not a port: give a whole number from 1 to 65535'],
    [{ protocol: 'icmp' as 'tcp' }, 'UNKNOWN_PROTOCOL', '"icmp" is none of TCP, UDP, SCTP'],
  ])('%j: %s', (fields, code, message) => {
    let thrown: unknown
    try {
      ask(fields)
    } catch (error) {
      thrown = error
    }
    expect(thrown).toBeInstanceOf(RouteError)
    expect(thrown).toMatchObject({ code, message })
  })
})
