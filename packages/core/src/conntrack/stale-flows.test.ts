import { describe, expect, test } from 'vitest'
import type { IpFamily } from '../model/address.js'
import { DEFAULT_PROXY_CONFIG, type ProxyConfig } from '../model/proxy-config.js'
import { frontKey, frontsOf, type Front } from '../state/state.js'
import { service, slice } from '../testing/manifests.js'
import { nodeInfoWith, servicePortOf, stateOf, type PortDescription } from '../testing/state-builder.js'
import { planFlowDeletions, servedFrontsOf, udpFrontsOf } from './stale-flows.js'
import { flowOf, flowText } from './test-support/flow-text.js'

const dns: PortDescription = {
  is: 'kube-system/dns',
  protocol: 'UDP',
  clusterIP: '10.96.0.10',
  port: 53,
  endpoints: ['10.244.1.5:5353@node-a', '10.244.2.6:5353@node-b'],
}

interface Kernel {
  readonly ports?: readonly PortDescription[]
  readonly flows: readonly string[]
  readonly config?: Partial<ProxyConfig>
  readonly nodeAddresses?: readonly string[]
  readonly former?: readonly PortDescription[]
  readonly family?: IpFamily
}

const deletionsOf = ({ ports = [dns], flows, config, nodeAddresses, former = [], family = 'IPv4' }: Kernel) =>
  planFlowDeletions({
    flows: flows.map(flowOf),
    served: servedFrontsOf({
      state: stateOf({ ports, node: nodeInfoWith() }),
      config: { ...DEFAULT_PROXY_CONFIG, ...config },
      family,
      nodeAddresses,
    }),
    formerFronts: new Set(former.flatMap((port): readonly Front[] => frontsOf(servicePortOf(port))).map(frontKey)),
  }).map(flowText)

describe('flows to a cluster IP', () => {
  const stays = ['10.0.1.2:4000 > 10.96.0.10:53 > 10.244.1.5:5353', '10.0.1.2:4001 > 10.96.0.10:53 > 10.244.2.6:5353']

  test('stay with an endpoint that serves, on whichever node', () => {
    expect(deletionsOf({ flows: stays })).toEqual([])
  })

  test.each([
    ['an endpoint that is gone', '10.0.1.2:4000 > 10.96.0.10:53 > 10.244.1.9:5353'],
    ['a port that the endpoint no longer has', '10.0.1.2:4000 > 10.96.0.10:53 > 10.244.1.5:53'],
    ['nowhere else, because they are older than the endpoints', '10.0.1.2:4000 > 10.96.0.10:53'],
  ])('go when they lead to %s', (_, flow) => {
    expect(deletionsOf({ flows: [...stays, flow] })).toEqual([flow])
  })

  test('go when the Service has no endpoints at all', () => {
    expect(deletionsOf({ ports: [{ ...dns, endpoints: [] }], flows: stays })).toEqual(stays)
  })

  test('stay when the Service has no endpoints, and the rules let them go their way', () => {
    const ports = [{ ...dns, endpoints: [], externalIPs: ['203.0.113.1'] }]
    expect(deletionsOf({ ports, flows: ['192.168.55.10:4000 > 203.0.113.1:53'] })).toEqual([])
  })

  test.each([
    ['not ready', { ready: false, serving: false }, stays.slice(0, 1)],
    ['not ready, and said to serve for lack of a condition', { ready: false }, stays.slice(0, 1)],
    ['terminating, and still serving', { ready: false, terminating: true }, []],
    ['terminating, and no longer serving', { ready: false, serving: false, terminating: true }, stays.slice(0, 1)],
    ['ready although it does not serve (publishNotReadyAddresses)', { serving: false }, []],
    ['hinted to another zone', { zoneHints: ['zone-b'] }, []],
  ])('with an endpoint that is %s', (_, conditions, deleted) => {
    const endpoints = [{ at: '10.244.1.5:5353@node-a', ...conditions }, '10.244.2.6:5353@node-b']
    expect(deletionsOf({ ports: [{ ...dns, endpoints }], flows: stays })).toEqual(deleted)
  })

  test.each(['Local', 'Cluster'] as const)('stay with endpoints of other nodes when the policy is %s', (policy) => {
    const local = { ...dns, internalTrafficPolicy: policy, externalTrafficPolicy: policy, nodePort: 30_053 }
    expect(deletionsOf({ ports: [local], flows: stays })).toEqual([])
  })

  test.each([
    ['another port', '10.0.1.2:4000 > 10.96.0.10:54 > 10.244.1.9:5353'],
    ['another address', '10.0.1.2:4000 > 10.96.0.11:53 > 10.244.1.9:5353'],
    ['the front as their own source', '10.96.0.10:53 > 10.0.1.2:4000 > 10.244.1.9:5353'],
    ['TCP', '10.0.1.2:4000 > 10.96.0.10:53 > 10.244.1.9:5353 tcp'],
  ])('are not those of %s', (_, flow) => {
    expect(deletionsOf({ flows: [flow] })).toEqual([])
  })

  test('are not those of a TCP port with the same number', () => {
    const tcp: PortDescription = { ...dns, protocol: 'TCP', endpoints: [] }
    expect(deletionsOf({ ports: [tcp], flows: stays })).toEqual([])
  })

  test('that only pass by in a zone of their own are somebody else’s', () => {
    const passing = '10.0.1.2:4000 > 10.96.0.10:53 zone 65520'
    const lost = '10.0.1.2:4000 > 10.96.0.10:53 > 10.244.1.9:5353 zone 7'
    expect(deletionsOf({ flows: [passing, lost] })).toEqual([lost])
  })
})

describe('flows to other fronts', () => {
  const service: PortDescription = {
    ...dns,
    nodePort: 30_053,
    externalIPs: ['203.0.113.1'],
    loadBalancerVIPs: ['203.0.113.2'],
    loadBalancerProxyIPs: ['203.0.113.3'],
  }

  test.each([
    ['an external IP', '10.0.1.2:4000 > 203.0.113.1:53'],
    ['a load balancer', '10.0.1.2:4000 > 203.0.113.2:53'],
    ['a node port', '10.0.1.2:4000 > 192.168.55.10:30053'],
    ['a node port on localhost', '127.0.0.1:4000 > 127.0.0.1:30053'],
    ['a node port on any address of localhost', '127.0.0.1:4000 > 127.9.9.9:30053'],
  ])('to %s go when their target is gone', (_, flow) => {
    const flows = [`${flow} > 10.244.1.5:5353`, `${flow} > 10.244.1.9:5353`]
    expect(deletionsOf({ ports: [service], flows })).toEqual(flows.slice(1))
  })

  test.each([
    ['the port of a node port on another destination', '10.244.1.7:4000 > 9.9.9.9:30053'],
    ['the address of a load balancer that is a proxy', '10.0.1.2:4000 > 203.0.113.3:53'],
    ['the service’s port on the node’s address', '10.0.1.2:4000 > 192.168.55.10:53'],
  ])('to %s are somebody else’s', (_, flow) => {
    expect(deletionsOf({ ports: [service], flows: [flow, `${flow} > 10.244.1.9:5353`] })).toEqual([])
  })

  test('to a node port count on the addresses alone on which it answers', () => {
    const flows = ['192.168.55.10', '10.0.0.4', '127.0.0.1', '127.9.9.9'].map(
      (address) => `10.0.1.2:4000 > ${address}:30053 > 10.244.1.9:5353`,
    )
    const nodeAddresses = ['192.168.55.10', '10.0.0.4', '127.0.0.1']
    const on = (config: Partial<ProxyConfig>) => deletionsOf({ ports: [service], flows, nodeAddresses, config })
    expect(on({})).toEqual(flows)
    expect(on({ localhostNodePorts: false })).toEqual(flows.slice(0, 2))
    expect(on({ nodePortAddresses: ['10.0.0.0/8'] })).toEqual(flows.slice(1, 2))
    expect(on({ nodePortAddresses: 'primary' })).toEqual(flows.slice(0, 1))
    expect(on({ nodePortAddresses: ['127.0.0.0/8'] })).toEqual(flows.slice(2, 3))
    expect(on({ nodePortAddresses: ['0.0.0.0/0'] })).toEqual(flows)
  })

  test('that two Services claim stay with what serves either', () => {
    const other = { ...service, is: 'shop/dns', clusterIP: '10.96.0.11', endpoints: ['10.244.3.3:5353'] }
    const flows = ['10.244.1.5', '10.244.3.3', '10.244.1.9'].map(
      (target) => `10.0.1.2:4000 > 203.0.113.1:53 > ${target}:5353`,
    )
    expect(deletionsOf({ ports: [service, other], flows })).toEqual(flows.slice(2))
  })
})

describe('flows to what is a front no more', () => {
  const former: PortDescription = { ...dns, nodePort: 30_053, externalIPs: ['203.0.113.1'] }
  const flows = ['10.96.0.10:53', '203.0.113.1:53', '192.168.55.10:30053'].map(
    (front) => `10.0.1.2:4000 > ${front} > 10.244.1.5:5353`,
  )

  test('go when they are translated', () => {
    expect(deletionsOf({ ports: [], former: [former], flows })).toEqual(flows)
  })

  test('stay where nobody knows that it was one: others translate too', () => {
    expect(deletionsOf({ ports: [], flows })).toEqual([])
  })

  test('stay when they are not translated: a program of the node may have the port now', () => {
    const untranslated = ['10.0.1.2:4000 > 192.168.55.10:30053', '10.0.1.2:4000 > 10.96.0.10:53']
    expect(deletionsOf({ ports: [], former: [former], flows: untranslated })).toEqual([])
  })

  test('are judged by the Service that has it now', () => {
    const heir = { ...dns, is: 'shop/dns', endpoints: ['10.244.1.5:5353'] }
    expect(deletionsOf({ ports: [heir], former: [former], flows })).toEqual(flows.slice(1))
  })

  test('with the port of the former node port on another destination are somebody else’s', () => {
    const foreign = '10.244.1.7:4000 > 9.9.9.9:30053 > 10.244.1.5:5353'
    expect(deletionsOf({ ports: [], former: [former], flows: [foreign] })).toEqual([])
  })
})

test('flows of the one family are not judged by the fronts of the other', () => {
  const six: PortDescription = {
    ...dns,
    clusterIP: 'fd00:10:96::a',
    nodePort: 30_053,
    endpoints: ['[fd00:10:244::5]:5353'],
  }
  const flows = [
    '[fd00::2]:4000 > [fd00:10:96::a]:53 > [fd00:10:244::5]:5353',
    '[fd00::2]:4000 > [fd00:10:96::a]:53 > [fd00:10:244::9]:5353',
    '[fd00::2]:4000 > [fd00:55::10]:30053 > [fd00:10:244::9]:5353',
    '[::1]:4000 > [::1]:30053 > [fd00:10:244::9]:5353',
    '10.0.1.2:4000 > 192.168.55.10:30053 > 10.244.1.9:5353',
    '10.0.1.2:4000 > 10.96.0.10:53 > 10.244.1.5:5353',
  ]
  expect(deletionsOf({ ports: [six], flows, family: 'IPv6' })).toEqual(flows.slice(1, 3))
  expect(deletionsOf({ ports: [dns], flows, family: 'IPv4' })).toEqual([])
})

test('a history of objects gives each UDP front that there ever was, once', () => {
  const dns = { name: 'dns', protocol: 'UDP', port: 53 }
  const web = { name: 'web', protocol: 'TCP', port: 80 }
  const fronts = udpFrontsOf([
    service({ name: 'dns', spec: { clusterIP: '10.96.0.10', ports: [dns, web] } }),
    service({ name: 'dns', spec: { clusterIP: '10.96.0.10', ports: [dns], externalIPs: ['203.0.113.1'] } }),
    service({
      name: 'dns',
      spec: { type: 'NodePort', clusterIP: '10.96.0.11', ports: [{ ...dns, nodePort: 30_053 }] },
    }),
    service({ name: 'web', spec: { clusterIP: '10.96.0.12', ports: [web] } }),
    service({ name: 'headless', spec: { clusterIP: 'None', clusterIPs: ['None'], ports: [dns] } }),
    slice({ name: 'dns-1', service: 'dns', endpoints: ['10.244.1.5'], ports: [dns] }),
  ])
  expect(fronts.map(frontKey)).toEqual([
    'UDP 10.96.0.10 53',
    'UDP 203.0.113.1 53',
    'UDP 10.96.0.11 53',
    'UDP node IPv4 30053',
  ])
})
