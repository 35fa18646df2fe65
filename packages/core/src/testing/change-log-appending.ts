import { describe, expect, test } from 'vitest'
import { bareObject } from '../model/keep-object.js'
import type { JsonObject, KubernetesObject } from '../model/kubernetes-object.js'
import { type LogEntry, NO_SEQ, seq } from '../model/record.js'
import type { WatchEvent } from '../model/watch-event.js'
import {
  type ChangeLogUnderTest,
  type ContractTools,
  describeRecord,
  entries,
  notice,
  positions,
  START,
  unversioned,
} from './change-log-samples.js'
import { createEventMaker, node, service, slice } from './manifests.js'

/** What a change log promises of appending. */
export function appendingContract({ fresh }: ContractTools): void {
  const filled = async (events: readonly WatchEvent[]): Promise<ChangeLogUnderTest['log']> => {
    const { log } = await fresh()
    await log.append(entries(events))
    return log
  }

  describe('appending', () => {
    test('an empty log has nothing to tell', async () => {
      const { log } = await fresh()
      expect([log.head, log.lastObservedAt]).toEqual([0, 0])
      expect([...log.records()]).toEqual([])
      expect(log.objectsAt(NO_SEQ)).toEqual({ seq: 0, objects: [], received: new Set() })
      expect([log.seqAt(START), log.timeOf(seq(1)), log.configAt(seq(1)), log.appliedAt(seq(1))]).toEqual([
        0,
        undefined,
        undefined,
        undefined,
      ])
      expect(log.info()).toMatchObject({ firstSeq: 0, lastSeq: 0, applied: [], pruned: false })
    })

    test('numbers records from one upwards, in the order of the entries', async () => {
      const { added, listed } = createEventMaker(START)
      const { log } = await fresh()
      expect(await log.append(entries([added(service({ name: 'web' })), listed('Service')]))).toEqual([
        { type: 'appended', seq: 1 },
        { type: 'appended', seq: 2 },
      ])
      expect(await log.append(entries([added(node({ name: 'node-a' }))]))).toEqual([{ type: 'appended', seq: 3 }])
      expect([...log.records()].map(describeRecord)).toEqual([
        '1 ADDED Service shop/web',
        '2 bookmark Service',
        '3 ADDED Node /node-a',
      ])
      expect([log.head, log.lastObservedAt]).toEqual([3, [...log.records()][2]?.observedAt])
    })

    test('keeps the numbers that entries got while the log could not be written', async () => {
      const { log } = await fresh()
      const event = createEventMaker(START).added(service({ name: 'web' }))
      await log.append([{ type: 'event', event, seq: seq(7) }, notice(START + 60_000)])
      expect([...log.records()].map(({ seq: position }) => position)).toEqual([7, 8])
      expect([log.seqAt(START + 59_000), log.timeOf(seq(7)), log.timeOf(seq(6))]).toEqual([
        7,
        event.observedAt,
        undefined,
      ])
      expect(log.objectsAt(seq(6)).objects).toHaveLength(0)
      expect(log.objectsAt(seq(7)).objects).toHaveLength(1)
    })

    test('counts the same event again as a duplicate, wherever it comes', async () => {
      const { added, modified, deleted, listed } = createEventMaker(START)
      const events = [
        added(service({ name: 'web', resourceVersion: '9' })),
        modified(service({ name: 'web', resourceVersion: '10' })),
        added(slice({ name: 'web-1', service: 'web', endpoints: ['10.244.1.1'], resourceVersion: '11' })),
        listed('Service'),
        deleted(service({ name: 'web', resourceVersion: '12' })),
        added(service({ name: 'web', uid: 'second', resourceVersion: '13' })),
      ]
      const log = await filled(events)
      expect(positions(await log.append(entries(events)))).toEqual(events.map((_, index) => `duplicate ${index + 1}`))
      expect(log.head).toBe(6)
    })

    test('tells an event from another of the same version by its type and by its object', async () => {
      const { added, modified } = createEventMaker(START)
      const log = await filled([added(service({ name: 'web', resourceVersion: '10' }))])
      expect(
        positions(
          await log.append(
            entries([
              modified(service({ name: 'web', resourceVersion: '10' })),
              added(service({ name: 'api', resourceVersion: '10' })),
            ]),
          ),
        ),
      ).toEqual(['appended 2', 'appended 3'])
    })

    test('finds a duplicate of a version that is no number', async () => {
      const { added, modified } = createEventMaker(START)
      const events = [
        added(service({ name: 'web', resourceVersion: 'abc' })),
        modified(service({ name: 'web', resourceVersion: '007' })),
        modified(service({ name: 'web', resourceVersion: '7' })),
      ]
      const log = await filled(events)
      expect(positions(await log.append(entries(events)))).toEqual(['duplicate 1', 'duplicate 2', 'duplicate 3'])
      expect([...log.records()].map((record) => record.type === 'object' && record.resourceVersion)).toEqual([
        'abc',
        '007',
        '7',
      ])
    })

    test('a deletion that only names an object takes its last version from the log, of that uid alone', async () => {
      const { added, modified, deleted } = createEventMaker(START)
      const bare = (event: WatchEvent): WatchEvent =>
        event.type === 'BOOKMARK' ? event : { ...event, isBare: true, object: bareObject(event.object) }
      const web = slice({ name: 'web-1', service: 'web', endpoints: ['10.244.1.1'], resourceVersion: '11' })
      const last = slice({ name: 'web-1', service: 'web', endpoints: ['10.244.1.2'], resourceVersion: '12' })
      const log = await filled([added(web), modified(last), bare(deleted(last))])
      const records = [...log.records({ types: ['object'] })]
      expect(records[2]).toMatchObject({ event: 'DELETED', resourceVersion: '12' })
      expect(records[2]?.type === 'object' && records[2].object).toEqual(
        records[1]?.type === 'object' && records[1].object,
      )

      const other = service({ name: 'web', uid: 'other', resourceVersion: '20' })
      const later = service({ name: 'web', uid: 'first', resourceVersion: '14' })
      const two = await filled([
        added(service({ name: 'web', uid: 'first', resourceVersion: '13' })),
        bare(deleted(later)),
        added(service({ name: 'web', uid: 'second', resourceVersion: '15' })),
        bare(deleted(other)),
      ])
      const objects = [...two.records()].flatMap((record) => (record.type === 'object' ? [record.object] : []))
      expect(objects[1]).toEqual({ ...objects[0], metadata: { ...objects[0]?.metadata, resourceVersion: '14' } })
      expect(objects[3]).toEqual(bareObject(other))
      expect(objects.some((object) => 'isBare' in object)).toBe(false)
    })

    test('without versions, an event is a duplicate when it changes nothing', async () => {
      const { log } = await fresh()
      const web = unversioned(service({ name: 'web' }))
      const event = (type: 'ADDED' | 'MODIFIED' | 'DELETED', object: KubernetesObject): LogEntry => ({
        type: 'event',
        event: { type, object, observedAt: START },
      })
      const moved = { ...web, spec: { type: 'NodePort' } }
      const all = [
        event('ADDED', web),
        event('ADDED', web),
        event('MODIFIED', moved),
        event('DELETED', moved),
        event('DELETED', moved),
        event('ADDED', web),
      ]
      expect(positions(await log.append(all))).toEqual([
        'appended 1',
        'duplicate 1',
        'appended 2',
        'appended 3',
        'duplicate 3',
        'appended 4',
      ])
    })

    test('keeps a bookmark that ends a list apart from a plain one of that version', async () => {
      const { log } = await fresh()
      const bookmark = (initialEventsEnd: boolean): LogEntry => ({
        type: 'event',
        event: { type: 'BOOKMARK', kind: 'Service', resourceVersion: '5', initialEventsEnd, observedAt: START },
      })
      expect(positions(await log.append([bookmark(false), bookmark(true), bookmark(true), bookmark(false)]))).toEqual([
        'appended 1',
        'appended 2',
        'duplicate 2',
        'duplicate 1',
      ])
      expect([log.objectsAt(seq(1)).received, log.objectsAt(seq(2)).received]).toEqual([
        new Set(),
        new Set(['Service']),
      ])
    })

    test('a notice of the same time and words is there once', async () => {
      const { log } = await fresh()
      const [one, other] = [notice(START), notice(START, 'other words')]
      expect(positions(await log.append([one, other, one, notice(START + 1)]))).toEqual([
        'appended 1',
        'appended 2',
        'duplicate 1',
        'appended 3',
      ])
    })

    test('takes again what a source has compared with what is known: a version that comes back, or that it goes back to', async () => {
      const { log } = await fresh()
      const { added, modified, deleted } = createEventMaker(START)
      const listed: WatchEvent = {
        type: 'BOOKMARK',
        kind: 'Service',
        resourceVersion: '7',
        initialEventsEnd: true,
        observedAt: START + 10_000,
      }
      const web = (resourceVersion: string): KubernetesObject => service({ name: 'web', resourceVersion })
      const news = (event: WatchEvent): WatchEvent => ({ ...event, isNews: true })
      const events = [
        added(web('5')),
        modified(web('7')),
        deleted(web('7')),
        news(added(web('7'))),
        news(modified(web('5'))),
        listed,
        news(listed),
        { ...news(modified(web('7'))), observedAt: START + 11_000 },
        { ...news(modified(web('5'))), observedAt: START + 12_000 },
      ]
      expect(positions(await log.append(entries(events)))).toEqual(events.map((_, index) => `appended ${index + 1}`))
      const versionsAt = (position: number) =>
        log.objectsAt(seq(position)).objects.map(({ metadata }) => metadata['resourceVersion'])
      expect(events.map((_, index) => versionsAt(index + 1)[0] ?? '')).toEqual([
        '5',
        '7',
        '',
        '7',
        '5',
        '5',
        '5',
        '7',
        '5',
      ])
      expect([...log.records()].some((record) => 'isNews' in record)).toBe(false)
    })

    test('of a version that a list brings again takes another content, and no repetition', async () => {
      const { log } = await fresh()
      const { added, modified } = createEventMaker(START)
      const news = (event: WatchEvent): WatchEvent => ({ ...event, isNews: true })
      const web = (version: string): KubernetesObject =>
        service({ name: 'web', resourceVersion: '5', labels: { version } })
      const events = [
        added(web('lost')),
        news(modified(web('lost'))),
        news(modified(web('kept'))),
        news(modified(web('kept'))),
      ]
      expect(positions(await log.append(entries(events)))).toEqual([
        'appended 1',
        'duplicate 1',
        'appended 2',
        'duplicate 2',
      ])
      expect(log.objectsAt(seq(2)).objects[0]?.metadata['labels']).toEqual({ version: 'kept' })
    })

    test('of a version that API servers of two versions read takes one reading, and changes it by no default', async () => {
      const { log } = await fresh()
      const { added, modified } = createEventMaker(START)
      const news = (event: WatchEvent): WatchEvent => ({ ...event, isNews: true })
      const web = (spec: JsonObject = {}): KubernetesObject => service({ name: 'web', resourceVersion: '5', spec })
      const other = web({ trafficDistribution: 'PreferClose' })
      const events = [
        added(web()),
        added(other),
        news(modified(other)),
        news(modified(web())),
        news(modified(web({ sessionAffinity: 'ClientIP', trafficDistribution: 'PreferClose' }))),
        news(modified(web({ sessionAffinity: 'ClientIP' }))),
      ]
      expect(positions(await log.append(entries(events)))).toEqual([
        'appended 1',
        'duplicate 1',
        'duplicate 1',
        'duplicate 1',
        'appended 2',
        'duplicate 2',
      ])
    })

    test('refuses what was observed before the last record, and takes the rest of the batch', async () => {
      const { log } = await fresh()
      const { added } = createEventMaker(START)
      const [early, late, later] = [
        added(service({ name: 'a' })),
        added(service({ name: 'b' })),
        added(service({ name: 'c' })),
      ]
      const outcomes = await log.append(entries([late, early, late, later]))
      expect(positions(outcomes)).toEqual(['appended 1', 'refused RECORD_TOO_OLD', 'duplicate 1', 'appended 2'])
      expect(await log.append([notice(START)])).toMatchObject([{ type: 'refused', code: 'RECORD_TOO_OLD' }])
    })

    test('refuses the Service default/kubernetes of another cluster while its own lives', async () => {
      const { log } = await fresh()
      const { added, deleted, modified } = createEventMaker(START)
      const kubernetes = (uid: string): KubernetesObject => service({ name: 'kubernetes', namespace: 'default', uid })
      const outcomes = await log.append(
        entries([
          added(kubernetes('one')),
          added(kubernetes('two')),
          modified(kubernetes('one')),
          deleted(kubernetes('one')),
          added(kubernetes('two')),
        ]),
      )
      expect(positions(outcomes)).toEqual([
        'appended 1',
        'refused OTHER_CLUSTER',
        'appended 2',
        'appended 3',
        'appended 4',
      ])
      expect(log.info().clusterId).toBe('two')
    })
  })
}
