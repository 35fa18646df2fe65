import { CoreV1Api, KubeConfig, Watch } from '@kubernetes/client-node'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { service } from '../../testing/manifests.js'
import { startTestApiServer } from '../../testing/api-server/test-api-server.js'
import type { TestApiServer } from '../../testing/api-server/test-api-server.js'

/* A client that knows nothing of the test server finds in it what it expects of an API server. */
let server: TestApiServer

beforeEach(async () => {
  server = await startTestApiServer()
  for (const name of ['a', 'b', 'c']) server.put(service({ name }))
})
afterEach(() => server.close())

it('the usual client lists in pages and watches', async () => {
  const config = new KubeConfig()
  config.loadFromString(server.kubeconfig())
  const api = config.makeApiClient(CoreV1Api)
  const first = await api.listServiceForAllNamespaces({ limit: 2 })
  const { _continue } = first.metadata ?? {}
  const second = await api.listServiceForAllNamespaces({ limit: 2, ...(_continue !== undefined && { _continue }) })
  expect([...first.items, ...second.items].map(({ metadata }) => metadata?.name)).toEqual(['a', 'b', 'c'])

  const seen: string[] = []
  const from = { resourceVersion: second.metadata?.resourceVersion }
  const watch = await new Promise<AbortController>((resolve, reject) => {
    const onEvent = (type: string, object: { metadata: { name: string } }): void => {
      seen.push(`${type} ${object.metadata.name}`)
    }
    new Watch(config).watch('/api/v1/services', from, onEvent, () => undefined).then(resolve, reject)
  })
  server.put(service({ name: 'd' }))
  server.delete(service({ name: 'a' }))
  await expect.poll(() => seen).toEqual(['ADDED d', 'DELETED a'])
  watch.abort()
})

it('the usual client shows a certificate', async () => {
  const config = new KubeConfig()
  const certificate = server.authority.issue({ commonName: 'somebody' })
  config.loadFromString(server.kubeconfig({ certificate }))
  const { items } = await config.makeApiClient(CoreV1Api).listServiceForAllNamespaces()
  expect(items).toHaveLength(3)
})
