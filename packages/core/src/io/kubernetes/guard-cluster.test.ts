import { expect, it } from 'vitest'
import type { ApiRequest, ApiServer } from '../../ports/api-server.js'
import { guardCluster } from './kubernetes-source.js'

/** A server that answers the question which cluster it is one after the other, and everything else with 200. */
function serverOf(...answers: readonly (string | number | Error)[]) {
  const asked: string[] = []
  let questions = 0
  const api: ApiServer = {
    url: 'https://10.0.0.1:6443',
    async get({ path }: ApiRequest) {
      asked.push(path)
      const answer = path.includes('/namespaces/default/') ? (answers[questions++] ?? 500) : ''
      if (answer instanceof Error) throw answer
      const items = [{ metadata: { name: 'kubernetes', uid: answer } }]
      const status = typeof answer === 'number' ? answer : 200
      return { status, headers: {}, body: bytes(JSON.stringify({ items: answer === 'none' ? [] : items })) }
    },
    close: async () => undefined,
  }
  const others: string[] = []
  const guarded = guardCluster(api, { clusterId: 'a', onOther: (other) => others.push(other) })
  const get = async (): Promise<number> =>
    (await guarded.get({ path: '/api/v1/services', query: {} }, new AbortController().signal)).status
  return { asked, others, get }
}

async function* bytes(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text)
}

it('asks once which cluster it is, and then lets through', async () => {
  const { asked, others, get } = serverOf('a')
  expect(await Promise.all([get(), get()])).toEqual([200, 200])
  expect(await get()).toBe(200)
  expect(asked.filter((path) => path.includes('/default/'))).toHaveLength(1)
  expect(asked).toHaveLength(4)
  expect(others).toEqual([])
})

it('reads nothing of another cluster, and says which it is', async () => {
  const { asked, others, get } = serverOf('b')
  void get()
  void get()
  await new Promise(setImmediate)
  expect(others).toEqual(['b'])
  expect(asked).toEqual(['/api/v1/namespaces/default/services'])
})

it('asks again where there was no answer', async () => {
  const { get } = serverOf(new Error('nobody listens'), 'a')
  await expect(get()).rejects.toThrow('nobody listens')
  expect(await get()).toBe(200)
})

it.each([403, 'none'])('takes one that does not tell for the right one: %s', async (answer) => {
  const { others, get } = serverOf(answer)
  expect(await get()).toBe(200)
  expect(others).toEqual([])
})
