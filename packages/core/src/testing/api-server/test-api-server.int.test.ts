import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { node, service, slice } from '../manifests.js'
import { askJson, askServer, type TestAnswer, type WatchLine } from './test-client.js'
import { startTestApiServer, type TestApiServer } from './test-api-server.js'
import type { JsonObject } from '../../model/kubernetes-object.js'

const SERVICES = '/api/v1/services'
const PROXY_SELECTORS = `labelSelector=${encodeURIComponent('!service.kubernetes.io/service-proxy-name')}&fieldSelector=${encodeURIComponent('spec.clusterIP!=None')}`

let server: TestApiServer

beforeEach(async () => {
  server = await startTestApiServer({ bookmarkIntervalMs: 30 })
})
afterEach(() => server.close())

describe('a list', () => {
  it('is in order, and of one resourceVersion whatever happens between its pages', async () => {
    for (const name of ['c', 'a', 'd', 'b']) server.put(service({ name }))
    const first = await list('limit=2')
    server.delete(service({ name: 'c' }))
    server.put(service({ name: 'e' }))
    const second = await list(`limit=2&continue=${continueOf(first.metadata)}`)
    expect([...first.names, ...second.names]).toEqual(['a', 'b', 'c', 'd'])
    expect(second.metadata).toEqual({ resourceVersion: first.metadata['resourceVersion'] })
    expect((await list('')).names).toEqual(['a', 'b', 'd', 'e'])
  })

  it('cannot go on when history is forgotten, but with what there is now', async () => {
    for (const name of ['a', 'b', 'c']) server.put(service({ name }))
    const first = await list('limit=1')
    server.delete(service({ name: 'b' }))
    server.compact()
    const expired = await askJson(server, `${SERVICES}?limit=1&continue=${continueOf(first.metadata)}`)
    expect(expired.status).toBe(410)
    expect(expired.body).toMatchObject({ kind: 'Status', reason: 'Expired' })
    const again = continueOf(expired.body['metadata'] as JsonObject)
    expect((await list(`limit=5&continue=${again}`)).names).toEqual(['c'])
  })

  it.each([
    ['a page of the past', 'resourceVersion=2&limit=5', 200, ['a']],
    ['exactly the past', 'resourceVersion=2&resourceVersionMatch=Exact', 200, ['a']],
    ['not older than the past', 'resourceVersion=2&resourceVersionMatch=NotOlderThan', 200, ['a', 'b']],
    ['anything, from memory: the limit is passed over', 'resourceVersion=0&limit=1', 200, ['a', 'b']],
    ['the future', 'resourceVersion=99', 504, []],
    ['a match of nothing', 'resourceVersionMatch=Exact', 422, []],
    ['no number', 'resourceVersion=abc', 400, []],
    ['a token of nobody', 'continue=abc', 400, []],
    ['an unknown field', 'fieldSelector=spec.x%3D1', 400, []],
  ])('of %s', async (_, query, status, names) => {
    server.put(service({ name: 'a' }))
    server.put(service({ name: 'b' }))
    const answer = await askJson(server, `${SERVICES}?${query}`)
    expect(answer.status).toBe(status)
    expect(namesOf(answer.body)).toEqual(names)
  })

  it('has what the selectors of a proxy let through', async () => {
    const foreign = { 'service.kubernetes.io/service-proxy-name': 'other' }
    server.put(service({ name: 'mine' }))
    server.put(service({ name: 'foreign', labels: foreign }))
    server.put(service({ name: 'headless', spec: { clusterIP: 'None' } }))
    server.put(slice({ name: 'mine-1', service: 'mine', endpoints: ['10.0.0.1'] }))
    server.put(node({ name: 'node-a' }))
    server.put(node({ name: 'node-b' }))
    expect((await list(PROXY_SELECTORS)).names).toEqual(['mine'])
    expect(namesOf((await askJson(server, '/api/v1/nodes?fieldSelector=metadata.name%3Dnode-b')).body)).toEqual([
      'node-b',
    ])
    const labelled = await askJson(
      server,
      '/apis/discovery.k8s.io/v1/endpointslices?labelSelector=!x,kubernetes.io/service-name+in+(mine,yours)',
    )
    expect(namesOf(labelled.body)).toEqual(['mine-1'])
  })
})

describe('a watch', () => {
  it('tells of each change after its resourceVersion, and ends at its time', async () => {
    server.put(service({ name: 'a' }))
    const from = server.resourceVersion()
    server.put(service({ name: 'b' }))
    const watch = await watchServices(`resourceVersion=${from}&timeoutSeconds=1`)
    await watch.received(1)
    server.put(service({ name: 'a', labels: { x: 'y' } }))
    server.delete(service({ name: 'b' }))
    expect(await watch.ended).toBe('whole')
    expect(told(watch.lines())).toEqual(['ADDED b 3', 'MODIFIED a 4', 'DELETED b 5'])
    expect(server.watches()).toBe(0)
  })

  it('adds what begins to match and deletes what ceases to', async () => {
    const foreign = { 'service.kubernetes.io/service-proxy-name': 'other' }
    server.put(service({ name: 'a' }))
    server.put(service({ name: 'b', labels: foreign }))
    const watch = await watchServices(`resourceVersion=3&${PROXY_SELECTORS}`)
    server.put(service({ name: 'a', labels: foreign }))
    server.put(service({ name: 'b', labels: foreign, spec: { ports: [] } }))
    server.put(service({ name: 'b' }))
    const lines = await watch.received(2)
    expect(told(lines)).toEqual(['DELETED a 4', 'ADDED b 6'])
    // As it was last seen: the label that hid it is not there.
    expect(lines[0]?.object.metadata['labels']).toBeUndefined()
  })

  it('begins with what there is if it names no resourceVersion', async () => {
    server.put(service({ name: 'a' }))
    const watch = await watchServices('')
    expect(told(await watch.received(1))).toEqual(['ADDED a 2'])
  })

  it('gets bookmarks if it asked for them, which move on with changes of other kinds', async () => {
    server.skip(41)
    const watch = await watchServices('resourceVersion=1&allowWatchBookmarks=true')
    const without = await watchServices('resourceVersion=1')
    const [first] = await watch.received(1)
    expect(first).toEqual({
      type: 'BOOKMARK',
      object: {
        kind: 'Service',
        apiVersion: 'v1',
        metadata: { resourceVersion: '42' },
        spec: {},
        status: { loadBalancer: {} },
      },
    })
    expect(without.text()).toBe('')
  })

  it('from before the compaction is told 410 in an event', async () => {
    server.put(service({ name: 'a' }))
    server.compact()
    const watch = await watchServices('resourceVersion=1')
    expect(watch.status).toBe(200)
    expect(await watch.ended).toBe('whole')
    expect(watch.lines()[0]?.object).toMatchObject({ code: 410, reason: 'Expired' })
    const fresh = await watchServices('resourceVersion=2')
    server.put(service({ name: 'b' }))
    expect(told(await fresh.received(1))).toEqual(['ADDED b 3'])
  })

  it('from the future is silent until the server has come there', async () => {
    const watch = await watchServices('resourceVersion=5')
    for (const name of ['a', 'b', 'c', 'd', 'e']) server.put(service({ name }))
    expect(told(await watch.received(1))).toEqual(['ADDED e 6'])
  })

  it('may begin with a streaming list that says when it is complete', async () => {
    server.put(service({ name: 'a' }))
    const watch = await watchServices(
      'sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true',
    )
    const lines = await watch.received(2)
    expect(told(lines)).toEqual(['ADDED a 2', 'BOOKMARK - 2'])
    expect(lines[1]?.object.metadata['annotations']).toEqual({ 'k8s.io/initial-events-end': 'true' })
    const refused = await askJson(server, `${SERVICES}?watch=1&sendInitialEvents=true`)
    expect(refused.status).toBe(422)
  })
})

describe('what is stored', () => {
  it('keeps its identity and managedFields through changes, and gets new ones when it is made anew', () => {
    const managedFields = [{ manager: 'kubectl', operation: 'Update', fieldsV1: { 'f:spec': {} } }]
    const given = service({ name: 'a', uid: 'one' })
    const made = server.put({ ...given, metadata: { ...given.metadata, managedFields } })
    const changed = server.put({
      ...service({ name: 'a', labels: { x: 'y' } }),
      metadata: { name: 'a', namespace: 'shop', labels: { x: 'y' } },
    })
    expect(changed.metadata).toMatchObject({ uid: 'one', managedFields, resourceVersion: '3' })
    expect(changed.metadata['creationTimestamp']).toBe(made.metadata['creationTimestamp'])
    server.delete(changed)
    const anew = server.put({ kind: 'Service', metadata: { name: 'a', namespace: 'shop' } })
    expect(anew.metadata).toMatchObject({ resourceVersion: '5' })
    expect(anew.metadata['uid']).not.toBe('one')
  })

  it('is not changed by what changes nothing', () => {
    server.put(service({ name: 'a' }))
    server.put(service({ name: 'a' }))
    expect(server.resourceVersion()).toBe(2)
  })
})

describe('who asks', () => {
  it('shows a certificate of the authority, or a token', async () => {
    const { certificate: cert, key } = server.authority.issue({ commonName: 'system:kube-proxy' })
    const stranger = (await startOther()).authority.issue({ commonName: 'system:kube-proxy' })
    expect((await askJson(server, SERVICES, { cert, key })).status).toBe(200)
    expect((await askJson(server, SERVICES, { cert: stranger.certificate, key: stranger.key })).status).toBe(401)
    server.setTokens({ rotated: 'system:kube-proxy' })
    expect((await askJson(server, SERVICES)).status).toBe(401)
    expect((await askJson(server, SERVICES, { token: 'rotated' })).status).toBe(200)
  })

  it('is counted, by what is asked for', async () => {
    await list('')
    await list('limit=1')
    const watch = await watchServices('resourceVersion=1')
    await watchServices('sendInitialEvents=true&resourceVersionMatch=NotOlderThan')
    await askJson(server, '/api/v1/nodes/none')
    expect(server.requests.map(({ kind, resource }) => `${kind} ${resource ?? ''}`)).toEqual([
      'list services',
      'list services',
      'watch services',
      'streaming-list services',
      'get nodes',
    ])
    expect(server.count({ kind: ['list', 'page', 'streaming-list'], resource: 'services' })).toBe(3)
    expect(server.watches('services')).toBe(2)
    watch.close()
    await watch.ended
    await expect.poll(() => server.watches('services')).toBe(1)
  })
})

async function startOther(): Promise<TestApiServer> {
  const other = await startTestApiServer()
  await other.close()
  return other
}

const watchServices = (query: string): Promise<TestAnswer> => askServer(server, `${SERVICES}?watch=1&${query}`)

async function list(query: string): Promise<{ readonly names: readonly string[]; readonly metadata: JsonObject }> {
  const { status, body } = await askJson(server, `${SERVICES}?${query}`)
  expect(status).toBe(200)
  return { names: namesOf(body), metadata: body['metadata'] as JsonObject }
}

const namesOf = ({ items }: JsonObject): readonly string[] =>
  ((items ?? []) as readonly WatchLine['object'][]).map(({ metadata }) => textOf(metadata['name']))

const continueOf = (metadata: JsonObject): string => textOf(metadata['continue'])

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '-')

/** `ADDED web 17`. */
const told = (lines: readonly WatchLine[]): readonly string[] =>
  lines.map(
    ({ type, object: { metadata } }) => `${type} ${textOf(metadata['name'])} ${textOf(metadata['resourceVersion'])}`,
  )
