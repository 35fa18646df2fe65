import { afterEach, describe, expect, test } from 'vitest'
import { service } from '../../testing/manifests.js'
import { openTrial, type Trial, type TrialOptions } from '../../testing/source-trial.js'
import { createMemoryChangeLog } from '../../testing/memory-change-log.js'
import { createKnownObjects } from './known-objects.js'
import { kubernetesSource } from './kubernetes-source.js'

const MINUTE = 60_000

let trial: Trial
const begin = (options: TrialOptions = {}): Trial =>
  (trial = openTrial({ kubernetesSource, createKnownObjects }, options))
afterEach(() => trial.close())

const web = (resource = 'web'): ReturnType<typeof service> => service({ name: resource })

describe('a list', () => {
  test('whose pages expire is begun anew', async () => {
    const { server, run, asked } = begin({ streamingLists: false, pageSize: 2 })
    for (const name of ['a', 'b', 'c', 'd', 'e']) server.put(web(name))
    let left = 1
    server.fault = ({ asked: what }) => {
      if (what !== 'page' || left-- <= 0) return undefined
      server.remove(web('a'))
      return { type: 'refused', status: 410, body: { reason: 'Expired' } }
    }
    await run(5000)
    expect(asked('Service')).toEqual(['first-page', 'page', 'first-page', 'page', 'watch'])
    expect(trial.state('Service')).toEqual(trial.truth('Service'))
  })

  test('whose later pages are newer is watched from where the first stood', async () => {
    const { server, run, said } = begin({ streamingLists: false, pageSize: 2 })
    for (const name of ['a', 'b', 'c', 'd']) server.put(web(name))
    server.fault = ({ asked: what, kind }) => {
      // The first page has the one, the second page the other.
      if (what === 'page' && kind === 'Service') for (const name of ['a', 'd']) server.put(web(name))
      return undefined
    }
    await run(1000)
    expect(said('Service').filter((line) => / [ad] |END/.test(line))).toEqual([
      'ADDED a 101',
      'ADDED d 106',
      'END 104',
      'MODIFIED a 105',
    ])
    expect(trial.state('Service')).toEqual(trial.truth('Service'))
  })

  test.each([
    ['pages', 'first-page', { kind: 'ServiceList', apiVersion: 'v1', metadata: { resourceVersion: '90' }, items: [] }],
    [
      'stream',
      'streaming-list',
      {
        type: 'BOOKMARK',
        object: { metadata: { resourceVersion: '90', annotations: { 'k8s.io/initial-events-end': 'true' } } },
      },
    ],
  ])('in %s that is older than what is known deletes nothing', async (way, listed, answer) => {
    const { server, run, said } = begin({
      resume: true,
      streamingLists: way === 'stream',
      before: (api) => api.put(web('a')),
    })
    server.compact()
    server.put(web('b'))
    server.compact()
    let left = 2
    server.fault = ({ asked: what, kind }) =>
      kind === 'Service' && what === listed && left-- > 0 ? { type: 'line', text: JSON.stringify(answer) } : undefined
    await run(MINUTE)
    expect(said('Service').filter((line) => line.startsWith('lost TOO_NEW'))).toHaveLength(2)
    expect(said('Service').filter((line) => line.startsWith('DELETED'))).toEqual([])
    expect(trial.state('Service')).toEqual(trial.truth('Service'))
  })

  test('that left out an object does not make its return, in the same version, look like a repetition to the log', async () => {
    const { server, run, items } = begin({ resume: true, streamingLists: false, before: (api) => api.put(web('a')) })
    const log = createMemoryChangeLog()
    log.appendSync([
      { type: 'event', event: { type: 'ADDED', object: server.objects('Service')[0] ?? web(), observedAt: 0 } },
    ])
    server.put(web('b'))
    server.compact()
    let left = 1
    const page = { kind: 'ServiceList', apiVersion: 'v1', metadata: { resourceVersion: '110' }, items: [] }
    server.fault = ({ asked: what, kind }) =>
      kind === 'Service' && what === 'first-page' && left-- > 0
        ? { type: 'line', text: JSON.stringify(page) }
        : undefined
    await run(MINUTE)
    for (let number = 0; number < 20; number++) server.put(web('b'))
    server.compact()
    server.fault = ({ asked: what, kind }) =>
      kind === 'Service' && what === 'watch' && left-- > -1 ? { type: 'refused', status: 410, body: {} } : undefined
    await run(10 * MINUTE)
    const outcomes = log.appendSync(items.flatMap((item) => (item.type === 'event' ? [item] : [])))
    expect(items.flatMap((item) => (item.type === 'event' && item.event.type === 'DELETED' ? [1] : []))).toHaveLength(1)
    expect(outcomes.filter(({ type }) => type !== 'appended')).toEqual([])
    expect(log.objectsAt(log.head).objects.map(({ metadata }) => metadata.name)).toContain('a')
    expect(trial.state('Service')).toEqual(trial.truth('Service'))
  })

  test('that breaks off is begun anew, and what it had said is known', async () => {
    const { server, run, said, asked } = begin()
    for (const name of ['a', 'b', 'c']) server.put(web(name))
    let left = 1
    server.fault = ({ kind }) => (kind === 'Service' && left-- > 0 ? { type: 'closed', afterBytes: 900 } : undefined)
    await run(5000)
    expect(asked('Service')).toEqual(['streaming-list', 'streaming-list'])
    expect(said('Service').filter((line) => line.startsWith('ADDED'))).toEqual([
      'ADDED a 101',
      'ADDED b 102',
      'ADDED c 103',
    ])
  })

  test('that never becomes whole as a stream is asked for in pages', async () => {
    const { server, run, asked } = begin()
    server.put(web('a'))
    server.fault = ({ asked: what }) => (what === 'streaming-list' ? { type: 'closed', afterBytes: 100 } : undefined)
    await run(MINUTE)
    expect(asked('Service')).toEqual(['streaming-list', 'streaming-list', 'streaming-list', 'first-page', 'watch'])
    expect(trial.state('Service')).toEqual(trial.truth('Service'))
  })

  test('of a server that leaves the list out of the stream is asked for in pages', async () => {
    const { server, run, asked } = begin()
    server.put(web('a'))
    server.fault = ({ asked: what, kind }) =>
      what === 'streaming-list'
        ? { type: 'line', text: `{"type":"BOOKMARK","object":{"kind":"${kind}","metadata":{"resourceVersion":"101"}}}` }
        : undefined
    await run(MINUTE)
    expect(asked('Service')).toEqual(['streaming-list', 'first-page', 'watch'])
    expect(trial.state('Service')).toEqual(trial.truth('Service'))
  })

  test('in which something changes and goes while it is sent tells so', async () => {
    const { server, run, said } = begin()
    const at = (name: string, resourceVersion: string) => service({ name, uid: name, resourceVersion })
    const lines = [
      { type: 'ADDED', object: at('a', '90') },
      { type: 'ADDED', object: at('b', '91') },
      { type: 'MODIFIED', object: at('b', '98') },
      { type: 'DELETED', object: at('a', '99') },
      {
        type: 'BOOKMARK',
        object: { metadata: { resourceVersion: '100', annotations: { 'k8s.io/initial-events-end': 'true' } } },
      },
    ]
    const text = lines.map((line) => JSON.stringify(line)).join('\n')
    server.fault = ({ asked: what, kind }) =>
      what === 'streaming-list' && kind === 'Service' ? { type: 'line', text } : undefined
    await run(1000)
    expect(said('Service').filter((line) => /^(?:ADDED|MODIFIED|DELETED|END)/.test(line))).toEqual([
      'ADDED a 90',
      'ADDED b 91',
      'MODIFIED b 98',
      'DELETED a 99',
      'END 100',
    ])
  })

  test('of a server that is behind is waited for; one that stays behind has another history', async () => {
    const { server, run, said, asked } = begin({ resume: true, before: (api) => api.put(web('a')) })
    server.put(web('b'))
    await run(1000)
    server.restore(101)
    server.breakAll()
    await run(MINUTE)
    expect(said('Service').filter((line) => line.startsWith('lost TOO_NEW'))).toHaveLength(3)
    expect(asked('Service')).toEqual(['watch', 'streaming-list'])
    expect(said('Service')).toContain('RELIST: 1 listed: 0 added, 0 modified, 0 replaced, 1 deleted (TOO_NEW)')
    expect(trial.state('Service')).toEqual(['shop a uid-1 101'])
  })

  test('holds what is no Service: it is said, and the others count', async () => {
    const { server, run, said } = begin()
    server.put(web('a'))
    server.put({ ...web('b'), apiVersion: 'serving.knative.dev/v1' })
    server.put(web('c'))
    await run(1000)
    expect(said('Service').filter((line) => /^(?:ADDED|OBJECT)/.test(line))).toEqual([
      'ADDED a 101',
      'OBJECT_UNREADABLE: an object of another kind where a Service should be: {"apiVersion":"serving.knative.dev/v1","kind":"Service","namespace":"shop","name":"b"}',
      'ADDED c 103',
    ])
  })
})

describe('a list that does not end', () => {
  const endless = ['LIST_TOO_LONG', 'more than 3 objects'] as const

  test.each(['stream', 'pages'])('as a %s goes no further than objects of a kind may be', async (way) => {
    const { server, run, said } = begin({
      streamingLists: way === 'stream',
      pageSize: 2,
      limits: { maxObjects: 3 },
    })
    for (let one = 0; one < 9; one++) server.put(service({ name: `web-${one}` }))
    await run(60_000)
    expect(said('Service')).toContainEqual(expect.stringMatching(new RegExp(`lost ${endless[0]}`)))
    expect(said('Service').filter((line) => line.startsWith('WATCH_LOST'))).toHaveLength(1)
    // What is known stays, and no round adds more than a page to it.
    expect(said('Service').filter((line) => line.startsWith('ADDED')).length).toBeLessThan(9)
  })

  test('because nothing comes but blanks is given up, and asked for again', async () => {
    const { server, run, said, asked } = begin()
    server.fault = ({ kind }) => (kind === 'Service' ? { type: 'line', text: ' ' } : undefined)
    server.put(service({ name: 'web' }))
    await run(120_000)
    expect(said('Service')).toContainEqual(expect.stringMatching(/^lost /))
    expect(asked('Service').length).toBeGreaterThan(1)
  })
})
