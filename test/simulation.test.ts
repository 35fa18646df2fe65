import { createMockBackend, type MockBackend } from '@pointsman/backend-mock'
import {
  buildState,
  type ChangeLogReader,
  type ChangeLogWriter,
  createRecorder,
  createStateFold,
  DEFAULT_PROXY_CONFIG,
  type EngineReport,
  type KubernetesObject,
  type ProxyConfig,
  record,
  type Recorder,
  replay,
  restoreState,
  runSyncEngine,
  VirtualClock,
  type WatchEvent,
} from '@pointsman/core'
import { canonicalState, createMemoryChangeLog, type MemoryChangeLog } from '@pointsman/core/testing'
import fc from 'fast-check'
import { Subject, type Subscription } from 'rxjs'
import { expect, test } from 'vitest'
import { eventSequenceArbitrary } from '../packages/core/src/testing/arbitraries.js'

const config: ProxyConfig = { ...DEFAULT_PROXY_CONFIG, nodeName: 'node-a' }

/** What goes wrong, and before which event. */
const FAULTS = ['sync fails', 'sync fails half-way', 'log full', 'log mended', 'log hangs', 'killed'] as const
type Fault = (typeof FAULTS)[number]

const faultsArbitrary = fc.array(fc.record({ before: fc.nat(40), fault: fc.constantFrom(...FAULTS) }), {
  maxLength: 12,
})

test('whatever fails on the way, the rules are right in the end and the log has everything', async () => {
  await fc.assert(
    fc.asyncProperty(eventSequenceArbitrary(), faultsArbitrary, async (events, faults) => {
      const node = createNode()
      for (const [index, event] of events.entries()) {
        for (const { before, fault } of faults) if (before === index) await node.suffer(fault)
        await node.observe(event)
      }
      await node.end()

      const objects = finalObjects(events)
      const { state } = buildState({ objects, nodeName: 'node-a' })
      expect((await node.backend.read()).digest).toBe(await digestOf(state))
      expect(
        canonicalState(
          buildState({ objects: node.log.objectsAt(node.log.info().lastSeq).objects, nodeName: 'node-a' }).state,
        ),
      ).toBe(canonicalState(state))
      expect(wrongSteps(node.reports, node.log)).toEqual([])
    }),
  )
})

test('replaying a log is having lived it', async () => {
  await fc.assert(
    fc.asyncProperty(eventSequenceArbitrary(), async (events) => {
      const node = createNode()
      for (const event of events) await node.observe(event)
      await node.end()

      const replayed: EngineReport[] = []
      const backend = createMockBackend({ config })
      const summary = await replay({ log: node.log, backend, config, onReport: (report) => replayed.push(report) })
      expect(replayed.map(lineOf)).toEqual(node.reports.map(lineOf))
      expect(canonicalState(summary.state)).toBe(canonicalState(node.state()))
    }),
  )
})

/** An agent on a node whose rules outlive it, with a log that outlives it. A kill ends it; the next starts from the log. */
function createNode(): {
  observe: (event: WatchEvent) => Promise<void>
  suffer: (fault: Fault) => Promise<void>
  end: () => Promise<void>
  backend: MockBackend
  log: ChangeLogWriter & ChangeLogReader
  reports: EngineReport[]
  state: () => ReturnType<typeof createStateFold>['state']
} {
  const log = createMemoryChangeLog()
  const backend = createMockBackend({ config })
  const reports: EngineReport[] = []
  const sent: WatchEvent[] = []
  let answer: (() => void) | undefined
  const mend = (): void => {
    log.failWhile(undefined)
    log.delayUntil(undefined)
    answer?.()
    answer = undefined
  }
  let clock = new VirtualClock(0)
  let agent = start()

  function start(): Agent {
    const recorder = createRecorder({ log, scheduler: clock, patienceMs: 200, retryMs: 2000 })
    const fold = createStateFold({ nodeName: 'node-a' })
    const { received, appliedSeq } = restoreState(log, { fold, backend: backend.name, visit: () => undefined })
    const source = new Subject<WatchEvent>()
    const subscription = runSyncEngine({
      events: source.pipe(record(recorder)),
      fold,
      backend,
      recorder,
      received,
      scheduler: clock,
      minSyncPeriodMs: config.minSyncPeriodMs,
      syncPeriodMs: config.syncPeriodMs,
      ...(appliedSeq !== undefined && { appliedSeq }),
    }).subscribe((report) => reports.push(report))
    return { recorder, fold, source, subscription }
  }

  const advanceTo = async (timeMs: number): Promise<void> => {
    for (let next = clock.nextAt; next !== undefined && next <= timeMs; next = clock.nextAt) {
      void clock.advanceTo(next)
      await settle()
    }
    void clock.advanceTo(timeMs)
    await settle()
  }

  return {
    backend,
    log,
    reports,
    state: () => agent.fold.state,
    async observe(event) {
      sent.push(event)
      await advanceTo(event.observedAt)
      agent.source.next(event)
      await settle()
    },
    async suffer(fault) {
      switch (fault) {
        case 'sync fails':
          return backend.failNext()
        case 'sync fails half-way':
          return backend.failHalfWay()
        case 'log full':
          return log.failWhile(() => 'LOG_FULL')
        case 'log mended':
          return mend()
        case 'log hangs':
          // One that hangs already goes on hanging.
          answer ??= hang(log)
          return
        case 'killed': {
          agent.subscription.unsubscribe()
          // What it was writing is written or not; what it would have written is not.
          log.failWhile(() => 'LOG_IO')
          answer?.()
          await settle()
          await agent.recorder.close()
          mend()
          clock = new VirtualClock(clock.now())
          agent = start()
          // The watch is resumed where the log ends: what it did not get comes again, and what it has is no news.
          for (const event of sent) agent.source.next({ ...event, observedAt: Math.max(event.observedAt, clock.now()) })
          await settle()
        }
      }
    },
    async end() {
      mend()
      await advanceTo(clock.now() + 60_000)
      agent.source.complete()
      await settle()
      await advanceTo(clock.now() + 600_000)
      await agent.recorder.close()
    },
  }
}

interface Agent {
  readonly recorder: Recorder
  readonly fold: ReturnType<typeof createStateFold>
  readonly source: Subject<WatchEvent>
  readonly subscription: Subscription
}

/** A disk that does not answer, until the result is called. */
function hang(log: MemoryChangeLog): () => void {
  let release = (): void => undefined
  log.delayUntil(new Promise((resolve) => (release = resolve)))
  return () => release()
}

/** Lets every promise that can settle without time settle. */
const settle = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve))

const lineOf = (report: EngineReport): string => {
  const { type, fromSeq, toSeq, startedAt, changed } = report
  const digest = report.type === 'synced' ? report.result.digest : ''
  return `${type} ${fromSeq}-${toSeq} at ${startedAt}: ${changed === 'all' ? 'all' : [...changed].toSorted().join(' ')} ${digest}`
}

/** Runs that leave out an event since the last success, or that claim more than they were given. */
function wrongSteps(reports: readonly EngineReport[], log: ChangeLogReader): string[] {
  const events = [...log.records({ types: ['object', 'bookmark'] })].map(({ seq }) => seq)
  let applied = 0
  return reports
    .filter((report) => {
      const leftOut = events.some((seq) => seq > applied && seq < report.fromSeq)
      const wrong = leftOut || report.fromSeq > report.toSeq || report.toSeq < applied
      if (report.type === 'synced') applied = report.toSeq
      return wrong
    })
    .map(lineOf)
}

async function digestOf(state: ReturnType<typeof buildState>['state']): Promise<string> {
  const fresh = createMockBackend({ config })
  const { digest } = await fresh.sync(
    { state, changed: 'all', fromSeq: state.seq, toSeq: state.seq },
    new AbortController().signal,
  )
  return digest
}

function finalObjects(events: readonly WatchEvent[]): KubernetesObject[] {
  const objects = new Map<string, KubernetesObject>()
  for (const event of events) {
    if (event.type === 'BOOKMARK') continue
    const name = `${event.object.kind} ${event.object.metadata.namespace ?? ''}/${event.object.metadata.name}`
    objects.delete(name)
    if (event.type !== 'DELETED') objects.set(name, event.object)
  }
  return [...objects.values()]
}
