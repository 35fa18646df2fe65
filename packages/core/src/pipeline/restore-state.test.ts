import { createKnownObjects } from '../io/kubernetes/known-objects.js'
import { createMemoryChangeLog } from '../testing/memory-change-log.js'
import { type LogEntry, seq } from '../model/record.js'
import type { BookmarkEvent } from '../model/watch-event.js'
import { createStateFold } from '../state/state-fold.js'
import { createEventMaker, service, slice } from '../testing/index.js'
import { describe, expect, it } from 'vitest'
import { restoreState } from './restore-state.js'

const START = Date.UTC(2026, 0, 1)

const bookmark = (kind: 'Service' | 'EndpointSlice', resourceVersion: string, initialEventsEnd: boolean): LogEntry => {
  const event: BookmarkEvent = { type: 'BOOKMARK', kind, resourceVersion, initialEventsEnd, observedAt: START }
  return { type: 'event', event }
}

const inOrder = (entry: LogEntry, index: number): LogEntry => {
  const observedAt = START + index * 1000
  return entry.type === 'event' ? { ...entry, event: { ...entry.event, observedAt } } : { ...entry, observedAt }
}

const restored = (entries: readonly LogEntry[]) => {
  const log = createMemoryChangeLog()
  log.appendSync(entries.map(inOrder))
  const fold = createStateFold()
  const known = createKnownObjects()
  return { ...restoreState(log, { fold, backend: 'iptables', visit: known.add }), fold, known }
}

describe('what an agent has from its log', () => {
  const make = createEventMaker(START)
  const web = service({ name: 'web', resourceVersion: '7' })
  const events: readonly LogEntry[] = [
    { type: 'event', event: make.added(web) },
    bookmark('Service', '9', true),
    { type: 'event', event: make.modified(service({ name: 'web', resourceVersion: '12' })) },
    {
      type: 'event',
      event: make.added(slice({ name: 'web-1', service: 'web', endpoints: ['10.244.1.1'], resourceVersion: '40' })),
    },
  ]

  it('is the state at its end, and the objects that a list is compared with', () => {
    const { fold, known, seq: last } = restored(events)
    fold.apply()
    expect([...fold.state.services.keys()]).toHaveLength(1)
    expect(last).toBe(4)
    expect([...known.of('Service').keys()]).toEqual(['shop/web'])
    expect(known.of('Service').get('shop/web')).toMatchObject({ name: 'web', resourceVersion: '12' })
  })

  it('has received what was received whole, and nothing else', () => {
    expect([...restored(events).received]).toEqual(['Service'])
  })

  it('has an applied seq of its own backend, and none of another', () => {
    const sync = {
      type: 'sync',
      observedAt: START,
      backend: 'iptables',
      fromSeq: seq(1),
      toSeq: seq(3),
      full: true,
      changed: 1,
      durationMs: 1,
      rules: 1,
      bytes: 1,
      digest: 'x',
    } as const
    expect(restored([...events, sync]).appliedSeq).toBe(3)
    expect(restored([...events, { ...sync, backend: 'mock' }]).appliedSeq).toBe(0)
    expect(restored([]).appliedSeq).toBeUndefined()
  })
})
