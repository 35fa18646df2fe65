import { expect, it } from 'vitest'
import type { KubernetesObject } from '../model/kubernetes-object.js'
import { node, service, slice } from '../testing/manifests.js'
import { diffObjects } from './diff-objects.js'

const told = (before: readonly KubernetesObject[], after: readonly KubernetesObject[]): readonly string[] =>
  diffObjects(before, after).map(
    ({ event, kind, name, recreated, changes }) =>
      `${event} ${kind} ${name}${recreated ? ' (made again)' : ''}: ${changes.join('; ')}`,
  )

const web = service({ name: 'web' })
const webSlice = slice({ name: 'web-1', service: 'web', endpoints: ['10.244.1.1'] })

it('tells what came, changed and went, Services before their slices before Nodes', () => {
  const edited = service({ name: 'web', spec: { selector: { app: 'other' } } })
  expect(
    told([web, node({ name: 'node-a' }), webSlice], [edited, slice({ name: 'new', service: 'web', endpoints: [] })]),
  ).toEqual([
    'MODIFIED Service web: selector app=web -> app=other',
    'ADDED EndpointSlice new: no endpoints of web, ports http 8080/TCP',
    'DELETED EndpointSlice web-1: was 1 endpoint of web, ports http 8080/TCP',
    'DELETED Node node-a: was 192.168.55.10, pods 10.244.1.0/24, zone zone-a',
  ])
})

it('says that an object is another one of its name', () => {
  expect(told([web], [service({ name: 'web', uid: 'other', createdAt: '2026-02-02T00:00:00Z' })])).toEqual([
    'MODIFIED Service web (made again): ',
  ])
})

it('passes over what only the API server keeps count by', () => {
  expect(told([web], [service({ name: 'web', resourceVersion: '99' })])).toEqual([])
  expect(told([web, webSlice], [webSlice, web])).toEqual([])
})
