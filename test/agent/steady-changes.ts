import { setTimeout as sleep } from 'node:timers/promises'
import type { KubernetesObject } from '@pointsman/core'
import { openChangeLog } from '@pointsman/core/io'
import type { RemoteApiServer } from '../../packages/core/src/testing/api-server/remote-calls.js'
import { webService, webSlice } from '../source/world.js'

/** Changes of the services of a world (`worldOf`), one after the other, which go on until they are told not to. */
export interface SteadyChanges {
  /** Makes none for a while. */
  readonly pause: () => Promise<void>
  readonly resume: () => void
  /** One more change, of the caller's. */
  readonly put: (object: KubernetesObject) => Promise<KubernetesObject>
  readonly remove: (object: KubernetesObject) => Promise<void>
  /** How many were made. */
  readonly count: () => number
  /** What was told by the server and is not in a log exactly once. */
  readonly missingIn: (log: string) => readonly string[]
}

/** `pauseMs`: from the beginning of a change to that of the next, at least. */
export function createSteadyChanges(server: RemoteApiServer, services: number, pauseMs = 15): SteadyChanges {
  const made = new Set<string>()
  let changes = 0
  let stop = new AbortController()
  let underWay = Promise.resolve()
  const put = async (object: KubernetesObject): Promise<KubernetesObject> => {
    const stored = await server.put(object)
    made.add(nameOf(stored))
    return stored
  }
  const remove = async (object: KubernetesObject): Promise<void> => {
    const removed = await server.delete(object)
    if (removed !== undefined) made.add(nameOf(removed))
  }
  const change = async (): Promise<void> => {
    const turn = Math.floor(changes / CHANGES_OF_A_SERVICE)
    const index = turn % services
    switch (changes++ % CHANGES_OF_A_SERVICE) {
      case 0:
        return void (await put(webSlice(index, 0)))
      case 1:
        return void (await put(webService(index, { round: String(changes) })))
      case 2:
        return void (await put(webSlice(index, 1 + (changes % 4))))
      case 3:
        return remove(webService(index))
      case 4:
        return remove(webSlice(index))
      case 5:
        return void (await put(webService(index)))
      default:
        // Not what it was in the turn before.
        return void (await put(webSlice(index, 3 + (Math.floor(turn / services) % 5))))
    }
  }
  const goOn = async ({ signal }: AbortController): Promise<void> => {
    while (!signal.aborted) {
      const from = performance.now()
      await change()
      await sleep(Math.max(1, pauseMs - (performance.now() - from)))
    }
  }
  return {
    put,
    remove,
    count: () => changes,
    async pause() {
      stop.abort()
      await underWay
    },
    resume() {
      stop = new AbortController()
      underWay = goOn(stop)
    },
    missingIn(log) {
      const times = new Map<string, number>()
      const reader = openChangeLog(log)
      for (const record of reader.records({ types: ['object'] })) {
        if (record.type === 'object') times.set(nameOf(record.object), (times.get(nameOf(record.object)) ?? 0) + 1)
      }
      reader.close()
      return [...made].flatMap((name) => (times.get(name) === 1 ? [] : [`${name}: ${times.get(name) ?? 0} times`]))
    },
  }
}

const CHANGES_OF_A_SERVICE = 7

/** One version of one object. */
const nameOf = ({ kind, metadata: { namespace = '', name, resourceVersion } }: KubernetesObject): string =>
  `${kind} ${namespace}/${name} at ${typeof resourceVersion === 'string' ? resourceVersion : ''}`
