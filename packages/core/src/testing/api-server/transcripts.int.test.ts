import { readFileSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { putAtTheirVersions } from './put-at-versions.js'
import { exchangeRaw, parseRawAnswer, type RawAnswer } from './raw-exchange.js'
import { startTestApiServer, type TestApiServer } from './test-api-server.js'
import type { KubernetesObject } from '../../model/kubernetes-object.js'

const wire = (name: string): Buffer =>
  readFileSync(new URL(`../../../../../fixtures/wire/${name}.http`, import.meta.url))
const transcript = (name: string): RawAnswer => parseRawAnswer(wire(name))

interface Line {
  readonly type: string
  readonly object: KubernetesObject
}
const linesOf = (name: string): readonly Line[] =>
  transcript(name)
    .body.toString('utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Line)

/** What the real server had when the lists were recorded. */
const services = linesOf('watchlist-services')
  .filter(({ type }) => type === 'ADDED')
  .map(({ object }) => object)

let server: TestApiServer

beforeEach(async () => {
  server = await startTestApiServer()
})
afterEach(() => server.close())

describe('what the test server says of the objects of a real one is what that one said', () => {
  it('of a list in pages', async () => {
    putAtTheirVersions(server, services, 113)
    const ask = (token?: string): Promise<RawAnswer> =>
      asked(`/api/v1/services?limit=4${token === undefined ? '' : `&continue=${token}`}`)
    const pages = [await ask()]
    for (const name of ['list-services-page2', 'list-services-page3']) {
      pages.push(await ask(continueOf(pages.at(-1))))
      expect(form(pages.at(-1))).toEqual(form(transcript(name)))
    }
    expect(form(pages[0])).toEqual(form(transcript('list-services-page1')))
    expect(server.count({ kind: 'list' })).toBe(1)
    expect(server.count({ kind: 'page' })).toBe(2)
  })

  it('of a streaming list, chunk by chunk', async () => {
    putAtTheirVersions(server, services, 113)
    const answer = await asked(
      '/api/v1/services?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&timeoutSeconds=1',
    )
    expect(form(answer)).toEqual(form(transcript('watchlist-services')))
  })

  it('of a watch that catches up, in chunks that end within lines', async () => {
    const changed = linesOf('watch-endpointslices-from-rv').map(({ object }) => object)
    const names = new Map(changed.map((object) => [object.metadata.name, object]))
    server.skip(90 - server.resourceVersion())
    for (const object of names.values()) server.put({ ...object, endpoints: [] })
    server.skip(101 - server.resourceVersion())
    putAtTheirVersions(server, changed)
    const answer = await asked(
      '/apis/discovery.k8s.io/v1/endpointslices?watch=1&resourceVersion=101&allowWatchBookmarks=true&timeoutSeconds=1',
    )
    expect(form(answer)).toEqual(form(transcript('watch-endpointslices-from-rv')))
  })

  it('of a watch from a resourceVersion that is forgotten', async () => {
    server.skip(4)
    server.compact()
    const answer = await asked('/api/v1/services?watch=1&resourceVersion=1&allowWatchBookmarks=true&timeoutSeconds=3')
    expect(form(answer)).toEqual(form(transcript('watch-too-old')))
  })

  it('of a watch from the future: nothing, and its end', async () => {
    const answer = await asked('/api/v1/services?watch=1&resourceVersion=999999999&timeoutSeconds=1')
    expect(form(answer)).toEqual(form(transcript('watch-future-rv')))
  })

  it('of a list from the future', async () => {
    server.skip(115 - server.resourceVersion())
    const answer = await asked(
      '/api/v1/services?resourceVersion=999999999&resourceVersionMatch=NotOlderThan&timeoutSeconds=3',
    )
    expect(form(answer)).toEqual(form(transcript('list-future-rv')))
  })

  it('to somebody with a wrong token', async () => {
    expect(form(await asked('/api/v1/services', 'wrong'))).toEqual(form(transcript('unauthorized')))
  })

  it('of streaming lists that its store cannot do', async () => {
    server.misbehave({ type: 'no-streaming-lists', as: 'event' })
    const answer = await asked('/api/v1/services?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan')
    const recorded = readFileSync(new URL('../../../../../fixtures/wire/watchlist-unsupported.jsonl', import.meta.url))
    expect(answer.body.toString()).toBe(recorded.toString())
  })
})

describe('a replayed answer', () => {
  it('is the bytes that were recorded, wherever it is cut', async () => {
    const answer = wire('watchlist-services')
    const cuts = [1, 17, 500, 501, 502, 4000, answer.length - 1]
    server.misbehave({ type: 'replay', answer, cuts })
    server.misbehave({ type: 'replay', answer: wire('list-future-rv') })
    expect(await raw('/api/v1/services?watch=1')).toEqual(answer)
    expect(await raw('/api/v1/services')).toEqual(wire('list-future-rv'))
  })
})

const raw = (target: string, token = server.token): Promise<Buffer> =>
  exchangeRaw({ port: server.port, ca: server.authority.certificate, token, target })

const asked = async (target: string, token?: string): Promise<RawAnswer> => parseRawAnswer(await raw(target, token))

const continueOf = (page: RawAnswer | undefined): string =>
  (JSON.parse(page?.body.toString() ?? '{}') as { metadata: { continue: string } }).metadata.continue

/** Everything but what differs from one answer to the next. */
function form(answer: RawAnswer | undefined): unknown {
  if (answer === undefined) return undefined
  const headers = answer.headers.map(([name, value]) =>
    /^(?:Audit-Id|Date|X-.*-Uid)$/.test(name) ? name : `${name}: ${value}`,
  )
  return { ...answer, headers, body: answer.body.toString('utf8') }
}
