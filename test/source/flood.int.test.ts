import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { startTestApiServer } from '@pointsman/core/testing'
import { expectCaughtUp, startSource } from './living-source.js'
import { worldOf } from './world.js'
import type { LivingSource } from './living-source.js'
import type { Misbehaviour, TestApiServer } from '@pointsman/core/testing'

const KINDS = 3
const FOREVER = 1e9

let server: TestApiServer
let source: LivingSource

beforeEach(async () => {
  server = await startTestApiServer({ bookmarkIntervalMs: 200, firstResourceVersion: 1000 })
  server.putAll(worldOf(20))
})
afterEach(async () => {
  await source.stop()
  await server.close()
})

/** Requests, and connections without one, in a time. */
async function asked(forMs: number): Promise<number> {
  const before = server.requests.length + server.connections()
  await pause(forMs)
  return server.requests.length + server.connections() - before
}

describe('a server in trouble is not flooded', () => {
  // Pauses of up to 0.3 s, 0.6 s and on, the source's own divided by three: in a second few attempts a kind.
  const limits = { backoff: { baseMs: 300, capMs: 9000 } }

  it.each([
    { type: 'status', code: 503 },
    { type: 'status', code: 401 },
    { type: 'status', code: 429 },
    { type: 'reset' },
    { type: 'expired' },
    { type: 'status', code: 410 },
    { type: 'disturbed', afterLines: 0, by: { type: 'end' } },
    { type: 'disturbed', afterLines: 0, by: { type: 'garbage-line' } },
    { type: 'disturbed', afterLines: 0, by: { type: 'error-event', code: 410 } },
    { type: 'disturbed', afterLines: 0, by: { type: 'half-line', ending: 'cut' } },
  ] as const satisfies readonly Misbehaviour[])('that answers every request with %j', async (misbehaviour) => {
    source = await startSource(server, { limits: { ...limits, steadyMs: 60_000, quickMs: 5000 } })
    await expectCaughtUp(server, source)
    server.misbehave(misbehaviour, { times: FOREVER })
    server.disturb({ type: 'reset' })
    // Each attempt may be a connection and a request; twelve attempts of a kind would be many.
    expect(await asked(1000)).toBeLessThanOrEqual(KINDS * 12)
  })

  it('that takes no connections, nor when it comes back', async () => {
    source = await startSource(server, { limits })
    await expectCaughtUp(server, source)
    server.setDoor('resetting')
    server.disturb({ type: 'reset' })
    expect(await asked(700)).toBeLessThanOrEqual(KINDS * 8)
    const before = server.requests.length
    server.setDoor('serving')
    await expectCaughtUp(server, source)
    // One watch each, after a look at one object, and no list.
    const kinds = server.requests.slice(before).map(({ kind }) => kind)
    expect(kinds.toSorted()).toEqual([
      ...Array.from({ length: KINDS }, () => 'check'),
      ...Array.from({ length: KINDS }, () => 'watch'),
    ])
  })
})
