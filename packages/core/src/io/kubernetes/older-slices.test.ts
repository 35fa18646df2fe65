import { VirtualTimeScheduler } from 'rxjs'
import { describe, expect, it } from 'vitest'
import type { JsonObject } from '../../model/kubernetes-object.js'
import type { ApiAnswer, ApiRequest, ApiServer, SourceItem } from '../../ports/api-server.js'
import { createKnownObjects } from './known-objects.js'
import { kubernetesSource } from './kubernetes-source.js'
import { type SlicesServed, withOlderSlices } from './older-slices.js'

const { signal } = new AbortController()
const endpoints = (name: string, resourceVersion: string, more: JsonObject = {}): JsonObject => ({
  kind: 'Endpoints',
  apiVersion: 'v1',
  metadata: { namespace: 'shop', name, uid: `uid-${name}`, resourceVersion, ...more },
  subsets: [{ addresses: [{ ip: '10.244.1.5' }], ports: [{ name: 'http', port: 8080, protocol: 'TCP' }] }],
})
const LOCK = { annotations: { 'control-plane.alpha.kubernetes.io/leader': '{}' } }

/** A server that has these paths, each with the text that it answers; anything else is not found. */
function serverOf(paths: Readonly<Record<string, string | ((request: ApiRequest) => string)>>) {
  const asked: string[] = []
  const api: ApiServer = {
    url: 'https://server',
    async get(request): Promise<ApiAnswer> {
      asked.push(request.path)
      const text = paths[request.path]
      const body = typeof text === 'function' ? text(request) : text
      return {
        status: body === undefined ? 404 : 200,
        headers: {},
        // In pieces that no line ends with.
        body: (async function* () {
          const bytes = Buffer.from(body ?? '')
          for (let at = 0; at < bytes.length; at += 7) yield bytes.subarray(at, at + 7)
        })(),
      }
    },
    close: async () => undefined,
  }
  return { api, asked, paths }
}

const textOf = async ({ body }: ApiAnswer): Promise<string> => {
  const parts: Uint8Array[] = []
  for await (const bytes of body) parts.push(bytes)
  return Buffer.concat(parts).toString()
}

const SLICES = '/apis/discovery.k8s.io/v1/endpointslices'
const BETA = '/apis/discovery.k8s.io/v1beta1/endpointslices'
const request = (path: string, query: ApiRequest['query'] = {}): ApiRequest => ({ path, query })

describe('a server', () => {
  it('that has EndpointSlices of v1 is asked for those, and for nothing else', async () => {
    const { api, asked } = serverOf({ [SLICES]: '{}', '/api/v1/services': '{}', '/api/v1/endpoints': '{}' })
    const older = withOlderSlices(api, { endpoints: true, onServed: () => expect.fail('nothing is else') })
    for (const path of [SLICES, '/api/v1/services', SLICES]) await older.get(request(path), signal)
    expect(asked).toEqual([SLICES, '/api/v1/services', SLICES])
  })

  it('that has older ones is asked for those, of one namespace as well', async () => {
    const { api, asked } = serverOf({
      [BETA]: '{}',
      '/apis/discovery.k8s.io/v1beta1/namespaces/shop/endpointslices': '{}',
    })
    const served: SlicesServed[] = []
    const older = withOlderSlices(api, { endpoints: true, onServed: (form) => void served.push(form) })
    await older.get(request(SLICES), signal)
    await older.get(request('/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices'), signal)
    expect(asked).toEqual([SLICES, BETA, '/apis/discovery.k8s.io/v1beta1/namespaces/shop/endpointslices'])
    expect(served).toEqual(['v1beta1'])
  })

  it('that comes to have others is asked for those, and one that has none says so', async () => {
    const { api, paths } = serverOf({ '/api/v1/endpoints': '{"kind":"EndpointsList","items":[]}' })
    const served: SlicesServed[] = []
    const older = withOlderSlices(api, { endpoints: true, onServed: (form) => void served.push(form) })
    await older.get(request(SLICES), signal)
    const mutable = paths as Record<string, string>
    delete mutable['/api/v1/endpoints']
    mutable[SLICES] = '{}'
    await older.get(request(SLICES), signal)
    expect(served).toEqual(['Endpoints', 'v1'])
    delete mutable[SLICES]
    expect((await older.get(request(SLICES), signal)).status).toBe(404)
  })

  it('is asked for no Endpoints unless they may be read', async () => {
    const { api, asked } = serverOf({ '/api/v1/endpoints': '{}' })
    const older = withOlderSlices(api, { onServed: () => expect.fail('there are none') })
    expect((await older.get(request(SLICES), signal)).status).toBe(404)
    expect(asked).toEqual([SLICES, BETA])
  })
})

describe('Endpoints in place of EndpointSlices', () => {
  const events = [
    { type: 'ADDED', object: endpoints('web', '5') },
    { type: 'MODIFIED', object: endpoints('kube-scheduler', '6', LOCK) },
    { type: 'BOOKMARK', object: { kind: 'Endpoints', apiVersion: 'v1', metadata: { resourceVersion: '7' } } },
    { type: 'ERROR', object: { kind: 'Status', code: 410 } },
  ]

  it('are slices of their Services in a list and in a watch, without the locks of leaders', async () => {
    const list = { kind: 'EndpointsList', apiVersion: 'v1', metadata: { resourceVersion: '9' } }
    const items = [endpoints('web', '5'), endpoints('kube-scheduler', '8', LOCK)].map(
      ({ kind: _, apiVersion: _of, ...item }) => item,
    )
    const { api } = serverOf({
      '/api/v1/endpoints': ({ query }) =>
        query['watch'] === '1'
          ? events.map((event) => `${JSON.stringify(event)}\n`).join('')
          : JSON.stringify({ ...list, items }),
    })
    const older = withOlderSlices(api, { endpoints: true, onServed: () => undefined })
    const listed = JSON.parse(await textOf(await older.get(request(SLICES), signal))) as JsonObject
    const slice = {
      kind: 'EndpointSlice',
      apiVersion: 'discovery.k8s.io/v1',
      metadata: { name: 'web', resourceVersion: '5', labels: { 'kubernetes.io/service-name': 'web' } },
      subsets: [{ addresses: [{ ip: '10.244.1.5' }] }],
    }
    expect(listed).toMatchObject({ kind: 'EndpointSliceList', metadata: { resourceVersion: '9' }, items: [slice] })
    const lines = (await textOf(await older.get(request(SLICES, { watch: '1' }), signal))).trim().split('\n')
    expect(lines.map((line) => JSON.parse(line) as unknown)).toMatchObject([
      { type: 'ADDED', object: slice },
      { type: 'BOOKMARK', object: { metadata: { resourceVersion: '7' } } },
      { type: 'ERROR', object: { kind: 'Status' } },
    ])
  })

  it('that are cut off, or none at all, are left for the reader to judge', async () => {
    const cut = JSON.stringify(events[0]).slice(0, 40)
    const { api } = serverOf({
      '/api/v1/endpoints': ({ query }) => (query['watch'] === '1' ? `nonsense\n${cut}` : 'nonsense'),
    })
    const older = withOlderSlices(api, { endpoints: true, onServed: () => undefined })
    expect(await textOf(await older.get(request(SLICES), signal))).toBe('nonsense')
    expect(await textOf(await older.get(request(SLICES, { watch: '1' }), signal))).toBe('nonsense\n{')
    const tiny = withOlderSlices(api, {
      endpoints: true,
      onServed: () => undefined,
      limits: { pageBytes: 4, lineBytes: 4 },
    })
    await expect(textOf(await tiny.get(request(SLICES), signal))).rejects.toThrow('a page of more than 4 bytes')
    await expect(textOf(await tiny.get(request(SLICES, { watch: '1' }), signal))).rejects.toThrow(
      'a watch event of more',
    )
  })

  it('are what a source says of EndpointSlices', async () => {
    const list = {
      kind: 'EndpointsList',
      apiVersion: 'v1',
      metadata: { resourceVersion: '9' },
      items: [endpoints('web', '5')],
    }
    const { api } = serverOf({
      '/api/v1/endpoints': ({ query }) => (query['watch'] === '1' ? '' : JSON.stringify(list)),
    })
    const items: SourceItem[] = []
    const source = kubernetesSource({
      api: withOlderSlices(api, { endpoints: true, onServed: () => undefined }),
      kinds: ['EndpointSlice'],
      known: createKnownObjects(),
      scheduler: new VirtualTimeScheduler(),
      random: () => 0.5,
      streamingLists: false,
    }).subscribe((item) => items.push(item))
    for (let turn = 0; turn < 200 && items.every(({ type }) => type !== 'event'); turn++)
      await new Promise((resolve) => void setImmediate(resolve))
    source.unsubscribe()
    expect(items.find((item) => item.type === 'event')).toMatchObject({
      event: { type: 'ADDED', object: { kind: 'EndpointSlice', metadata: { name: 'web' } } },
    })
  })
})
