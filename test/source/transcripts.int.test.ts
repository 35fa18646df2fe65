import { readFileSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import fc from 'fast-check'
import { startTestApiServer } from '@pointsman/core/testing'
import { putAtTheirVersions } from '../../packages/core/src/testing/api-server/put-at-versions.js'
import { exchangeRaw, parseRawAnswer } from '../../packages/core/src/testing/api-server/raw-exchange.js'
import { expectCaughtUp, startSource } from './living-source.js'
import { listsAskedOf, webService, worldOf } from './world.js'
import type { KubernetesObject } from '@pointsman/core'
import type { LivingSource, SourceSettings } from './living-source.js'
import type { TestApiServer } from '@pointsman/core/testing'

const KINDS = 3
const RUNS = process.env['POINTSMAN_SOAK'] === '1' ? 200 : 8

const wire = (name: string): Buffer => readFileSync(new URL(`../../fixtures/wire/${name}.http`, import.meta.url))

const objectsOf = (name: string): readonly KubernetesObject[] =>
  parseRawAnswer(wire(name))
    .body.toString('utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { readonly type: string; readonly object: KubernetesObject })
    .filter(({ type }) => type !== 'BOOKMARK')
    .map(({ object }) => object)

let server: TestApiServer
let source: LivingSource | undefined

beforeEach(async () => {
  server = await startTestApiServer({ bookmarkIntervalMs: 200 })
})
afterEach(async () => {
  await source?.stop()
  source = undefined
  await server.close()
})

const start = async (settings: SourceSettings = {}): Promise<LivingSource> => {
  source = await startSource(server, settings)
  return source
}

/** Offsets at which an answer comes apart: anywhere. */
const cutsOf = (answer: Uint8Array): fc.Arbitrary<readonly number[]> =>
  fc.array(fc.integer({ min: 1, max: answer.length - 1 }), { maxLength: 60 })

describe('what a real API server said, byte for byte', () => {
  it('a list in three pages', async () => {
    putAtTheirVersions(server, objectsOf('watchlist-services'), 113)
    server.misbehave({ type: 'no-streaming-lists', as: 400 }, { kind: 'streaming-list', times: 100 })
    replay('list-services-page1', 'list')
    replay('list-services-page2', 'page')
    replay('list-services-page3', 'page')
    const source = await start({ pageSize: 4 })
    await expectCaughtUp(server, source)
    expect(source.folded('Service').size).toBe(10)
    expect(server.count({ kind: 'page', resource: 'services' })).toBe(2)
    server.put(webService(1))
    await expectCaughtUp(server, source)
    expect(server.count({ kind: 'list' })).toBe(KINDS)
  })

  it('a streaming list, then the connection ends', async () => {
    putAtTheirVersions(server, objectsOf('watchlist-services'), 113)
    replay('watchlist-services', 'streaming-list')
    const source = await start()
    await expectCaughtUp(server, source)
    server.put(webService(1))
    await expectCaughtUp(server, source)
    expect(listsAskedOf(server)).toBe(KINDS)
  })

  it('a watch whose chunks end within lines, cut anywhere besides', async () => {
    const before = await begunAtSlices()
    const answer = wire('watch-endpointslices-from-rv')
    const resume = { EndpointSlice: { resourceVersion: '101' } }
    // The recorded history is not the server's own.
    server.misbehave({ type: 'status', code: 404 }, { kind: 'check', times: 1_000_000 })
    await fc.assert(
      fc.asyncProperty(cutsOf(answer), async (cuts) => {
        server.misbehave({ type: 'replay', answer, cuts }, { kind: 'watch', resource: 'endpointslices' })
        const after = await startSource(server, { resume, after: before })
        await expectCaughtUp(server, after)
        await after.stop()
      }),
      { numRuns: RUNS },
    )
    expect(server.count({ kind: ['list', 'streaming-list'], resource: 'endpointslices' })).toBe(0)
  })

  it.each([
    ['unauthorized', 0],
    ['watch-future-rv', 0],
    ['list-future-rv', 0],
    ['watch-too-old', 1],
  ])('%s as the answer to a watch: lists needed: %i', async (name, lists) => {
    putAtTheirVersions(server, objectsOf('watchlist-services'), 113)
    const source = await start()
    await expectCaughtUp(server, source)
    const asked = listsAskedOf(server)
    replay(name, 'watch')
    server.disturb({ type: 'reset' }, 'services')
    server.put(webService(1))
    await expectCaughtUp(server, source)
    expect(listsAskedOf(server) - asked).toBe(lists)
  })

  it.each(['unauthorized', 'list-future-rv'])('%s as the answer to a list', async (name) => {
    putAtTheirVersions(server, objectsOf('watchlist-services'), 113)
    replay(name, 'streaming-list')
    const source = await start()
    await expectCaughtUp(server, source)
  })

  it('the one event of a server whose store can do no streaming lists', async () => {
    putAtTheirVersions(server, objectsOf('watchlist-services'), 113)
    const event = readFileSync(new URL('../../fixtures/wire/watchlist-unsupported.jsonl', import.meta.url))
    const head = wire('watch-too-old').subarray(0, wire('watch-too-old').indexOf('\r\n\r\n'))
    const chunk = `\r\n\r\n${event.length.toString(16)}\r\n${event.toString()}\r\n0\r\n\r\n`
    const answer = Buffer.concat([head, Buffer.from(chunk)])
    server.misbehave({ type: 'replay', answer }, { kind: 'streaming-list', times: KINDS })
    const source = await start()
    await expectCaughtUp(server, source)
    expect(server.count({ kind: 'list' })).toBe(KINDS)
  })
})

describe('an answer that is cut anywhere, within characters of several bytes too', () => {
  it.each([
    [
      'a streaming list',
      'watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&timeoutSeconds=1',
      'streaming-list',
    ],
    ['a list', 'limit=500', 'list'],
  ] as const)('%s', async (_, query, kind) => {
    server.putAll(worldOf(12))
    const selectors = `labelSelector=${encodeURIComponent('!service.kubernetes.io/service-proxy-name')}&fieldSelector=${encodeURIComponent('spec.clusterIP!=None')}`
    const answer = await exchangeRaw({
      port: server.port,
      ca: server.authority.certificate,
      token: server.token,
      target: `/api/v1/services?${selectors}&${query}`,
    })
    const inCharacters = [...answer.keys()].filter((offset) => ((answer[offset] ?? 0) & 0xc0) === 0x80)
    expect(inCharacters.length).toBeGreaterThan(50)
    if (kind === 'list')
      server.misbehave({ type: 'no-streaming-lists', as: 422 }, { kind: 'streaming-list', times: 1e6 })
    await fc.assert(
      fc.asyncProperty(fc.subarray(inCharacters, { maxLength: 40 }), cutsOf(answer), async (within, anywhere) => {
        server.misbehave({ type: 'replay', answer, cuts: [...within, ...anywhere] }, { kind, resource: 'services' })
        const one = await startSource(server)
        await expectCaughtUp(server, one)
        expect(one.notices().filter((notice) => notice.startsWith('OBJECT_UNREADABLE'))).toEqual([])
        await one.stop()
      }),
      { numRuns: RUNS },
    )
  })
})

const replay = (name: string, kind: 'list' | 'page' | 'watch' | 'streaming-list'): void => {
  server.misbehave({ type: 'replay', answer: wire(name) }, { kind, resource: 'services' })
}

/** A source that knows the slices as they were before the recorded watch, which the server is past. */
async function begunAtSlices(): Promise<LivingSource> {
  const changes = objectsOf('watch-endpointslices-from-rv')
  server.skip(90 - server.resourceVersion())
  for (const object of new Map(changes.map((each) => [each.metadata.name, each])).values()) {
    server.put({ ...object, endpoints: [] })
  }
  server.skip(101 - server.resourceVersion())
  const other = await startTestApiServer()
  other.skip(90 - other.resourceVersion())
  for (const object of server.objects('endpointslices')) other.put(object)
  const before = await startSource(other)
  await expectCaughtUp(other, before)
  await before.stop()
  await other.close()
  putAtTheirVersions(server, changes)
  return before
}
