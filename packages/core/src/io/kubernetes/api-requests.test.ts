import { expect, test } from 'vitest'
import { pageRequest, checkRequest, streamingListRequest, watchRequest, watchTimeoutSeconds } from './api-requests.js'
import { watchedKinds } from './watch-kind.js'

const [services, slices, nodes] = watchedKinds('node-a')

const shown = ({ path, query }: { path: string; query: Readonly<Record<string, string>> }): string =>
  `${path}?${Object.entries(query)
    .map(([key, value]) => `${key}=${value}`)
    .join('&')}`

test('asks for what kube-proxy 1.36 asks for', () => {
  expect(services && shown(watchRequest(services, { resourceVersion: '113', timeoutSeconds: 300 }))).toBe(
    '/api/v1/services?labelSelector=!service.kubernetes.io/service-proxy-name&fieldSelector=spec.clusterIP!=None&watch=1&resourceVersion=113&allowWatchBookmarks=true&timeoutSeconds=300',
  )
  expect(slices && shown(pageRequest(slices, { pageSize: 500 }))).toBe(
    '/apis/discovery.k8s.io/v1/endpointslices?labelSelector=!service.kubernetes.io/headless&limit=500',
  )
  expect(nodes && shown(pageRequest(nodes, { pageSize: 500 }))).toBe(
    '/api/v1/nodes?fieldSelector=metadata.name=node-a&limit=500',
  )
})

test('asks for all Nodes where none is named', () => {
  expect(watchedKinds()[2]?.selectors).toEqual({})
})

test('a streaming list may say what it must not be older than, and always how it is meant', () => {
  expect(slices && shown(streamingListRequest(slices, { timeoutSeconds: 400 }))).toBe(
    '/apis/discovery.k8s.io/v1/endpointslices?labelSelector=!service.kubernetes.io/headless&watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&timeoutSeconds=400',
  )
  expect(slices && streamingListRequest(slices, { atLeast: '7', timeoutSeconds: 400 }).query).toMatchObject({
    resourceVersion: '7',
    resourceVersionMatch: 'NotOlderThan',
  })
})

test('a page that follows names its token alone: the server refuses a resourceVersion beside it', () => {
  expect(slices && pageRequest(slices, { atLeast: '7', pageSize: 500 }).query).toMatchObject({
    limit: '500',
    resourceVersion: '7',
    resourceVersionMatch: 'NotOlderThan',
  })
  expect(
    slices && Object.keys(pageRequest(slices, { atLeast: '7', pageSize: 500, continueToken: 'abc' }).query),
  ).toEqual(['labelSelector', 'limit', 'continue'])
})

test('a check asks for one object of the watch by its name, then or now', () => {
  const web = { namespace: 'shop', name: 'web' }
  expect(services && checkRequest(services, web, '9')).toEqual({
    path: '/api/v1/namespaces/shop/services',
    query: {
      labelSelector: '!service.kubernetes.io/service-proxy-name',
      fieldSelector: 'spec.clusterIP!=None,metadata.name=web',
      resourceVersion: '9',
      resourceVersionMatch: 'Exact',
      limit: '1',
    },
  })
  expect(slices && checkRequest(slices, web)).toEqual({
    path: '/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices',
    query: { labelSelector: '!service.kubernetes.io/headless', fieldSelector: 'metadata.name=web', limit: '1' },
  })
  expect(nodes && checkRequest(nodes, { namespace: '', name: 'node-a' }, '9').path).toBe('/api/v1/nodes')
  expect(nodes && checkRequest(nodes, undefined, '9').query).toMatchObject({ limit: '1', resourceVersion: '9' })
})

test('watches last from five to ten minutes', () => {
  expect(watchTimeoutSeconds(() => 0)).toBe(300)
  expect(watchTimeoutSeconds(() => 0.999_999)).toBe(599)
})
