import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { NEEDED_KINDS } from '@pointsman/core'
import { startTestApiServer } from '@pointsman/core/testing'
import { expectCaughtUp, expectSameObjects, startSource } from './living-source.js'
import { listsAskedOf, webService, webSlice, worldOf } from './world.js'
import type { LivingSource, SourceSettings } from './living-source.js'
import type { TestApiServer } from '@pointsman/core/testing'

const KINDS = 3

let server: TestApiServer
let source: LivingSource | undefined

beforeEach(async () => {
  server = await startTestApiServer({ bookmarkIntervalMs: 200, firstResourceVersion: 100 })
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

/** Changes of every sort, of every kind. */
function change(): void {
  server.put(webSlice(1, 5))
  server.put(webService(2, { 'service.kubernetes.io/service-proxy-name': 'other' }))
  server.put(webService(1000))
  server.put(webSlice(1000))
  server.delete(webService(3))
  server.delete(webService(4))
  server.put(webService(4))
}

describe('2,000 services', () => {
  it('are learnt from one streaming list a kind, and followed from there', async () => {
    server.putAll(worldOf(2000))
    const source = await start()
    await expectCaughtUp(server, source)
    change()
    await expectCaughtUp(server, source)
    expect(listsAskedOf(server)).toBe(KINDS)
    expect(server.count({ kind: ['list', 'page'] })).toBe(0)
  })

  it('are learnt in pages where the server knows no streaming lists', async () => {
    server.putAll(worldOf(2000))
    server.misbehave({ type: 'no-streaming-lists', as: 'event' }, { kind: 'streaming-list', times: 100 })
    const source = await start()
    await expectCaughtUp(server, source)
    change()
    await expectCaughtUp(server, source)
    expect(server.count({ kind: 'list' })).toBe(KINDS)
    // 2,000 services and slices in pages of 500.
    expect(server.count({ kind: 'page', resource: 'services' })).toBe(3)
    expect(server.count({ kind: 'page', resource: 'endpointslices' })).toBe(3)
  })

  it('are followed from where the source before was, without a list', async () => {
    server.putAll(worldOf(2000))
    const before = await start()
    await expectCaughtUp(server, before)
    await before.stop()
    change()
    const asked = listsAskedOf(server)
    const after = await start({ resume: before.resumePoints(), after: before })
    await expectCaughtUp(server, after)
    expect(listsAskedOf(server)).toBe(asked)
  })
})

describe('an open watch', () => {
  /** How many lists a kind are needed then. */
  it.each([
    [{ type: 'end' }, 0],
    [{ type: 'reset' }, 0],
    [{ type: 'half-line', ending: 'clean' }, 0],
    [{ type: 'half-line', ending: 'cut' }, 0],
    [{ type: 'half-character', ending: 'clean' }, 0],
    [{ type: 'half-character', ending: 'cut' }, 0],
    [{ type: 'garbage-line' }, 0],
    [{ type: 'bad-chunk' }, 0],
    [{ type: 'error-event', code: 500 }, 0],
    [{ type: 'error-event', code: 410 }, 1],
    [{ type: 'silence' }, 0],
    [{ type: 'repeat-events', count: 50 }, 0],
  ] as const)('%j: is caught up with, lists needed: %i', async (disturbance, lists) => {
    server.putAll(worldOf(50))
    const source = await start({ impatient: disturbance.type === 'silence' })
    await expectCaughtUp(server, source)
    const asked = listsAskedOf(server)
    change()
    expect(server.disturb(disturbance)).toBe(KINDS)
    server.put(webSlice(7, 7))
    await expectCaughtUp(server, source)
    change()
    await expectCaughtUp(server, source)
    expect(listsAskedOf(server) - asked).toBe(KINDS * lists)
    const isUsual = disturbance.type === 'end' || disturbance.type === 'repeat-events'
    expect(source.notices().includes('WATCH_LOST Service')).toBe(!isUsual)
  })
})

describe('an object that is none', () => {
  it.each([
    ['has no metadata', '{"type":"ADDED","object":{"kind":"Service","apiVersion":"v1"}}'],
    ['has no name', '{"type":"MODIFIED","object":{"kind":"Service","apiVersion":"v1","metadata":{"uid":"x"}}}'],
    ['is null', '{"type":"ADDED","object":null}'],
    ['is of another kind', '{"type":"ADDED","object":{"kind":"Pod","metadata":{"name":"a","resourceVersion":"7"}}}'],
    ['comes with a type that nobody knows', '{"type":"RENAMED","object":{"kind":"Service","metadata":{"name":"a"}}}'],
  ])('%s: is told, and what follows is heard on the same watch', async (_, text) => {
    server.putAll(worldOf(20))
    const source = await start()
    await expectCaughtUp(server, source)
    const asked = server.requests.length
    server.disturb({ type: 'line', text }, 'services')
    server.put(webService(1000))
    await expectCaughtUp(server, source)
    expect(source.notices()).toContain('OBJECT_UNREADABLE Service')
    expect(server.requests).toHaveLength(asked)
  })

  it('is longer than a line may be: what follows is heard by and by', async () => {
    server.putAll(worldOf(20))
    const source = await start({ limits: { maxLineBytes: 100_000 } })
    await expectCaughtUp(server, source)
    const text = JSON.stringify({ type: 'ADDED', object: { kind: 'Service', metadata: { name: 'x'.repeat(200_000) } } })
    server.disturb({ type: 'line', text }, 'services')
    server.put(webService(1000))
    await expectCaughtUp(server, source)
    expect(source.notices()).toContain('WATCH_LOST Service')
  })
})

describe('the next watch after a lost one', () => {
  it.each([
    [{ type: 'status', code: 401 }, 0],
    [{ type: 'status', code: 403 }, 0],
    [{ type: 'status', code: 429, retryAfterSeconds: 1 }, 0],
    [{ type: 'status', code: 500 }, 0],
    [{ type: 'status', code: 503 }, 0],
    [{ type: 'status', code: 410 }, 1],
    [{ type: 'expired' }, 1],
    [{ type: 'hang' }, 0],
    [{ type: 'reset' }, 0],
    [{ type: 'duplicates' }, 0],
    [{ type: 'disturbed', afterLines: 0, by: { type: 'end' } }, 0],
    [{ type: 'disturbed', afterLines: 1, by: { type: 'half-character', ending: 'cut' } }, 0],
  ] as const)('%j: is caught up with, lists needed: %i', async (misbehaviour, lists) => {
    server.putAll(worldOf(50))
    const source = await start({ impatient: misbehaviour.type === 'hang' })
    await expectCaughtUp(server, source)
    const asked = listsAskedOf(server)
    server.misbehave(misbehaviour, { kind: 'watch', times: KINDS })
    server.disturb({ type: 'reset' })
    change()
    await expectCaughtUp(server, source)
    server.put(webSlice(7, 7))
    await expectCaughtUp(server, source)
    expect(listsAskedOf(server) - asked).toBe(KINDS * lists)
  })
})

describe('a server that answers while its etcd does not', () => {
  it.each([500, 504])('with %i to every list and watch is followed again once it can, without a list', async (code) => {
    server.putAll(worldOf(50))
    const source = await start()
    await expectCaughtUp(server, source)
    const asked = listsAskedOf(server)
    const recover = server.misbehave({ type: 'status', code }, { times: 1_000_000 })
    server.disturb({ type: 'reset' })
    change()
    const isLost = (): boolean => NEEDED_KINDS.every((kind) => source.status(kind)?.error?.code === 'SERVER_ERROR')
    await expect.poll(isLost).toBe(true)
    recover()
    await expectCaughtUp(server, source)
    server.put(webSlice(7, 7))
    await expectCaughtUp(server, source)
    expect(listsAskedOf(server)).toBe(asked)
  })

  it('at the start is listed once it can', async () => {
    server.putAll(worldOf(50))
    const recover = server.misbehave({ type: 'status', code: 500 }, { times: 1_000_000 })
    const source = await start()
    await expect.poll(() => source.status('Service')?.error?.code).toBe('SERVER_ERROR')
    recover()
    await expectCaughtUp(server, source)
  })
})

describe('the first list', () => {
  it.each([
    ['streaming-list', { type: 'status', code: 401 }],
    ['streaming-list', { type: 'status', code: 503, retryAfterSeconds: 1 }],
    ['streaming-list', { type: 'no-streaming-lists', as: 400 }],
    ['streaming-list', { type: 'no-streaming-lists', as: 422 }],
    ['streaming-list', { type: 'hang' }],
    ['streaming-list', { type: 'behind', revisions: 30 }],
    ['streaming-list', { type: 'duplicates' }],
    ['streaming-list', { type: 'disturbed', afterLines: 1, by: { type: 'half-line', ending: 'clean' } }],
    ['streaming-list', { type: 'disturbed', afterLines: 1, by: { type: 'reset' } }],
    ['streaming-list', { type: 'disturbed', afterLines: 1, by: { type: 'silence' } }],
    ['list', { type: 'status', code: 429, retryAfterSeconds: 1 }],
    ['list', { type: 'too-large-resource-version', retryAfterSeconds: 1 }],
    ['list', { type: 'truncated', bytes: 700 }],
    ['list', { type: 'slow', bytes: 1000, pauseMs: 1 }],
    ['list', { type: 'behind', revisions: 30 }],
    ['page', { type: 'expired' }],
    ['page', { type: 'status', code: 500 }],
    ['page', { type: 'truncated', bytes: 700 }],
  ] as const)('%s %j: everything is learnt in the end', async (kind, misbehaviour) => {
    server.putAll(worldOf(50))
    if (kind !== 'streaming-list') {
      server.misbehave({ type: 'no-streaming-lists', as: 400 }, { kind: 'streaming-list', times: 1000 })
    }
    server.misbehave(misbehaviour, { kind, times: KINDS })
    const source = await start({ pageSize: 20, impatient: true })
    await expectCaughtUp(server, source)
    change()
    await expectCaughtUp(server, source)
  })
})

describe('a server that goes away', () => {
  it('and comes back is watched from where it was, without a list', async () => {
    server.putAll(worldOf(50))
    const source = await start()
    await expectCaughtUp(server, source)
    await server.goAway()
    change()
    await expect.poll(() => source.status('Service')?.phase).toBe('lost')
    await server.comeBack()
    await expectCaughtUp(server, source)
    expect(listsAskedOf(server)).toBe(KINDS)
  })

  it('and comes back without its history is listed once a kind, which tells what was deleted meanwhile', async () => {
    server.putAll(worldOf(50))
    const source = await start()
    await expectCaughtUp(server, source)
    await server.goAway()
    change()
    server.compact()
    await server.comeBack()
    await expectCaughtUp(server, source)
    expect(listsAskedOf(server)).toBe(2 * KINDS)
    expect(source.notices()).toEqual(expect.arrayContaining(['WATCH_LOST Service', 'RELIST Service']))
  })

  it('but takes connections, or hangs up, is waited for', async () => {
    server.putAll(worldOf(50))
    const source = await start({ impatient: true })
    await expectCaughtUp(server, source)
    const asked = listsAskedOf(server)
    for (const door of ['mute', 'resetting'] as const) {
      server.setDoor(door)
      server.disturb({ type: 'reset' })
      change()
      server.put(webSlice(9, door === 'mute' ? 1 : 4))
      await expect.poll(() => source.status('EndpointSlice')?.phase).toBe('lost')
      server.setDoor('serving')
      await expectCaughtUp(server, source)
    }
    expect(listsAskedOf(server)).toBe(asked)
  })

  it('lists what it had forgotten for a moment: what was left out comes back', async () => {
    server.putAll(worldOf(50))
    const source = await start()
    await expectCaughtUp(server, source)
    server.misbehave({ type: 'omit', keys: ['depot/web-5', 'depot/web-5-1'] }, { kind: 'streaming-list', times: KINDS })
    server.disturb({ type: 'error-event', code: 410 })
    await expect.poll(() => source.folded('Service').has('depot/web-5')).toBe(false)
    server.disturb({ type: 'error-event', code: 410 })
    await expectCaughtUp(server, source)
  })

  it('and comes back restored from a backup, behind what is known, is listed once it is clear that it will not catch up', async () => {
    // No version of an object comes twice: its creationTimestamp is another whenever a second begins in between.
    server.skip(7)
    server.putAll(worldOf(50))
    const source = await start({ impatient: true })
    server.skip(5000)
    change()
    await expectCaughtUp(server, source)
    const { port, authority } = server
    await server.close()
    server = await startTestApiServer({ port, authority, bookmarkIntervalMs: 200, firstResourceVersion: 100 })
    server.putAll(worldOf(40))
    await expectSameObjects(server, source)
    expect(listsAskedOf(server)).toBeLessThanOrEqual(2 * KINDS)
  })

  it.each([0, 1, 3, 500])(
    'and comes back restored from a backup, and past what is known by %i changes, is listed',
    async (further) => {
      server.putAll(worldOf(50))
      const source = await start({ impatient: true })
      await expectCaughtUp(server, source)
      change()
      await expectCaughtUp(server, source)
      const reached = server.resourceVersion()
      const { port, authority } = server
      await server.close()
      // Uids and versions come again, with other objects and contents.
      server = await startTestApiServer({ port, authority, bookmarkIntervalMs: 200, firstResourceVersion: 100 })
      server.putAll(worldOf(50))
      for (let index = 0; server.resourceVersion() < reached + further; index++)
        server.put(webSlice(8 + (index % 9), 3 + index))
      await expectSameObjects(server, source)
    },
  )

  it('and was restored from a backup while nobody was following is listed by whoever goes on from before', async () => {
    server.putAll(worldOf(50))
    const before = await start()
    change()
    await expectCaughtUp(server, before)
    await before.stop()
    const { port, authority } = server
    const reached = server.resourceVersion()
    await server.close()
    server = await startTestApiServer({ port, authority, bookmarkIntervalMs: 200, firstResourceVersion: 100 })
    server.putAll(worldOf(50))
    while (server.resourceVersion() < reached + 200) server.put(webSlice(8, 1 + (server.resourceVersion() % 7)))
    const after = await start({ resume: before.resumePoints(), after: before })
    await expectSameObjects(server, after)
  })
})
