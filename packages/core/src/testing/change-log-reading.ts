import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type LogRecord, seq } from '../model/record.js'
import type { LogPosition } from '../ports/change-log.js'
import { managedEventsArbitrary } from './managed-arbitraries.js'
import { eventSequenceArbitrary, hostileObjectArbitrary } from './arbitraries.js'
import {
  batches,
  type ContractTools,
  damaged,
  entries,
  eventOf,
  keptText,
  positions,
  recordText,
  START,
} from './change-log-samples.js'

/** What a change log promises of what it gives back. */
export function readingContract({ open, canReopen }: ContractTools & { readonly canReopen: boolean }): void {
  describe('reading back', () => {
    const eventsOrDamage = managedEventsArbitrary(eventSequenceArbitrary()).chain((events) =>
      fc
        .array(
          fc.oneof(
            hostileObjectArbitrary('Service'),
            hostileObjectArbitrary('EndpointSlice'),
            hostileObjectArbitrary('Node'),
          ),
          { maxLength: 8 },
        )
        .map((hostile) => [...events, ...damaged(hostile, events.at(-1)?.observedAt ?? START)]),
    )

    test('gives the events as they were appended, however they were split into batches', async () => {
      await fc.assert(
        fc.asyncProperty(
          eventsOrDamage,
          fc.array(fc.integer({ min: 1, max: 9 })),
          fc.integer({ min: 1, max: 9 }),
          async (events, sizes, snapshotEvery) => {
            const under = await open({ snapshotEvery })
            try {
              const expected: string[] = []
              for (const batch of batches(events, sizes)) {
                const outcomes = await under.log.append(entries(batch))
                expected.push(...batch.filter((_, index) => outcomes[index]?.type === 'appended').map(keptText))
              }
              expect([...under.log.records()].map(recordText)).toEqual(expected)
              expect([...under.log.records({ descending: true })].reverse().map(recordText)).toEqual(expected)
              expect([...under.reader().records({ fromSeq: seq(1 + (expected.length >> 1)) })].map(recordText)).toEqual(
                expected.slice(expected.length >> 1),
              )
              expect([...under.log.positions()]).toEqual(
                [...under.log.records({ descending: true })].flatMap(positionOf),
              )
            } finally {
              await under.remove()
            }
          },
        ),
      )
    })

    test('a log made of what another one gives back is the same log', async () => {
      await fc.assert(
        fc.asyncProperty(managedEventsArbitrary(eventSequenceArbitrary()), async (events) => {
          const [one, other] = [await open({ snapshotEvery: 4 }), await open({ snapshotEvery: 5 })]
          try {
            await one.log.append(entries(events))
            const records = [...one.log.records()]
            await other.log.append(entries(records.map(eventOf)))
            expect([...other.log.records()]).toEqual(records)
          } finally {
            await one.remove()
            await other.remove()
          }
        }),
      )
    })

    if (!canReopen) return
    test('a log that was closed in between tells the same as one that never was', async () => {
      await fc.assert(
        fc.asyncProperty(managedEventsArbitrary(eventSequenceArbitrary()), fc.nat(), async (events, place) => {
          const half = events.length === 0 ? 0 : place % events.length
          let under = await open({ snapshotEvery: 4 })
          const never = await open({ snapshotEvery: 4 })
          try {
            await under.log.append(entries(events.slice(0, half)))
            under = await under.reopen()
            const outcomes = await under.log.append(entries(events))
            await never.log.append(entries(events))
            expect(positions(outcomes).slice(0, half)).toEqual(
              Array.from({ length: half }, (_, index) => `duplicate ${index + 1}`),
            )
            expect([...under.log.records()]).toEqual([...never.log.records()])
            expect(under.log.info().counts).toEqual(never.log.info().counts)
          } finally {
            await under.remove()
            await never.remove()
          }
        }),
      )
    })
  })
}

/** What `positions` gives of a record. */
function positionOf(record: LogRecord): readonly LogPosition[] {
  if (record.type === 'notice') return [record]
  if (record.type !== 'object' && record.type !== 'bookmark') return []
  const { type, seq: position, kind, resourceVersion } = record
  return [{ type, seq: position, kind, resourceVersion }]
}
