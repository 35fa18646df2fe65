import { afterAll, beforeAll, expect, it } from 'vitest'
import { node } from '@pointsman/core/testing'
import type { AgentEvent } from '../agent-event.js'
import { createAgentHealth } from '../health/readiness.js'
import { changed } from '../health/test-support/agent-events.js'
import { createConnectionLimit } from './connection-limit.js'
import { createHealthServer } from './metrics-server.js'
import type { RunningServer } from './http-server.js'
import { ask } from './test-support/ask.js'

const START = Date.UTC(2026, 10, 21, 9)
const probes: AgentEvent[] = []
const health = createAgentHealth({
  families: ['IPv4', 'IPv6'],
  syncPeriodMs: 30_000,
  minSyncPeriodMs: 1000,
  clock: () => START,
  steady: () => 0,
})
let server: RunningServer
let port: number

beforeAll(async () => {
  server = createHealthServer({
    address: { host: '127.0.0.1', port: 0 },
    hardFail: true,
    connections: createConnectionLimit({ maxConnections: 100 }),
    onRetry: () => undefined,
    health,
    onProbe: (event) => probes.push(event),
  })
  port = await server.listening
})
afterAll(() => server.close())

it('answers /healthz and /livez as kube-proxy does, and tells of each answer', async () => {
  health.on({ type: 'start', at: START })
  const red = await ask(port, '/healthz')
  expect(red.status).toBe(503)
  expect(red.headers).toMatchObject({ 'content-type': 'application/json', 'x-content-type-options': 'nosniff' })
  health.on(changed(node({ name: 'node-a' }), { seq: 1, at: START }))
  const { status, body } = await ask(port, '/healthz')
  expect(status).toBe(200)
  const family = { lastUpdated: '2026-11-21T09:00:00Z', healthy: true }
  const times = { lastUpdated: '2026-11-21T09:00:00Z', currentTime: '2026-11-21T09:00:00Z' }
  expect(JSON.parse(body)).toEqual({
    ...times,
    nodeEligible: true,
    healthy: true,
    status: { IPv4: family, IPv6: family },
  })
  expect(JSON.parse((await ask(port, '/livez')).body)).toEqual({
    ...times,
    healthy: true,
    status: { IPv4: family, IPv6: family },
  })
  expect(probes).toEqual([
    { type: 'probe', path: 'healthz', status: 503 },
    { type: 'probe', path: 'healthz', status: 200 },
    { type: 'probe', path: 'livez', status: 200 },
  ])
})

it('answers nothing else, and counts nothing then', async () => {
  const before = probes.length
  for (const path of ['/', '/metrics', '/healthz/', '/toString'])
    expect(await ask(port, path)).toMatchObject({ status: 404, body: '404 page not found\n' })
  expect(probes).toHaveLength(before)
})
