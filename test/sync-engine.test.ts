import { createMockBackend, type MockBackend } from '@pointsman/backend-mock'
import {
  createStateFold,
  DEFAULT_PROXY_CONFIG,
  type EngineReport,
  type Recorded,
  runSyncEngine,
  seq,
  type ServicePortName,
  type StateFold,
  type SyncRequest,
  VirtualClock,
  type WatchEvent,
} from '@pointsman/core'
import { createEventMaker, service, serviceCidr, slice } from '@pointsman/core/testing'
import { type Observable, Subject } from 'rxjs'
import { describe, expect, test } from 'vitest'

const START = Date.UTC(2026, 0, 1)

/** The engine on a virtual clock, with a mock backend whose syncs take no time unless `wait` says so. */
function running({
  wait,
  received = [],
  atEnd,
  usesServiceCidrs = false,
  resync,
}: {
  resync?: Observable<unknown>
  usesServiceCidrs?: boolean
  wait?: (request: SyncRequest, signal: AbortSignal) => Promise<void>
  received?: ('Service' | 'EndpointSlice')[]
  atEnd?: 'cut-short'
} = {}): {
  send: (...events: WatchEvent[]) => Promise<void>
  advance: (ms: number) => Promise<void>
  complete: () => Promise<void>
  stop: () => void
  backend: MockBackend
  fold: StateFold
  reports: EngineReport[]
  lines: () => string[]
} {
  const clock = new VirtualClock(START)
  const fold = createStateFold()
  const backend = Object.assign(createMockBackend({ config: DEFAULT_PROXY_CONFIG, ...(wait && { wait }) }), {
    usesServiceCidrs,
  })
  const events = new Subject<Recorded>()
  const reports: EngineReport[] = []
  const subscription = runSyncEngine({
    events,
    fold,
    backend,
    minSyncPeriodMs: 1000,
    syncPeriodMs: 30_000,
    scheduler: clock,
    received,
    ...(atEnd && { atEnd }),
    ...(resync && { resync }),
  }).subscribe({
    next: (report) => reports.push(report),
  })
  let last = 0
  return {
    backend,
    fold,
    reports,
    async send(...list) {
      for (const event of list) events.next({ seq: seq(++last), event })
      await settle()
    },
    async advance(ms) {
      const until = clock.now() + ms
      for (let next = clock.nextAt; next !== undefined && next <= until; next = clock.nextAt) {
        void clock.advanceTo(next)
        await settle()
      }
      void clock.advanceTo(until)
    },
    async complete() {
      events.complete()
      await settle()
    },
    stop: () => subscription.unsubscribe(),
    lines: () =>
      reports.map(
        ({ type, fromSeq, toSeq, changed, startedAt }) =>
          `${type} ${fromSeq}-${toSeq} at ${startedAt - START}: ${changed === 'all' ? 'all' : [...changed].join(' ')}`,
      ),
  }
}

/** Lets every promise that can settle without time settle. */
const settle = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve))

const make = createEventMaker(START)
const web = make.added(service({ name: 'web' }))
const api = make.added(service({ name: 'api', spec: { clusterIP: '10.96.0.2' } }))
const webSlice = make.added(slice({ name: 'web-1', service: 'web', endpoints: ['10.244.1.1'] }))
const listed = [make.listed('Service'), make.listed('EndpointSlice')]

describe('the first sync', () => {
  test('waits until Services and slices have both been received', async () => {
    const engine = running()
    await engine.send(web, make.listed('Service'), webSlice)
    await engine.advance(60_000)
    expect(engine.reports).toEqual([])
    await engine.send(make.listed('EndpointSlice'))
    expect(engine.lines()).toEqual(['synced 1-4 at 60000: all'])
    expect(engine.backend.route({ from: 'outside', to: '10.96.0.1', port: 80, protocol: 'TCP' }).verdict).toBe(
      'endpoints',
    )
  })

  test('needs no lists where a log had them', async () => {
    const engine = running({ received: ['Service', 'EndpointSlice'] })
    await engine.send(web)
    expect(engine.lines()).toEqual(['synced 1-1 at 0: all'])
  })

  test('comes at the end of a recording that has no bookmarks', async () => {
    const engine = running()
    await engine.send(web, webSlice)
    expect(engine.reports).toEqual([])
    await engine.complete()
    expect(engine.lines()).toEqual(['synced 1-2 at 0: all'])
  })
})

describe('a change of the ServiceCIDRs', () => {
  const cidr = make.added(serviceCidr({ name: 'kubernetes', cidrs: ['10.96.0.0/12'] }))

  test('asks for no sync where no rule is made from them', async () => {
    const engine = running()
    await engine.send(web, ...listed)
    await engine.send(cidr, make.listed('ServiceCIDR'))
    await engine.advance(60_000)
    expect(engine.lines()).toEqual(['synced 1-3 at 0: all'])
    await engine.send(api)
    await engine.advance(60_000)
    expect(engine.lines().slice(1)).toEqual(['synced 4-6 at 60000: shop/api:http/TCP/IPv4'])
  })

  test('is a sync of everything where rules are made from them', async () => {
    const engine = running({ usesServiceCidrs: true })
    await engine.send(web, ...listed)
    await engine.send(cidr)
    await engine.advance(60_000)
    expect(engine.lines()).toEqual(['synced 1-3 at 0: all', 'synced 4-4 at 1000: all'])
  })
})

describe('a live source that is ended', () => {
  test('before both lists were there has no sync: what had not come yet is no reason to take rules away', async () => {
    const engine = running({ atEnd: 'cut-short' })
    await engine.send(web, make.listed('Service'), webSlice)
    await engine.complete()
    await engine.advance(60_000)
    expect(engine.reports).toEqual([])
  })

  test('afterwards has a last sync of what came', async () => {
    const engine = running({ atEnd: 'cut-short' })
    await engine.send(...listed)
    await engine.send(web)
    await engine.complete()
    await engine.advance(60_000)
    expect(engine.lines()).toEqual(['synced 1-2 at 0: all', 'synced 3-3 at 1000: shop/web:http/TCP/IPv4'])
  })
})

describe('later syncs', () => {
  test('carry what changed, and a burst is one', async () => {
    const engine = running()
    await engine.send(...listed)
    await engine.send(web, webSlice, api)
    await engine.advance(5000)
    expect(engine.lines()).toEqual([
      'synced 1-2 at 0: all',
      'synced 3-5 at 1000: shop/web:http/TCP/IPv4 shop/api:http/TCP/IPv4',
    ])
  })

  test('come for changes alone: how far a watch has come is none', async () => {
    const engine = running()
    const bookmark = { type: 'BOOKMARK', kind: 'Service', resourceVersion: '9', initialEventsEnd: false } as const
    await engine.send(...listed)
    await engine.send({ ...bookmark, observedAt: 0 }, { ...bookmark, kind: 'Node', observedAt: 0 })
    await engine.advance(5000)
    await engine.send(web)
    expect(engine.lines()).toEqual(['synced 1-2 at 0: all', 'synced 3-5 at 5000: shop/web:http/TCP/IPv4'])
  })

  test('take what came while one was under way into the next', async () => {
    let release = (): void => undefined
    const engine = running({ wait: () => new Promise((resolve) => (release = resolve)) })
    await engine.send(...listed, web)
    await engine.send(api)
    expect(engine.reports).toEqual([])
    release()
    await settle()
    await engine.advance(1000)
    release()
    await settle()
    expect(engine.lines()).toEqual([
      'synced 1-2 at 0: all',
      'synced 3-4 at 1000: shop/web:http/TCP/IPv4 shop/api:http/TCP/IPv4',
    ])
  })
})

describe('a backend that fails', () => {
  test('gets everything since the last success, with backoff', async () => {
    const engine = running()
    await engine.send(...listed)
    engine.backend.failNext(2)
    await engine.send(web)
    await engine.advance(1000)
    await engine.advance(1000)
    await engine.send(api)
    await engine.advance(30_000)
    expect(engine.lines()).toEqual([
      'synced 1-2 at 0: all',
      'failed 3-3 at 1000: shop/web:http/TCP/IPv4',
      'failed 3-3 at 2000: shop/web:http/TCP/IPv4',
      'synced 3-4 at 3000: shop/web:http/TCP/IPv4 shop/api:http/TCP/IPv4',
    ])
  })

  test('is asked for everything again when the first sync failed', async () => {
    const engine = running()
    engine.backend.failHalfWay()
    await engine.send(...listed, web)
    await engine.advance(30_000)
    expect(engine.lines().map((line) => line.replace(/ at .*:/, ''))).toEqual(['failed 1-2 all', 'synced 1-3 all'])
  })
})

describe('a backend that refuses service ports', () => {
  const WEB = 'shop/web:http/TCP/IPv4' as ServicePortName
  const refusalsIn = (engine: ReturnType<typeof running>) =>
    engine.reports.map((report) =>
      report.type === 'failed'
        ? report.type
        : {
            at: report.endedAt - START,
            current: report.refusals.current.map(({ owner, since, retryAt }) => [
              owner,
              since - START,
              retryAt - START,
            ]),
            begun: report.refusals.begun.length,
            ended: report.refusals.ended,
          },
    )
  const refusing = async () => {
    const engine = running()
    engine.backend.refuseWhen((owner) => owner === WEB)
    await engine.send(...listed, web, webSlice, api)
    await engine.advance(1000)
    return engine
  }

  test('advances the applied seq, and requests those alone again with backoff', async () => {
    const engine = await refusing()
    await engine.advance(140_000)
    expect(engine.lines()).toEqual([
      'synced 1-2 at 0: all',
      `synced 3-5 at 1000: ${WEB} shop/api:http/TCP/IPv4`,
      ...[2, 4, 8, 16, 32, 62, 92, 122].map((at) => `synced 5-5 at ${at}000: ${WEB}`),
    ])
    expect(refusalsIn(engine).slice(1, 4)).toEqual([
      { at: 1000, current: [[WEB, 1000, 2000]], begun: 1, ended: [] },
      { at: 2000, current: [[WEB, 1000, 4000]], begun: 0, ended: [] },
      { at: 4000, current: [[WEB, 1000, 8000]], begun: 0, ended: [] },
    ])
    engine.backend.refuseWhen(() => false)
    await engine.advance(30_000)
    await engine.advance(600_000)
    expect(refusalsIn(engine).at(-1)).toEqual({ at: 152_000, current: [], begun: 0, ended: [WEB] })
  })

  test('requests others without them, and them at once when they change', async () => {
    const engine = await refusing()
    await engine.advance(16_000)
    await engine.send(make.modified(service({ name: 'api', spec: { clusterIP: '10.96.0.3' } })))
    await engine.send(make.modified(slice({ name: 'web-1', service: 'web', endpoints: ['10.244.1.2'] })))
    await engine.advance(1000)
    expect(engine.lines().slice(-2)).toEqual([
      'synced 6-6 at 17000: shop/api:http/TCP/IPv4',
      `synced 7-7 at 18000: ${WEB}`,
    ])
    // What is new has its backoff from the beginning, and is as old as before.
    expect(refusalsIn(engine).at(-1)).toMatchObject({ current: [[WEB, 1000, 19_000]], begun: 0 })
  })

  test('knows no refusal of a Service that is gone', async () => {
    const engine = await refusing()
    await engine.send(make.deleted(service({ name: 'web' })))
    await engine.advance(1000)
    expect(refusalsIn(engine).at(-1)).toMatchObject({ current: [], ended: [WEB] })
    await engine.advance(100_000)
    expect(engine.lines()).toHaveLength(3)
  })

  test('is asked for those as well by a run that follows a failure', async () => {
    const engine = await refusing()
    engine.backend.failNext(2)
    await engine.advance(4000)
    expect(engine.lines().slice(2)).toEqual([
      `failed 5-5 at 2000: ${WEB}`,
      `failed 5-5 at 3000: ${WEB}`,
      `synced 5-5 at 5000: ${WEB}`,
    ])
  })

  test('is done when the events are over: a restart finds out again what is refused', async () => {
    const engine = await refusing()
    await engine.complete()
    await engine.advance(60_000)
    expect(engine.lines()).toHaveLength(2)
  })
})

test('a stopped engine aborts the sync under way', async () => {
  let aborted = false
  const engine = running({
    wait: (_, signal) => new Promise(() => signal.addEventListener('abort', () => (aborted = true))),
  })
  await engine.send(...listed)
  engine.stop()
  expect(aborted).toBe(true)
})

describe('a resync', () => {
  test('runs for all where nothing in force is trusted, also one that is asked for during a run', async () => {
    const resync = new Subject<unknown>()
    const holds: (() => void)[] = []
    const engine = running({
      resync,
      received: ['Service', 'EndpointSlice'],
      wait: () => new Promise((resolve) => holds.push(resolve)),
    })
    const release = async (): Promise<void> => {
      holds.shift()?.()
      await engine.send()
      await engine.advance(5000)
    }
    resync.next('all')
    await engine.send(createEventMaker().added(service({ name: 'web' })))
    await engine.advance(0)
    resync.next('all')
    await release()
    await release()
    resync.next(undefined)
    await engine.advance(5000)
    await release()
    expect(engine.lines().map((line) => line.replace(/^.*: /, ''))).toEqual(['all', 'all', ''])
    engine.stop()
  })
})
