import { afterEach, describe, expect, test } from 'vitest'
import { service } from '../../testing/manifests.js'
import { openTrial, type Trial, type TrialOptions } from '../../testing/source-trial.js'
import type { KubernetesObject } from '../../model/kubernetes-object.js'
import { createKnownObjects } from './known-objects.js'
import { kubernetesSource } from './kubernetes-source.js'
import { readPage } from './list.js'
import { readWatchLine } from './answer.js'

let trial: Trial
const begin = (options: TrialOptions = {}): Trial =>
  (trial = openTrial({ kubernetesSource, createKnownObjects }, options))
afterEach(() => trial.close())

const web = (name: string): KubernetesObject => service({ name })
/** As deep as the server of the trial can still write. */
const deep = (name: string): KubernetesObject => {
  let x: { [key: string]: unknown } = {}
  for (let level = 0; level < 500; level++) x = { x }
  return { ...web(name), spec: { x } } as unknown as KubernetesObject
}

describe.each([
  ['a streaming list', {}],
  ['a list in pages', { streamingLists: false, pageSize: 2 }],
] as const)('objects that cannot be used, with %s', (_way, options) => {
  test('are named once, and all others count', async () => {
    const { server, run, said } = begin(options)
    for (const name of ['a', 'b', 'c']) server.put(web(name))
    server.put(deep('broken'))
    await run(1000)
    server.put(deep('late'))
    server.put(web('d'))
    server.put(deep('late'))
    await run(1000)
    const unreadable = said('Service').filter((line) => line.startsWith('OBJECT_UNREADABLE'))
    expect(unreadable).toEqual([
      expect.stringMatching(
        /broken is skipped, and its last usable version stays in effect: it nests deeper than 100 levels$/,
      ),
      expect.stringMatching(/late is skipped/),
    ])
    expect(said('Service').filter((line) => /^(ADDED|MODIFIED) [abcd] /.test(line))).toHaveLength(4)
    expect(said('Service').filter((line) => /lost/.test(line))).toEqual([])
  })

  test('keep their last version, through lists too, until they are deleted or can be read again', async () => {
    const { server, run, said } = begin(options)
    server.put(web('a'))
    server.put(web('b'))
    await run(1000)
    server.put(deep('a'))
    server.put(deep('b'))
    await run(1000)
    server.compact()
    server.breakAll()
    await run(120_000)
    expect(said('Service').filter((line) => line.startsWith('DELETED'))).toEqual([])
    server.remove(deep('a'))
    server.put(web('b'))
    await run(1000)
    expect(said('Service').filter((line) => line.startsWith('DELETED'))).toEqual([expect.stringMatching(/^DELETED a /)])
    expect(said('Service').filter((line) => line.startsWith('MODIFIED'))).toEqual([
      expect.stringMatching(/^MODIFIED b /),
    ])
  })
})

describe('what a server sends', () => {
  const nested = (levels: number): string => `${'{"a":'.repeat(levels)}{}${'}'.repeat(levels)}`
  const line = (object: string, type = 'ADDED'): ReturnType<typeof readWatchLine> =>
    readWatchLine(Buffer.from(`{"type":"${type}","object":${object}}`), 'Service')
  const D = 100_000

  test.each([
    ['a spec', `{"kind":"Service","metadata":{"name":"a"},"spec":${nested(D)}}`],
    ['an apiVersion', `{"kind":"Service","apiVersion":${nested(D)},"metadata":{"name":"a"}}`],
    ['a name', `{"kind":"Service","metadata":{"name":${nested(D)}}}`],
    ['metadata', `{"kind":"Service","metadata":${nested(D)}}`],
    ['a kind', `{"kind":${nested(D)},"metadata":{"name":"a"}}`],
    ['the object', nested(D)],
  ])('too deep in %s is unreadable, and nothing worse', (_what, object) => {
    const read = line(object)
    expect(read.type).toBe('unreadable')
    expect(JSON.stringify(read).length).toBeLessThan(500)
  })

  test('in an error, a bookmark and beside the object may be as deep as it likes', () => {
    expect(line(`{"kind":"Status","message":${nested(D)},"details":${nested(D)}}`, 'ERROR').type).toBe('error')
    expect(line(`{"kind":"Service","metadata":{"resourceVersion":"7","x":${nested(D)}}}`, 'BOOKMARK').type).toBe(
      'bookmark',
    )
    expect(readWatchLine(Buffer.from(nested(D)), 'Service').type).toBe('garbled')
    const beside = `{"type":"ADDED","x":${nested(D)},"object":{"kind":"Service","metadata":{"name":"a"}}}`
    expect(readWatchLine(Buffer.from(beside), 'Service').type).toBe('object')
  })

  test('in a page stands among items that count', () => {
    const items = [
      `{"metadata":{"name":"a"}}`,
      `{"metadata":{"name":"b"},"spec":${nested(D)}}`,
      nested(D),
      '[]',
      'null',
    ]
    const page = readPage(
      Buffer.from(
        `{"kind":"ServiceList","metadata":{"resourceVersion":"7"},"items":[${items.join()}],"x":${nested(D)}}`,
      ),
      'Service',
    )
    expect(page.type === 'page' && page.objects.map(({ metadata }) => metadata.name)).toEqual(['a'])
    expect(page.type === 'page' && page.unreadable).toHaveLength(4)
  })
})
