import { request } from 'node:https'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { service } from '@pointsman/core/testing'
import { spawnApiServer } from './spawn-api-server.js'
import type { RemoteApiServer } from '../../../packages/core/src/testing/api-server/remote-calls.js'

let server: RemoteApiServer

beforeEach(async () => {
  server = await spawnApiServer({ firstResourceVersion: 100 })
})
afterEach(() => server.kill())

it('serves, goes wrong and counts as one in the process does', async () => {
  await server.put(service({ name: 'a' }))
  await server.putAll([service({ name: 'b' }), service({ name: 'c' })])
  await server.misbehave({ type: 'status', code: 503 })
  await server.misbehave({ type: 'replay', answer: Buffer.from('HTTP/1.1 418 no\r\nContent-Length: 0\r\n\r\n') })
  expect([await status(), await status(), await status()]).toEqual([503, 418, 200])
  expect(await server.count({ kind: 'list' })).toBe(3)
  expect((await server.requests()).map(({ path }) => path)).toHaveLength(3)
  expect(await server.objects('services')).toHaveLength(3)
  expect(await server.resourceVersion()).toBe(103)
})

it('goes away and comes back where it was, and ends when it is told', async () => {
  await server.goAway()
  await expect(status()).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  await server.comeBack()
  expect(await status()).toBe(200)
  await server.close()
  await expect(server.count()).rejects.toMatchObject({ code: 'ERR_IPC_CHANNEL_CLOSED' })
})

function status(): Promise<number | undefined> {
  const headers = { authorization: `Bearer ${server.token}` }
  return new Promise((resolve, reject) => {
    const options = { headers, agent: false as const, rejectUnauthorized: false }
    const sent = request(`${server.url}/api/v1/services`, options, (response) => {
      response.resume().on('end', () => resolve(response.statusCode))
    })
    sent.on('error', reject).end()
  })
}
