import { connect } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { service } from '../manifests.js'
import { askJson, askServer } from './test-client.js'
import { startTestApiServer } from './test-api-server.js'
import type { TestAnswer } from './test-client.js'
import type { TestApiServer } from './test-api-server.js'

const SERVICES = '/api/v1/services'
const STREAMING = `${SERVICES}?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true`

let server: TestApiServer

beforeEach(async () => {
  server = await startTestApiServer()
  for (const name of ['a', 'b', 'c']) server.put(service({ name }))
})
afterEach(() => server.close())

describe('a server that goes wrong', () => {
  it.each([
    [400, undefined],
    [401, undefined],
    [403, undefined],
    [410, undefined],
    [429, 7],
    [500, undefined],
    [503, 2],
  ])('refuses with %i', async (code, retryAfterSeconds) => {
    server.misbehave({ type: 'status', code, ...(retryAfterSeconds !== undefined && { retryAfterSeconds }) })
    const { status, headers, body } = await askJson(server, SERVICES)
    expect(status).toBe(code)
    expect(headers['retry-after']).toBe(retryAfterSeconds === undefined ? undefined : String(retryAfterSeconds))
    expect(body).toMatchObject({ kind: 'Status', status: 'Failure', code })
    expect((await askJson(server, SERVICES)).status).toBe(200)
  })

  it('does so with the requests that are meant, as often as it was told', async () => {
    const takeBack = server.misbehave({ type: 'status', code: 503 }, { kind: 'list', resource: 'nodes', times: 9 })
    server.misbehave({ type: 'status', code: 500 }, { kind: ['list', 'page'], times: 2 })
    const statuses = [await code(SERVICES), await code('/api/v1/nodes'), await code(SERVICES), await code(SERVICES)]
    expect(statuses).toEqual([500, 503, 500, 200])
    takeBack()
    expect(await code('/api/v1/nodes')).toBe(200)
  })

  it('says nothing, or hangs up', async () => {
    server.misbehave({ type: 'reset' })
    await expect(askServer(server, SERVICES)).rejects.toMatchObject({ code: 'ECONNRESET' })
    server.misbehave({ type: 'hang' })
    const silent = askServer(server, SERVICES)
    expect(await Promise.race([silent, soon('nothing')])).toBe('nothing')
    await Promise.all([expect(silent).rejects.toMatchObject({ code: 'ECONNRESET' }), server.goAway()])
  })

  it('knows no streaming lists', async () => {
    for (const as of [400, 422] as const) {
      server.misbehave({ type: 'no-streaming-lists', as })
      expect(await code(STREAMING)).toBe(as)
    }
    server.misbehave({ type: 'no-streaming-lists', as: 'event' })
    const watch = await askServer(server, STREAMING)
    expect(await watch.ended).toBe('whole')
    expect(watch.lines()).toMatchObject([{ type: 'ERROR', object: { code: 500 } }])
  })

  it('has forgotten, or has not come so far', async () => {
    server.misbehave({ type: 'expired' }, { times: 2 })
    expect(await code(SERVICES)).toBe(410)
    const watch = await askServer(server, `${SERVICES}?watch=1&resourceVersion=2`)
    await watch.ended
    expect(watch.lines()).toMatchObject([{ type: 'ERROR', object: { code: 410 } }])
    server.misbehave({ type: 'too-large-resource-version', retryAfterSeconds: 3 })
    const { status, body, headers } = await askJson(server, `${SERVICES}?resourceVersion=3`)
    expect([status, headers['retry-after']]).toEqual([504, '3'])
    expect(body).toMatchObject({ details: { causes: [{ reason: 'ResourceVersionTooLarge' }] } })
  })

  it('lists slowly, or half', async () => {
    server.misbehave({ type: 'slow', bytes: 100, pauseMs: 1 })
    expect((await askJson(server, SERVICES)).status).toBe(200)
    server.misbehave({ type: 'truncated', bytes: 100 })
    const half = await askServer(server, SERVICES)
    expect(await half.ended).toBe('ECONNRESET')
    expect(half.text()).toHaveLength(100)
  })

  it('is behind, and catches up', async () => {
    server.misbehave({ type: 'behind', revisions: 2 }, { times: 2 })
    const { body } = await askJson(server, SERVICES)
    expect(body).toMatchObject({ metadata: { resourceVersion: '2' }, items: [{ metadata: { name: 'a' } }] })
    const watch = await askServer(server, STREAMING)
    expect((await watch.received(4)).map(({ type }) => type)).toEqual(['ADDED', 'BOOKMARK', 'ADDED', 'ADDED'])
  })

  it('leaves objects out', async () => {
    server.misbehave({ type: 'omit', keys: ['shop/b'] })
    const { body } = await askJson(server, SERVICES)
    expect(body).toMatchObject({ items: [{ metadata: { name: 'a' } }, { metadata: { name: 'c' } }] })
  })

  it('says everything twice', async () => {
    server.misbehave({ type: 'duplicates' })
    const watch = await askServer(server, `${SERVICES}?watch=1&resourceVersion=3`)
    expect((await watch.received(2)).map(({ object }) => object.metadata['name'])).toEqual(['c', 'c'])
  })

  it('breaks off in the midst of a streaming list', async () => {
    server.misbehave({ type: 'disturbed', afterLines: 2, by: { type: 'reset' } })
    const watch = await askServer(server, STREAMING)
    expect(await watch.ended).toBe('ECONNRESET')
    expect(watch.lines()).toHaveLength(2)
  })

  it('refuses connections, and comes back at the same port with its objects', async () => {
    const watch = await openWatch()
    await server.goAway()
    expect(await watch.ended).toBe('ECONNRESET')
    await expect(askServer(server, SERVICES)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    await server.comeBack()
    expect((await askJson(server, SERVICES)).body).toMatchObject({ metadata: { resourceVersion: '4' } })
  })

  it('takes connections and says nothing, or cuts them', async () => {
    server.setDoor('mute')
    expect(await Promise.race([askServer(server, SERVICES), soon('nothing')])).toBe('nothing')
    server.setDoor('resetting')
    const reset = await new Promise((resolve) => {
      connect(server.port, '127.0.0.1').on('error', resolve)
    })
    expect(reset).toMatchObject({ code: 'ECONNRESET' })
    server.setDoor('serving')
    expect(await code(SERVICES)).toBe(200)
  })

  it('shows another certificate', async () => {
    server.setCertificate(server.authority.issue({ commonName: 'other', names: ['10.0.0.1'] }))
    await expect(askServer(server, SERVICES)).rejects.toMatchObject({ code: 'ERR_TLS_CERT_ALTNAME_INVALID' })
  })
})

describe('an open watch', () => {
  it.each([
    ['ends', { type: 'end' }, 'whole', ''],
    ['is reset', { type: 'reset' }, 'ECONNRESET', ''],
    ['ends in a line', { type: 'half-line', ending: 'clean' }, 'whole', '"1"}'],
    ['is cut in a line', { type: 'half-line', ending: 'cut' }, 'ECONNRESET', '"1"}'],
    ['ends in a character', { type: 'half-character', ending: 'clean' }, 'whole', '"z\uFFFD'],
    ['is cut in a character', { type: 'half-character', ending: 'cut' }, 'ECONNRESET', '"z\uFFFD'],
    ['breaks the framing', { type: 'bad-chunk' }, 'HPE_INVALID_CHUNK_SIZE', ''],
    ['is told an error', { type: 'error-event', code: 503 }, 'whole', '"code":503}}\n'],
  ] as const)('%s', async (_, disturbance, ended, tail) => {
    const watch = await openWatch()
    expect(server.disturb(disturbance)).toBe(1)
    expect(await watch.ended).toBe(ended)
    expect(watch.text().endsWith(tail)).toBe(true)
    expect(server.watches()).toBe(0)
  })

  it('goes on after a line that is none', async () => {
    const watch = await openWatch()
    server.disturb({ type: 'garbage-line' })
    server.put(service({ name: 'd' }))
    await expect.poll(() => watch.text()).toContain('"name":"d"')
    expect(() => watch.lines()).toThrow(SyntaxError)
  })

  it('says what it is told to say', async () => {
    const watch = await openWatch()
    server.disturb({ type: 'line', text: '{"type":"ODD","object":{"metadata":{}}}' })
    expect(await watch.received(1)).toEqual([{ type: 'ODD', object: { metadata: {} } }])
  })

  it('falls silent', async () => {
    const watch = await openWatch()
    server.disturb({ type: 'silence' })
    server.put(service({ name: 'd' }))
    server.bookmark()
    expect(await Promise.race([watch.received(1), soon('nothing')])).toBe('nothing')
    expect(server.watches()).toBe(1)
  })

  it('hears old events again', async () => {
    const watch = await openWatch()
    server.disturb({ type: 'repeat-events', count: 2 })
    const lines = await watch.received(2)
    expect(lines.map(({ object }) => object.metadata['resourceVersion'])).toEqual(['3', '4'])
  })
})

const openWatch = (): Promise<TestAnswer> => askServer(server, `${SERVICES}?watch=1&resourceVersion=4`)

const code = async (target: string): Promise<number> => (await askJson(server, target)).status

/** After everything that is under way on this machine's loopback. */
const soon = <T>(value: T): Promise<T> => new Promise((resolve) => setTimeout(resolve, 100, value))
