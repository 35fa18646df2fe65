import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { JsonObject, KubernetesObject } from '../model/kubernetes-object.js'
import { atOnce } from '../model/language.js'
import { seq } from '../model/record.js'
import { managedEventsArbitrary } from './managed-arbitraries.js'
import { eventSequenceArbitrary } from './arbitraries.js'
import type { WatchEvent } from '../model/watch-event.js'
import {
  type ChangeLogUnderTest,
  type ContractTools,
  entries,
  fold,
  receivedBy,
  sorted,
  START,
  uidsAt,
} from './change-log-samples.js'
import { createEventMaker, service } from './manifests.js'

/** What a change log promises of objects: who changed them, and which there are at a point. */
export function objectsContract({ fresh, open }: ContractTools): void {
  const filled = async (events: readonly WatchEvent[]): Promise<ChangeLogUnderTest['log']> => {
    const { log } = await fresh()
    await log.append(entries(events))
    return log
  }

  describe('objects', () => {
    test('a record names the author by the managedFields that changed', async () => {
      const { added, modified, deleted } = createEventMaker(START)
      const managed = (...entriesOf: JsonObject[]): KubernetesObject => {
        const web = service({ name: 'web' })
        return { ...web, metadata: { ...web.metadata, managedFields: entriesOf } }
      }
      const deployer = {
        manager: 'deployer',
        operation: 'Update',
        time: '2026-01-01T00:00:00Z',
        fieldsV1: { 'f:spec': {} },
      }
      const edit = {
        manager: 'kubectl-edit',
        operation: 'Update',
        time: '2026-01-01T00:00:09Z',
        fieldsV1: { 'f:spec': { 'f:selector': {} } },
      }
      const log = await filled([
        added(managed(deployer)),
        modified(managed(deployer, edit)),
        modified(managed(deployer, edit)),
        deleted(managed(deployer, edit)),
      ])
      const authors = [...log.records()].map((record) => record.type === 'object' && record.author)
      expect(authors).toEqual([
        { manager: 'deployer', operation: 'Update', time: Date.UTC(2026, 0, 1) },
        { manager: 'kubectl-edit', operation: 'Update', time: Date.UTC(2026, 0, 1, 0, 0, 9) },
        undefined,
        undefined,
      ])
    })

    test('an event that names its author keeps it', async () => {
      const { log } = await fresh()
      const author = { manager: 'somebody', operation: 'Apply', time: START + 7, subresource: 'status' }
      const event = {
        type: 'DELETED' as const,
        object: service({ name: 'web' }),
        observedAt: START,
        author,
        estimated: true as const,
      }
      await log.append([{ type: 'event', event }])
      expect([...log.records()]).toMatchObject([{ author, estimated: true, event: 'DELETED' }])
    })

    test('an object that was deleted and made again lives its second life', async () => {
      const { added, deleted } = createEventMaker(START)
      const web = (uid: string): KubernetesObject => service({ name: 'web', uid })
      const log = await filled([added(web('one')), deleted(web('one')), added(web('two')), deleted(web('one'))])
      expect(uidsAt(log)).toEqual([['one'], [], ['two'], ['two']])
    })

    test('an object that another one of its name replaced is gone, and stays gone', async () => {
      const { added, deleted } = createEventMaker(START)
      const web = (uid: string): KubernetesObject => service({ name: 'web', uid })
      const log = await filled([
        added(web('one')),
        added(web('two')),
        added(service({ name: 'api', uid: 'api' })),
        deleted(web('two')),
      ])
      expect(uidsAt(log)).toEqual([['one'], ['two'], ['two', 'api'], ['api']])
    })

    test('after the last record the objects are those at the last record', async () => {
      const log = await filled([createEventMaker(START).added(service({ name: 'web' }))])
      expect(log.objectsAt(seq(99))).toEqual(log.objectsAt(seq(1)))
    })

    test('at any point they are the fold of the events up to it', async () => {
      await fc.assert(
        fc.asyncProperty(
          managedEventsArbitrary(eventSequenceArbitrary()),
          fc.integer({ min: 1, max: 7 }),
          async (events, snapshotEvery) => {
            const under = await open({ snapshotEvery })
            try {
              await under.log.append(entries(events))
              const records = [...under.log.records()]
              for (const [index, { seq: position }] of records.entries()) {
                const { objects, received } = under.log.objectsAt(position)
                const oneByOne: KubernetesObject[] = []
                const at = under.log.eachObjectAt(position, (object) => oneByOne.push(object))
                const inSteps: KubernetesObject[] = []
                expect(atOnce(under.log.objectsInSteps(position, (object) => inSteps.push(object)))).toEqual(at)
                expect(inSteps).toEqual(oneByOne)
                for (const object of objects) {
                  const { namespace = '', name } = object.metadata
                  expect(under.log.objectAt(position, { kind: object.kind, namespace, name })).toEqual(object)
                }
                expect(
                  under.log.objectAt(position, { kind: 'Service', namespace: 'shop', name: 'unheard' }),
                ).toBeUndefined()
                expect({ ...at, objects: oneByOne }).toEqual({ seq: position, objects, received })
                expect(sorted(objects)).toEqual(sorted(fold(records.slice(0, index + 1))))
                expect(received).toEqual(receivedBy(records.slice(0, index + 1)))
              }
            } finally {
              await under.remove()
            }
          },
        ),
      )
    })
  })
}
