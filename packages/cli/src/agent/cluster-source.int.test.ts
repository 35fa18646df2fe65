import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createRecorder, type SourceItem } from '@pointsman/core'
import { createKnownObjects } from '@pointsman/core/io'
import { createMemoryChangeLog, node, service, startTestApiServer, type TestApiServer } from '@pointsman/core/testing'
import { Subject } from 'rxjs'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Context } from '../context.js'
import { clusterSource, recordedEvents } from './cluster-source.js'

const kubernetes = (uid: string) => service({ name: 'kubernetes', namespace: 'default', uid })

let server: TestApiServer
let folder: string
let end: () => void

beforeEach(async () => {
  // Far ahead of the log: nothing but its name says that it is another cluster.
  server = await startTestApiServer({ firstResourceVersion: 5000, bookmarkIntervalMs: 100 })
  server.put(kubernetes('uid-of-this'))
  server.put(service({ name: 'here' }))
  folder = mkdtempSync(join(tmpdir(), 'cluster-source-'))
  writeFileSync(join(folder, 'kubeconfig'), server.kubeconfig())
  end = () => undefined
})
afterEach(async () => {
  end()
  await server.close()
  rmSync(folder, { recursive: true })
})

/** A source that begins where the log of a cluster ends. */
function begin(clusterId: string, ofOther: 'fail' | 'list') {
  const items: SourceItem[] = []
  const source = new Subject<SourceItem>()
  source.subscribe((item) => items.push(item))
  const warnings: string[] = []
  const failures: unknown[] = []
  const known = createKnownObjects()
  known.add(kubernetes('uid-of-other'))
  known.add(service({ name: 'there', resourceVersion: '90' }))
  const position = { resourceVersion: '5002' }
  const running = clusterSource(
    {
      server: { kubeconfig: join(folder, 'kubeconfig'), otherwise: 'pod' },
      log: 'node.db',
      version: '0',
      known,
      resume: { Service: position, EndpointSlice: position, Node: position },
      clusterId,
      ofOther,
      onWarning: (message) => warnings.push(message),
    },
    { env: {}, now: Date.now } as unknown as Context,
  ).subscribe({ next: (item) => source.next(item), error: (error: unknown) => failures.push(error) })
  end = () => running.unsubscribe()
  const events = (): readonly string[] =>
    items.flatMap((item) =>
      item.type === 'event' && item.event.type !== 'BOOKMARK'
        ? [`${item.event.type} ${item.event.object.metadata.name}`]
        : [],
    )
  return { events, warnings, failures, source }
}

it('a log of another cluster is not resumed from: everything is listed, and what that cluster had is gone', async () => {
  const { events, warnings, failures } = begin('uid-of-other', 'list')
  await expect.poll(events).toContain('DELETED there')
  expect(events()).toContain('ADDED here')
  const words =
    /^node.db: the log is of cluster uid-of-other, the API server of cluster uid-of-this .*use another --log$/
  expect(warnings).toEqual([expect.stringMatching(words)])
  expect(failures).toEqual([])
  server.put(service({ name: 'later' }))
  await expect.poll(events).toContain('ADDED later')
  expect(server.count({ kind: 'streaming-list' })).toBe(3)
})

it('to record into the log of another cluster is an error', async () => {
  const { events, failures } = begin('uid-of-other', 'fail')
  await expect.poll(() => failures).toHaveLength(1)
  expect(String(failures[0])).toContain('use another --log')
  expect(events()).toEqual([])
})

it('its own log is resumed from', async () => {
  const { warnings, failures } = begin('uid-of-this', 'list')
  await expect.poll(() => server.count({ kind: 'watch' })).toBeGreaterThanOrEqual(1)
  expect([...warnings, ...failures]).toEqual([])
})

describe('a Node that is deleted', () => {
  const nodeEvents = async (keepNode: string | undefined) => {
    const { source, events } = begin('uid-of-this', 'list')
    const log = createMemoryChangeLog()
    const notices: unknown[] = []
    const recorder = createRecorder({ log })
    recordedEvents({
      source,
      recorder,
      ...(keepNode !== undefined && { keepNode }),
      onStatus: () => undefined,
      onNotice: ({ code, details }) => {
        if (code === 'NODE_DELETED') notices.push(details?.['name'])
      },
    }).subscribe()
    await expect.poll(() => server.count({ kind: 'watch' })).toBeGreaterThanOrEqual(1)
    for (const name of ['node-a', 'node-b']) server.put(node({ name }))
    await expect.poll(events).toContain('ADDED node-b')
    for (const name of ['node-a', 'node-b']) server.delete(node({ name }))
    await expect.poll(events).toContain('DELETED node-b')
    await recorder.settled()
    const there = (): readonly string[] =>
      log.objectsAt(log.head).objects.flatMap(({ kind, metadata }) => (kind === 'Node' ? [metadata.name] : []))
    const deleted = there()
    server.put(node({ name: 'node-a', uid: 'uid-of-the-next', podCIDRs: ['10.244.77.0/24'] }))
    await expect.poll(() => events().filter((each) => each === 'ADDED node-a')).toHaveLength(2)
    await recorder.settled()
    const again = log.objectsAt(log.head).objects.find(({ metadata: { name } }) => name === 'node-a')
    return { deleted, notices, uid: again?.metadata['uid'] }
  }

  it('keeps its last version in the log of its agent, with a notice, until it is there again', async () => {
    expect(await nodeEvents('node-a')).toEqual({ deleted: ['node-a'], notices: ['node-a'], uid: 'uid-of-the-next' })
  })

  it('is gone from the log of a cluster', async () => {
    expect(await nodeEvents(undefined)).toEqual({ deleted: [], notices: [], uid: 'uid-of-the-next' })
  })
})
