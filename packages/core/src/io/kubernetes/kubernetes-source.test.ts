import { afterEach, describe, expect, test } from 'vitest'
import type { JsonObject, KubernetesObject } from '../../model/kubernetes-object.js'
import { node, service } from '../../testing/manifests.js'
import { openTrial, type Trial, type TrialOptions } from '../../testing/source-trial.js'
import { createKnownObjects } from './known-objects.js'
import { kubernetesSource } from './kubernetes-source.js'

const MINUTE = 60_000
const HOUR = 60 * MINUTE

let trial: Trial
const begin = (options: TrialOptions = {}): Trial =>
  (trial = openTrial({ kubernetesSource, createKnownObjects }, options))
afterEach(() => trial.close())

const web = (resource = 'web'): ReturnType<typeof service> => service({ name: resource })

describe('the beginning', () => {
  test('a streaming list gives what there is, and the watch goes on in the same answer', async () => {
    const { server, run, said } = begin()
    server.put(web('a'))
    server.put(web('b'))
    await run(1000)
    server.put(web('c'))
    server.remove(web('a'))
    await run(1000)
    expect(said('Service')).toEqual([
      'connecting',
      'listing',
      'LIST_BEGUN',
      'ADDED a 101',
      'ADDED b 102',
      'LIST: 2 listed: 2 added, 0 modified, 0 replaced, 0 deleted (FIRST)',
      'END 102',
      'watching',
      'ADDED c 103',
      'DELETED a 104',
    ])
    expect(server.requests.map(({ asked }) => asked)).toEqual(['streaming-list', 'streaming-list', 'streaming-list'])
  })

  test.each(['status', 'event'] as const)(
    'a server that refuses streaming lists by %s is asked for pages, and never for a stream again',
    async (refuseStreams) => {
      const { server, run, said, asked } = begin({ refuseStreams, pageSize: 2 })
      for (const name of ['a', 'b', 'c', 'd', 'e']) server.put(web(name))
      await run(1000)
      expect(asked('Service')).toEqual(['streaming-list', 'first-page', 'page', 'page', 'watch'])
      expect(said('Service').filter((line) => line.startsWith('ADDED'))).toHaveLength(5)
      expect(said('Service')).toContain('END 105')
      expect(said('Service')).not.toContainEqual(expect.stringMatching('WATCH_LOST'))
      server.compact()
      server.put(web('f'))
      server.compact()
      server.fault = ({ asked: what }) => (what === 'watch' ? { type: 'refused', status: 410 } : undefined)
      await run(10 * MINUTE)
      expect(asked('Service').filter((what) => what === 'streaming-list')).toHaveLength(1)
    },
  )

  test('a restart goes on where the log ends, and lists nothing', async () => {
    const { server, run, said, asked } = begin({ resume: true })
    server.put(web('a'))
    await run(1000)
    expect(said('Service')).toEqual(['connecting', 'watching', 'ADDED a 101'])
    expect(asked('Service')).toEqual(['watch'])
  })

  test('a restart after too long lists, and tells the differences alone', async () => {
    const { server, run, said, asked } = begin({
      resume: true,
      before: (api) => {
        for (const name of ['same', 'other', 'gone', 'again']) api.put(web(name))
      },
    })
    server.put(web('other'))
    server.remove(web('gone'))
    server.remove(web('again'))
    server.put(web('again'))
    server.put(web('new'))
    server.compact()
    await run(5000)
    expect(asked('Service')).toEqual(['streaming-list'])
    expect(said('Service').filter((line) => /^(?:ADDED|MODIFIED|DELETED|END|LIST_BEGUN)/.test(line))).toEqual([
      'LIST_BEGUN',
      'DELETED again 104',
      'ADDED again 108',
      'ADDED new 109',
      'MODIFIED other 105',
      'DELETED gone 103',
      'END 109',
    ])
    expect(said('Service')).toContain('RELIST: 4 listed: 1 added, 1 modified, 1 replaced, 1 deleted (EXPIRED)')
  })
})

test('a server that was restored behind what is known is noticed on the next connection, and its history is listed', async () => {
  const { server, run, said, asked } = begin({ resume: true, before: (api) => api.put(web('a')) })
  for (let i = 0; i < 9; i++) server.put(web('b'))
  await run(1000)
  server.restore(101)
  server.fault = ({ at }) => (at < trial.startedAt + 2000 ? { type: 'unreachable' } : undefined)
  server.breakAll()
  await run(20_000)
  expect(asked('Service')).toEqual(expect.arrayContaining(['watch', 'streaming-list']))
  expect(said('Service')).toContainEqual(expect.stringMatching(/^RELIST: .* \(TOO_NEW\)$/))
  expect(trial.state('Service')).toEqual(trial.truth('Service'))
})

const withSpec = (object: KubernetesObject, more: JsonObject): KubernetesObject => ({
  ...object,
  spec: { ...(object['spec'] as JsonObject), ...more },
})

/** Answers each check of the history of Services with the object as `read` gives it. Gives the number of these answers. */
function answerChecksWith(
  server: Trial['server'],
  read: (object: KubernetesObject, nth: number) => KubernetesObject,
): () => number {
  let answers = 0
  server.checkFault = ({ kind, query }) => {
    const name = /metadata\.name=([^,]*)/.exec(query['fieldSelector'] ?? '')?.[1]
    const object = server.objects('Service').find(({ metadata }) => metadata.name === name)
    if (kind !== 'Service' || object === undefined) return undefined
    const metadata = { resourceVersion: String(server.resourceVersion) }
    const list = { kind: 'ServiceList', apiVersion: 'v1', metadata, items: [read(object, answers++)] }
    return { type: 'line', text: JSON.stringify(list) }
  }
  return () => answers
}

describe('a server that was restored from a backup, and is past what is known when it is heard again', () => {
  /** What is known is of another history than the server's. Gives what is done to the server before it is heard again. */
  const restored = async (resumed: 'by the source' | 'by another', change: (server: Trial['server']) => void) => {
    const known = (server: Trial['server']): void => {
      for (const name of ['a', 'b', 'c']) server.put(web(name))
      if (resumed === 'by another') change(server)
    }
    const opened = begin({ resume: true, before: known })
    const { server, run } = opened
    if (resumed === 'by the source') {
      await run(1000)
      change(server)
      await run(1000)
    }
    server.fault = () => ({ type: 'unreachable' })
    server.checkFault = server.fault
    server.breakAll()
    server.restore(103)
    for (let other = 0; other < 9; other++) server.put(service({ name: `other-${other}` }))
    await run(8000)
    server.fault = () => undefined
    server.checkFault = server.fault
    await run(40_000)
    return opened
  }

  test.each<[string, (server: Trial['server']) => void]>([
    ['a change', (server) => server.put(service({ name: 'b', labels: { version: 'lost' } }))],
    ['an object', (server) => server.put(web('lost'))],
    ['a deletion', (server) => server.remove(web('c'))],
    ['an object that was made anew', (server) => [server.remove(web('a')), server.put(web('a'))]],
  ])('is listed: %s was never there', async (name, change) => {
    for (const resumed of ['by the source', 'by another'] as const) {
      // A log holds what there is, and not what was deleted last.
      if (resumed === 'by another' && name === 'a deletion') continue
      const { said, state, truth } = await restored(resumed, change)
      expect(state('Service')).toEqual(truth('Service'))
      expect(said('Service')).toContainEqual(expect.stringMatching(/^RELIST: .* \(RESTORED\)$/))
      trial.close()
    }
  })

  test('is listed where an object has another content in the version that is known', async () => {
    const { server, run, items, said } = begin({
      resume: true,
      before: (api) => ['a', 'b'].forEach((name) => api.put(web(name))),
    })
    await run(1000)
    server.put(service({ name: 'b', labels: { version: 'lost' } }))
    await run(1000)
    server.restore(102)
    server.put(service({ name: 'b', labels: { version: 'kept' } }))
    server.breakAll()
    await run(10_000)
    expect(said('Service')).toContainEqual(expect.stringMatching(/^RELIST: .* \(RESTORED\)$/))
    const changes = items.flatMap((item) =>
      item.type === 'event' && item.event.type === 'MODIFIED' ? [item.event.object] : [],
    )
    expect(changes.filter(({ metadata }) => metadata.name === 'b').map(({ metadata }) => metadata['labels'])).toEqual([
      { version: 'lost' },
      { version: 'kept' },
    ])
  })

  test('is not assumed where API servers of two versions add other defaults to the object that is known', async () => {
    const { server, run, said, asked } = begin({ resume: true, before: (api) => api.put(web('a')) })
    const checks = answerChecksWith(server, (object, nth) =>
      nth % 2 === 0 ? object : withSpec(object, { trafficDistribution: 'PreferClose' }),
    )
    server.put(service({ name: 'b', labels: { version: '1' } }))
    for (let connection = 0; connection < 6; connection++) {
      await run(MINUTE)
      server.breakAll()
    }
    await run(MINUTE)
    expect(checks()).toBeGreaterThanOrEqual(6)
    expect(said('Service').filter((line) => /RESTORED|LIST|MODIFIED/.test(line))).toEqual([])
    expect(new Set(asked('Service'))).toEqual(new Set(['watch']))
  })

  test('is found where a field that both have differs, whatever defaults are added', async () => {
    const { server, run, said } = begin({ resume: true, before: (api) => api.put(web('a')) })
    const checks = answerChecksWith(server, (object) =>
      withSpec(object, { ports: [{ name: 'http', port: 81 }], trafficDistribution: 'PreferClose' }),
    )
    await run(MINUTE)
    server.breakAll()
    await run(MINUTE)
    expect(checks()).toBeGreaterThan(0)
    expect(said('Service')).toContainEqual(expect.stringMatching(/^RELIST: .* \(RESTORED\)$/))
  })

  test('is listed by and by where nothing that is known was changed', async () => {
    const { server, run, said, state, truth } = begin({ resume: true, limits: { relistMs: HOUR } })
    server.put(web('a'))
    await run(1000)
    // What no watch can tell: the server loses an event.
    server.breakAll()
    server.putUnseen(web('b'))
    await run(10_000)
    expect(state('Service')).not.toEqual(truth('Service'))
    await run(2 * HOUR)
    expect(state('Service')).toEqual(truth('Service'))
    expect(said('Service')).toContainEqual(expect.stringMatching(/^RELIST: .* \(PERIODIC\)$/))
  })
})

test('everything is listed about as often as is asked for, also more often than watches end by themselves', async () => {
  const { run, asked } = begin({ resume: true, streamingLists: false, limits: { relistMs: 2 * MINUTE } })
  await run(HOUR)
  const lists = asked('Service').filter((what) => what === 'first-page').length
  expect(lists).toBeGreaterThanOrEqual(24)
  expect(lists).toBeLessThanOrEqual(40)
})

test('a Node that says no more than that it lives is no event, and its watch goes on from there', async () => {
  const heartbeat = (time: string) => ({
    ...node({ name: 'node-a' }),
    status: { addresses: [], conditions: [{ type: 'Ready', lastHeartbeatTime: time }] },
  })
  const { server, run, said, items } = begin({ resume: true, before: (api) => api.put(heartbeat('10:00')) })
  await run(1000)
  server.put(heartbeat('10:05'))
  server.put(heartbeat('10:10'))
  await run(1000)
  expect(said('Node').filter((line) => line.startsWith('MODIFIED'))).toEqual([])
  server.put({ ...heartbeat('10:15'), spec: { podCIDRs: ['10.244.3.0/24'] } })
  server.breakAll()
  await run(10_000)
  expect(said('Node').filter((line) => line.startsWith('MODIFIED'))).toHaveLength(1)
  expect(items.filter((item) => item.type === 'notice' && item.notice.code === 'RELIST')).toEqual([])
})

test('after an outage, a history that is gone is listed as soon as the server says so', async () => {
  const { server, run } = begin({ resume: true })
  await run(1000)
  server.fault = () => ({ type: 'unreachable' })
  server.checkFault = server.fault
  server.breakAll()
  await run(10 * MINUTE)
  server.put(web('a'))
  server.compact()
  server.fault = () => undefined
  server.checkFault = server.fault
  await run(MINUTE)
  const answers = server.requests.filter(({ kind, code }) => kind === 'Service' && code !== 0)
  const gone = answers.find(({ code }) => code === 410)
  const list = answers.find(({ asked }) => asked === 'streaming-list')
  expect((list?.at ?? Number.NaN) - (gone?.at ?? Number.NaN)).toBeLessThanOrEqual(1000)
  expect(trial.state('Service')).toEqual(trial.truth('Service'))
})

test('an event of what is no Service is told once and passed over', async () => {
  const { server, run, said } = begin({ resume: true })
  let left = 2
  server.fault = ({ kind }) =>
    kind === 'Service' && left-- > 0
      ? { type: 'line', text: '{"type":"ADDED","object":{"apiVersion":"v1","kind":"Service","metadata":{}}}' }
      : undefined
  await run(1000)
  server.put(web('a'))
  await run(MINUTE)
  expect(said('Service').filter((line) => line.startsWith('OBJECT_UNREADABLE'))).toEqual([
    'OBJECT_UNREADABLE: the Service has no usable metadata: {"apiVersion":"v1","kind":"Service"}',
  ])
  expect(said('Service')).toContain('ADDED a 101')
})

test('what is long known is not told again, and moves nothing back', async () => {
  const { server, run, said } = begin({ resume: true })
  server.put(web('a'))
  server.put(web('a'))
  await run(1000)
  let left = 1
  server.fault = ({ kind }) =>
    kind === 'Service' && left-- > 0
      ? {
          type: 'line',
          text: JSON.stringify({
            type: 'MODIFIED',
            object: service({ name: 'a', uid: 'uid-1', resourceVersion: '101' }),
          }),
        }
      : undefined
  server.breakAll()
  await run(MINUTE)
  server.put(web('a'))
  await run(MINUTE)
  expect(said('Service').filter((line) => / a /.test(line))).toEqual([
    'ADDED a 101',
    'MODIFIED a 102',
    'MODIFIED a 103',
  ])
})

test('what is older than the place to go on from is not told, though nothing is known of the object', async () => {
  const { server, run, said } = begin({
    resume: true,
    before: (api) => {
      for (const name of ['a', 'a', 'a']) api.put(web(name))
    },
  })
  const old = service({ name: 'a', uid: 'uid-1', resourceVersion: '102' })
  let left = 1
  server.fault = ({ kind }) =>
    kind === 'Service' && left-- > 0
      ? { type: 'line', text: JSON.stringify({ type: 'MODIFIED', object: old }) }
      : undefined
  await run(MINUTE)
  expect(said('Service').filter((line) => / a /.test(line))).toEqual([])
  expect(server.requests.findLast(({ kind }) => kind === 'Service')?.query['resourceVersion']).toBe('103')
})

test('an endless line is not kept in memory', async () => {
  const { server, run, said } = begin({ resume: true, limits: { maxLineBytes: 1000 } })
  let left = 1
  server.fault = ({ kind }) => (kind === 'Service' && left-- > 0 ? { type: 'line', text: 'x'.repeat(5000) } : undefined)
  // Cut in pieces, so that the end of the line is not there at once.
  await run(1000)
  expect(said('Service')).toContainEqual(expect.stringMatching(/^lost (?:TOO_LONG|GARBLED)/))
})

test('who stops listening closes everything at once', async () => {
  const { server, run, clock } = begin()
  await run(MINUTE)
  expect(server.open).toBe(3)
  trial.close()
  await run(0)
  expect(server.open).toBe(0)
  const asked = server.requests.length
  await run(HOUR)
  expect(server.requests).toHaveLength(asked)
  expect(clock.now()).toBeGreaterThan(HOUR)
})

test('bookmarks move the place to go on from, and are told when they do', async () => {
  const { server, run, said } = begin({ resume: true })
  await run(90_000)
  for (let i = 0; i < 50; i++) server.put({ ...web('x'), kind: 'Node', apiVersion: 'v1' })
  await run(3 * MINUTE)
  expect(said('Service').filter((line) => line.startsWith('BOOKMARK'))).toEqual(['BOOKMARK 150'])
  server.breakAll()
  await run(3000)
  expect(server.requests.findLast(({ kind }) => kind === 'Service')?.query['resourceVersion']).toBe('150')
})

test('how long ago something was heard is said from time to time', async () => {
  const { server, run, said, clock } = begin({ resume: true })
  await run(1000)
  for (let i = 0; i < 100; i++) {
    server.put(web('a'))
    await run(100)
  }
  expect(said('Service').filter((line) => line === 'watching').length).toBeLessThanOrEqual(4)
  expect(clock.now() - (trial.status('Service')?.heardAt ?? 0)).toBeLessThanOrEqual(5100)
})
