import { describe, expect, test } from 'vitest'
import type { KubernetesObject } from '../model/kubernetes-object.js'
import { seq } from '../model/record.js'
import type { WatchEvent } from '../model/watch-event.js'
import { canonicalState } from '../testing/canonical-state.js'
import { createEventMaker, node, service, serviceCidr, slice } from '../testing/manifests.js'
import { buildState, createStateFold, type StateFold } from './state-fold.js'

function folded(events: readonly WatchEvent[], fold: StateFold = createStateFold()): StateFold {
  for (const event of events) fold.track(seq(fold.trackedSeq + 1), event)
  return fold
}

const endpointsOf = (fold: StateFold): Record<string, string[]> =>
  Object.fromEntries(
    [...fold.state.endpoints].map(([id, list]) => [id, list.map(({ address, port }) => `${address}:${port}`)]),
  )

const web = service({ name: 'web' })
const dns = service({
  name: 'dns',
  spec: {
    clusterIP: '10.96.0.10',
    type: 'NodePort',
    externalIPs: ['203.0.113.5'],
    ports: [{ name: 'dns', protocol: 'UDP', port: 53, nodePort: 30053 }],
  },
  status: { loadBalancer: { ingress: [{ ip: '198.51.100.7', ipMode: 'VIP' }] } },
})
const make = createEventMaker()

describe('what changed', () => {
  test('nothing is in the state before it is applied', () => {
    const fold = folded([make.added(web)])
    expect(fold.state.services.size).toBe(0)
    expect(fold.trackedSeq).toBe(1)
    fold.apply()
    expect([...fold.state.services.keys()]).toEqual(['shop/web:http/TCP/IPv4'])
    expect(fold.state.seq).toBe(1)
  })

  test('an update is an update, not a deletion', () => {
    const fold = folded([make.added(web)])
    fold.apply()
    folded([make.modified(service({ name: 'web', spec: { sessionAffinity: 'ClientIP' } }))], fold)
    expect([...fold.apply().changed]).toEqual(['shop/web:http/TCP/IPv4'])
    expect([...fold.state.services.values()].map(({ affinitySeconds }) => affinitySeconds)).toEqual([10_800])
  })

  test('a port that is gone leaves the others alone', () => {
    const http = { name: 'http', port: 80, protocol: 'TCP' }
    const ports = [http, { name: 'admin', port: 9000, protocol: 'TCP' }]
    const fold = folded([make.added(service({ name: 'web', spec: { ports } }))])
    fold.apply()
    folded([make.modified(service({ name: 'web', spec: { ports: [http] } }))], fold)
    expect([...fold.apply().changed]).toEqual(['shop/web:admin/TCP/IPv4'])
    expect([...fold.state.services.keys()]).toEqual(['shop/web:http/TCP/IPv4'])
  })

  test('changes that cancel out between two applications are none', () => {
    const fold = folded([
      make.added(web),
      make.added(slice({ name: 'web-1', service: 'web', endpoints: ['10.244.1.1'] })),
    ])
    fold.apply()
    folded(
      [
        make.modified(service({ name: 'web', spec: { sessionAffinity: 'ClientIP' } })),
        make.modified(slice({ name: 'web-1', service: 'web', endpoints: [] })),
        make.modified(web),
        make.modified(slice({ name: 'web-1', service: 'web', endpoints: ['10.244.1.1'] })),
      ],
      fold,
    )
    expect(fold.apply()).toEqual({
      changed: new Set(),
      nodeChanged: false,
      serviceCidrsChanged: false,
      diagnostics: new Map(),
    })
  })

  test('the CIDRs of all ServiceCIDRs count, sorted, as long as one of them has them', () => {
    const cidrs = (name: string, ...list: string[]) => serviceCidr({ name, cidrs: list })
    const fold = folded([
      make.added(cidrs('more', '10.112.0.0/16', '10.96.0.0/12')),
      make.added(cidrs('kubernetes', 'fd00:10:96::/112', '10.96.0.0/12')),
    ])
    expect(fold.apply()).toMatchObject({ serviceCidrsChanged: true, nodeChanged: false, changed: new Set() })
    expect(fold.state.serviceCidrs).toEqual(['10.112.0.0/16', '10.96.0.0/12', 'fd00:10:96::/112'])
    folded([make.deleted(cidrs('more', '10.112.0.0/16', '10.96.0.0/12'))], fold)
    expect(fold.apply().serviceCidrsChanged).toBe(true)
    expect(fold.state.serviceCidrs).toEqual(['10.96.0.0/12', 'fd00:10:96::/112'])
    folded(
      [
        make.modified(
          serviceCidr({ ...cidrs('kubernetes'), name: 'kubernetes', cidrs: fold.state.serviceCidrs, ready: false }),
        ),
      ],
      fold,
    )
    expect(fold.apply().serviceCidrsChanged).toBe(false)
  })

  test('what cannot be read is told when an object is read, and an empty list when it is no more', () => {
    const broken = service({ name: 'web', spec: { clusterIP: '10.96.0.300' } })
    const fold = folded([make.added(web), make.added(service({ name: 'api' }))])
    expect(fold.apply().diagnostics.size).toBe(0)
    const told = (event: WatchEvent): readonly string[] =>
      [...folded([event], fold).apply().diagnostics].map(([key, { length }]) => `${key} ${length}`)
    expect(told(make.modified(broken))).toEqual(['Service shop/web 1'])
    expect(told(make.modified(service({ name: 'api' })))).toEqual([])
    expect(told(make.modified(web))).toEqual(['Service shop/web 0'])
    expect(told(make.modified(broken))).toEqual(['Service shop/web 1'])
    expect(told(make.deleted(broken))).toEqual(['Service shop/web 0'])
    expect(told(make.added(node({ name: 'node-a', podCIDRs: ['x'] })))).toEqual(['Node /node-a 1'])
  })

  test('an edit of nothing that the proxy reads changes nothing', () => {
    const fold = folded([make.added(web)])
    fold.apply()
    folded([make.modified(service({ name: 'web', labels: { team: 'shop' } }))], fold)
    expect(fold.apply().changed.size).toBe(0)
  })

  test('a Service that another proxy takes over loses its ports', () => {
    const fold = folded([make.added(web)])
    fold.apply()
    folded(
      [make.modified(service({ name: 'web', labels: { 'service.kubernetes.io/service-proxy-name': 'other' } }))],
      fold,
    )
    expect([...fold.apply().changed]).toEqual(['shop/web:http/TCP/IPv4'])
    expect(fold.state.services.size).toBe(0)
  })

  test('the late deletion of an object does not take away the one that has its name now', () => {
    const fold = folded([
      make.added(service({ name: 'web', uid: 'old' })),
      make.added(service({ name: 'web', uid: 'new' })),
      make.deleted(service({ name: 'web', uid: 'old' })),
    ])
    fold.apply()
    expect(fold.state.services.size).toBe(1)
    folded([make.deleted(service({ name: 'web', uid: 'new' }))], fold)
    fold.apply()
    expect(fold.state.services.size).toBe(0)
  })
})

describe('slices', () => {
  test('a change of one slice leaves the endpoints of the others', () => {
    const fold = folded([
      make.added(slice({ name: 'web-1', service: 'web', endpoints: ['10.244.1.1'] })),
      make.added(slice({ name: 'web-2', service: 'web', endpoints: ['10.244.1.2'] })),
    ])
    fold.apply()
    folded([make.modified(slice({ name: 'web-2', service: 'web', endpoints: ['10.244.1.3'] }))], fold)
    fold.apply()
    expect(endpointsOf(fold)).toEqual({ 'shop/web:http/TCP/IPv4': ['10.244.1.1:8080', '10.244.1.3:8080'] })
  })

  test('a slice whose label moves leaves its old Service', () => {
    const fold = folded([
      make.added(slice({ name: 's-1', service: 'web', endpoints: ['10.244.1.1'] })),
      make.added(slice({ name: 's-2', service: 'web', endpoints: ['10.244.1.2'] })),
    ])
    fold.apply()
    folded([make.modified(slice({ name: 's-2', service: 'api', endpoints: ['10.244.1.2'] }))], fold)
    expect([...fold.apply().changed]).toEqual(['shop/web:http/TCP/IPv4', 'shop/api:http/TCP/IPv4'])
    expect(endpointsOf(fold)).toEqual({
      'shop/web:http/TCP/IPv4': ['10.244.1.1:8080'],
      'shop/api:http/TCP/IPv4': ['10.244.1.2:8080'],
    })
  })

  test('a slice that loses its label, and one that is deleted, take their endpoints along', () => {
    const fold = folded([
      make.added(slice({ name: 's-1', service: 'web', endpoints: ['10.244.1.1'] })),
      make.added(slice({ name: 's-2', service: 'api', endpoints: ['10.244.1.2'] })),
    ])
    fold.apply()
    folded(
      [
        make.modified(slice({ name: 's-1', service: null, endpoints: ['10.244.1.1'] })),
        make.deleted(slice({ name: 's-2', service: 'api', endpoints: [] })),
      ],
      fold,
    )
    fold.apply()
    expect(endpointsOf(fold)).toEqual({})
  })

  test('slices of one name in two namespaces are two', () => {
    const fold = folded([
      make.added(slice({ name: 's', namespace: 'a', service: 'web', endpoints: ['10.244.1.1'] })),
      make.added(slice({ name: 's', namespace: 'b', service: 'web', endpoints: ['10.244.1.2'] })),
    ])
    fold.apply()
    expect(Object.keys(endpointsOf(fold))).toEqual(['a/web:http/TCP/IPv4', 'b/web:http/TCP/IPv4'])
  })
})

describe('the node', () => {
  const change = (before: KubernetesObject, after: KubernetesObject): boolean => {
    const fold = folded([make.added(before)])
    fold.apply()
    return folded([make.modified(after)], fold).apply().nodeChanged
  }

  test.each([
    ['its zone', node({ name: 'node-a', zone: 'zone-b' })],
    ['an address', node({ name: 'node-a', addresses: ['192.168.55.11'] })],
    ['a pod CIDR', node({ name: 'node-a', podCIDRs: ['10.244.9.0/24'] })],
  ])('%s is a change of every rule', (_, after) => {
    expect(change(node({ name: 'node-a' }), after)).toBe(true)
  })

  test('a taint is state, and no rule hangs on it', () => {
    const taints = [{ key: 'ToBeDeletedByClusterAutoscaler', effect: 'NoSchedule' }]
    const fold = folded([make.added(node({ name: 'node-a' }))])
    fold.apply()
    expect(folded([make.modified(node({ name: 'node-a', taints }))], fold).apply().nodeChanged).toBe(false)
    expect(fold.state.node?.taints).toEqual(taints)
  })

  test('is the named one of several', () => {
    const fold = folded(
      [make.added(node({ name: 'node-a' })), make.added(node({ name: 'node-b', zone: 'zone-b' }))],
      createStateFold({ nodeName: 'node-b' }),
    )
    fold.apply()
    expect(fold.state.node?.zone).toBe('zone-b')
    folded([make.modified(node({ name: 'node-a', zone: 'zone-c' }))], fold)
    expect(fold.apply().nodeChanged).toBe(false)
  })

  test('is nobody while there are several and none is named', () => {
    const fold = folded([make.added(node({ name: 'node-a' })), make.added(node({ name: 'node-b' }))])
    fold.apply()
    expect(fold.state.node).toBeUndefined()
  })
})

test('a state built from the final objects is the folded one', () => {
  const moved = slice({ name: 's-2', service: 'api', endpoints: ['10.244.1.2'] })
  const fold = folded([
    make.added(web),
    make.added(slice({ name: 's-1', service: 'web', endpoints: ['10.244.1.1'] })),
    make.added(slice({ name: 's-2', service: 'web', endpoints: ['10.244.1.1', '10.244.1.2'] })),
    make.added(dns),
    make.added(node({ name: 'node-a' })),
    make.modified(moved),
    make.deleted(dns),
  ])
  fold.apply()
  const objects = [
    node({ name: 'node-a' }),
    moved,
    web,
    slice({ name: 's-1', service: 'web', endpoints: ['10.244.1.1'] }),
  ]
  expect(canonicalState(fold.state)).toBe(canonicalState(buildState({ objects }).state))
})
