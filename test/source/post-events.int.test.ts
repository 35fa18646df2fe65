import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connectApiServer } from '@pointsman/core/io'
import { afterAll, beforeEach, expect, test } from 'vitest'
import { startTestApiServer, type TestApiServer } from '../../packages/core/src/testing/api-server/test-api-server.js'
import { failed, synced } from '../../packages/cli/src/agent/health/test-support/agent-events.js'
import { postEvents, type PostedEvents } from '../../packages/cli/src/agent/events/post-events.js'

const folder = mkdtempSync(join(tmpdir(), 'pointsman-events-'))
let server: TestApiServer
let events: PostedEvents
let refused: string[]
let api: Awaited<ReturnType<typeof connectApiServer>>

beforeEach(async () => {
  server = await startTestApiServer()
  const kubeconfig = join(folder, 'kubeconfig')
  writeFileSync(kubeconfig, server.kubeconfig())
  api = await connectApiServer({
    kubeconfig,
    otherwise: 'pod',
    env: {},
    userAgent: 'test',
    now: () => performance.now(),
  })
  refused = []
  events = postEvents({
    nodeName: 'node-a',
    hostname: 'machine-7',
    observe: false,
    now: () => performance.now(),
    onRefused: (message) => refused.push(message),
  })
  return async () => {
    events.close()
    await api.close()
    await server.close()
  }
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const run = { toSeq: 7, startedAt: 0, endedAt: Date.parse('2026-03-01T10:00:00Z') }

test('what happens before there is a connection is posted once there is one; what is repeated is a series', async () => {
  events.on({ type: 'opened', at: 0 })
  events.on(failed(run))
  events.on(failed(run))
  events.on(failed(run))
  events.connect(api)
  await events.settled()
  expect(server.events()).toMatchObject([
    { reason: 'Starting', type: 'Normal' },
    { reason: 'SyncFailed', type: 'Warning', series: { count: 3 } },
  ])
  events.on(synced(run))
  await events.settled()
  expect(server.events().map(({ reason }) => reason)).toEqual(['Starting', 'SyncFailed', 'SyncSucceeded'])
  expect(refused).toEqual([])
})

test('a repetition patches the Event that is there, and posts it again where the server has forgotten it', async () => {
  events.connect(api)
  events.on(failed(run))
  await events.settled()
  events.on(failed(run))
  await events.settled()
  expect(server.requests.map(({ method }) => method)).toEqual(['POST', 'PATCH'])
  expect(server.events()).toMatchObject([{ reason: 'SyncFailed', series: { count: 2 } }])

  events.on({ type: 'opened', at: 0 })
  await events.settled()
  server.forgetEvents()
  events.on({ type: 'opened', at: 0 })
  await events.settled()
  expect(server.events()).toMatchObject([{ reason: 'Starting', series: { count: 2 } }])
})

test('a server that refuses Events is named once, in one line', async () => {
  server.misbehave({ type: 'status', code: 403 }, { kind: 'event', times: 100 })
  events.connect(api)
  events.on({ type: 'opened', at: 0 })
  await events.settled()
  events.on(failed(run))
  await events.settled()
  expect(refused).toEqual([
    'no Kubernetes Events are posted: the API server refuses them (403: asked for by a test); permit create and patch of events in events.k8s.io, or set --events=false',
  ])
  expect(server.count({ kind: 'event' })).toBe(1)
})

test('a server that hangs holds nobody up, and closing ends the request', async () => {
  server.misbehave({ type: 'hang' }, { kind: 'event' })
  events.connect(api)
  events.on({ type: 'opened', at: 0 })
  const settled = events.settled()
  events.close()
  await settled
  expect(server.events()).toEqual([])
})
