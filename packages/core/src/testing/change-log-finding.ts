import { describe, expect, test } from 'vitest'
import type { KubernetesObject } from '../model/kubernetes-object.js'
import { seq } from '../model/record.js'
import type { ChangeLogReader } from '../ports/change-log.js'
import {
  type ChangeLogUnderTest,
  type ContractTools,
  describeRecord,
  entries,
  notice,
  START,
  sync,
} from './change-log-samples.js'
import { createEventMaker, node, service, slice } from './manifests.js'

/** What a change log promises of finding records. */
export function findingContract({ fresh }: ContractTools): void {
  describe('finding records', () => {
    const story = async (): Promise<ChangeLogUnderTest['log']> => {
      const { added, modified, deleted, listed } = createEventMaker(START)
      const webSlice = (owner: string | null, ...endpoints: string[]): KubernetesObject =>
        slice({ name: 'web-1', service: owner, endpoints })
      const { log } = await fresh()
      await log.append(
        entries([added(node({ name: 'node-a' })), added(service({ name: 'web' })), added(service({ name: 'api' }))]),
      )
      await log.append(entries([added(webSlice('web', '10.244.1.1')), listed('EndpointSlice')]))
      await log.append([{ type: 'config', observedAt: START + 60_000, config: { layout: 'current' } }])
      await log.append([sync(START + 60_000, { from: 1, to: 5 }), notice(START + 61_000)])
      const later = createEventMaker(START + 70_000)
      await log.append(
        entries([
          later.modified(webSlice('api', '10.244.1.2')),
          later.modified(webSlice(null)),
          later.deleted(service({ name: 'web' })),
        ]),
      )
      void [modified, deleted]
      return log
    }
    const found = (log: ChangeLogReader, filter: Parameters<ChangeLogReader['records']>[0]): string[] =>
      [...log.records(filter)].map(describeRecord)

    test('by position, from either end', async () => {
      const log = await story()
      expect(found(log, { fromSeq: seq(2), toSeq: seq(3) })).toEqual([
        '2 ADDED Service shop/web',
        '3 ADDED Service shop/api',
      ])
      expect(found(log, { descending: true, limit: 2 })).toEqual([
        '11 DELETED Service shop/web',
        '10 MODIFIED EndpointSlice shop/web-1',
      ])
      expect(found(log, { fromSeq: seq(12) })).toEqual([])
      expect(found(log, { limit: 0 })).toEqual([])
    })

    test('by type and by kind', async () => {
      const log = await story()
      expect(found(log, { types: ['sync', 'notice', 'config'] })).toEqual(['6 config', '7 sync', '8 notice'])
      expect(found(log, { types: ['sync', 'notice'], descending: true, limit: 1 })).toEqual(['8 notice'])
      expect(found(log, { kinds: ['Node', 'EndpointSlice'], toSeq: seq(5) })).toEqual([
        '1 ADDED Node /node-a',
        '4 ADDED EndpointSlice shop/web-1',
        '5 bookmark EndpointSlice',
      ])
      expect(found(log, { types: ['object'], kinds: ['EndpointSlice'], limit: 2 })).toEqual([
        '4 ADDED EndpointSlice shop/web-1',
        '9 MODIFIED EndpointSlice shop/web-1',
      ])
      expect(found(log, { types: ['object', 'config'], fromSeq: seq(4), limit: 3 })).toEqual([
        '4 ADDED EndpointSlice shop/web-1',
        '6 config',
        '9 MODIFIED EndpointSlice shop/web-1',
      ])
    })

    test('by Service: its own, and those of slices that belong or belonged to it', async () => {
      const log = await story()
      const slices = [
        '4 ADDED EndpointSlice shop/web-1',
        '9 MODIFIED EndpointSlice shop/web-1',
        '10 MODIFIED EndpointSlice shop/web-1',
      ]
      expect(found(log, { object: { namespace: 'shop', name: 'web' } })).toEqual([
        '2 ADDED Service shop/web',
        ...slices,
        '11 DELETED Service shop/web',
      ])
      expect(found(log, { object: { namespace: 'shop', name: 'api' } })).toEqual([
        '3 ADDED Service shop/api',
        ...slices,
      ])
      expect(found(log, { object: { kind: 'Service', namespace: 'shop', name: 'api' } })).toEqual([
        '3 ADDED Service shop/api',
      ])
      expect(
        found(log, { object: { kind: 'EndpointSlice', namespace: 'shop', name: 'api' }, descending: true }),
      ).toEqual([...slices].reverse())
      expect(found(log, { object: { namespace: 'shop', name: 'web-1' }, limit: 1 })).toEqual(slices.slice(0, 1))
      expect(found(log, { object: { namespace: '', name: 'node-a' } })).toEqual(['1 ADDED Node /node-a'])
      expect(found(log, { object: { namespace: 'other', name: 'web' } })).toEqual([])
    })

    test('a slice found by its Service carries the object as it was after each event', async () => {
      const log = await story()
      const [all, few] = [
        [...log.records()],
        [...log.records({ object: { namespace: 'shop', name: 'api' }, fromSeq: seq(9) })],
      ]
      expect(few).toEqual([all[8], all[9]])
    })

    test('by time', async () => {
      const log = await story()
      expect([log.seqAt(START), log.seqAt(START + 59_999), log.seqAt(START + 60_000), log.seqAt(START + 1e9)]).toEqual([
        0, 5, 7, 11,
      ])
      expect([log.timeOf(seq(6)), log.timeOf(seq(12))]).toEqual([START + 60_000, undefined])
    })

    test('the configuration and the sync that were in force', async () => {
      const log = await story()
      await log.append([
        { ...sync(START + 90_000, { from: 6, to: 11 }), error: { code: 'RESTORE_FAILED', message: 'no' } },
        { type: 'config', observedAt: START + 90_000, config: { layout: 'classic' } },
      ])
      expect([5, 6, 12, 13].map((position) => log.configAt(seq(position))?.['layout'])).toEqual([
        undefined,
        'current',
        'current',
        'classic',
      ])
      expect([6, 7, 13].map((position) => log.appliedAt(seq(position))?.toSeq)).toEqual([undefined, 5, 5])
      expect(log.info().applied).toEqual([{ backend: 'mock', seq: 5, at: START + 60_000 }])
    })

    test('the log in numbers', async () => {
      const log = await story()
      expect(log.info()).toMatchObject({
        firstSeq: 1,
        lastSeq: 11,
        lastAt: [...log.records()].at(-1)?.observedAt,
        counts: { object: 7, bookmark: 1, sync: 1, config: 1, notice: 1 },
        kinds: { Service: 3, EndpointSlice: 3, Node: 1, ServiceCIDR: 0 },
      })
    })

    test('another reader sees what is appended while it reads, and goes on to where it began', async () => {
      const under = await fresh()
      const { added } = createEventMaker(START)
      await under.log.append(entries([added(service({ name: 'a' })), added(service({ name: 'b' }))]))
      const reader = under.reader()
      const reading = reader.records()[Symbol.iterator]()
      expect(reading.next().value).toMatchObject({ name: 'a' })
      await under.log.append(entries([added(service({ name: 'c' }))]))
      expect(reading.next().value).toMatchObject({ name: 'b' })
      expect(reading.next().done).toBe(true)
      expect([...reader.records()]).toHaveLength(3)
      expect(reader.objectsAt(seq(3)).objects).toHaveLength(3)
    })
  })
}
