import fc from 'fast-check'
import { expect, test } from 'vitest'
import { compareResourceVersions, type KubernetesObject, type ObjectKind } from '../../model/kubernetes-object.js'
import type { Fault, FakeRequest } from '../../testing/fake-api-server.js'
import { service, slice } from '../../testing/manifests.js'
import { openTrial, type Trial } from '../../testing/source-trial.js'
import { kubernetesSource } from './kubernetes-source.js'
import { createKnownObjects, versionOf } from './known-objects.js'

const HOUR = 3_600_000
const numRuns = 3 * (fc.readConfigureGlobal().numRuns ?? 100)

type Action =
  | { readonly type: 'put' | 'remove'; readonly object: KubernetesObject }
  | { readonly type: 'wait'; readonly ms: number }
  | { readonly type: 'compact' | 'break' }

const objectArbitrary = fc
  .tuple(fc.constantFrom('a', 'b', 'ä-日本', 'd'), fc.boolean())
  .map(([name, isSlice]) => (isSlice ? slice({ name, service: name, endpoints: ['10.0.0.1'] }) : service({ name })))

const actionArbitrary: fc.Arbitrary<Action> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ type: fc.constant('put' as const), object: objectArbitrary }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constant('remove' as const), object: objectArbitrary }) },
  {
    weight: 4,
    arbitrary: fc.record({ type: fc.constant('wait' as const), ms: fc.constantFrom(0, 10, 700, 20_000, 400_000) }),
  },
  { weight: 1, arbitrary: fc.constant({ type: 'compact' as const }) },
  { weight: 2, arbitrary: fc.constant({ type: 'break' as const }) },
)

const faultArbitrary: fc.Arbitrary<Fault | undefined> = fc.oneof(
  { weight: 3, arbitrary: fc.constant(undefined) },
  {
    weight: 4,
    arbitrary: fc.record({
      type: fc.constantFrom('closed' as const, 'reset' as const, 'silent' as const),
      afterBytes: fc.nat(3000),
    }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('garbled' as const), atByte: fc.nat(2000) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      type: fc.constant('refused' as const),
      status: fc.constantFrom(401, 403, 404, 410, 429, 500, 503, 504),
    }),
  },
  { weight: 1, arbitrary: fc.constantFrom({ type: 'unreachable' as const }, { type: 'mute' as const }) },
)

const scenarioArbitrary = fc.record({
  actions: fc.array(actionArbitrary, { maxLength: 40 }),
  faults: fc.array(faultArbitrary, { maxLength: 20 }),
  resume: fc.boolean(),
  refuse: fc.constantFrom(undefined, 'status' as const, 'event' as const),
  pageSize: fc.constantFrom(1, 2, 500),
  pieces: fc.array(fc.integer({ min: 1, max: 200 }), { maxLength: 5 }),
  seed: fc.nat(),
})

test('whatever is cut or fails anywhere, what is known in the end is what the server has, without a list too many', async () => {
  await fc.assert(
    fc.asyncProperty(scenarioArbitrary, async ({ actions, faults, refuse, pieces, ...options }) => {
      let piece = 0
      const trial = openTrial(
        { kubernetesSource, createKnownObjects },
        {
          ...options,
          ...(refuse && { refuseStreams: refuse }),
          ...(pieces.length > 0 && { pieces: () => pieces[piece++ % pieces.length] ?? 1 }),
          before: (server) => ['a', 'b'].forEach((name) => server.put(service({ name }))),
        },
      )
      const { server } = trial
      const met = new Map<FakeRequest, Fault>()
      const left = [...faults]
      server.fault = (request) => {
        const fault = left.shift()
        if (fault !== undefined) met.set(request, fault)
        return fault
      }
      server.checkFault = server.fault
      try {
        for (const action of actions) await perform(trial, action)
        server.fault = () => undefined
        server.checkFault = server.fault
        server.breakAll()
        await trial.run(HOUR)
        for (const kind of ['Service', 'EndpointSlice'] as const) {
          expect(trial.state(kind)).toEqual(trial.truth(kind))
          expectRising(trial, kind)
          expectNoListTooMany(trial, kind, { met, resumed: options.resume })
        }
        expect(server.open).toBe(3)
      } finally {
        trial.close()
      }
      await trial.run(0)
      expect(server.open).toBe(0)
    }),
    { numRuns },
  )
})

async function perform({ server, run }: Trial, action: Action): Promise<void> {
  switch (action.type) {
    case 'put':
      return server.put(action.object)
    case 'remove':
      return server.remove(action.object)
    case 'wait':
      return run(action.ms)
    case 'compact':
      return server.compact()
    case 'break':
      return server.breakAll()
  }
}

/** Of each object, by uid: the versions rise, and nothing follows its deletion. */
function expectRising({ items }: Trial, kind: ObjectKind): void {
  const last = new Map<string, { readonly version: string; readonly type: string }>()
  for (const item of items) {
    if (item.type !== 'event' || item.event.type === 'BOOKMARK' || item.event.object.kind !== kind) continue
    const { type, object } = item.event
    const { uid, resourceVersion: version } = versionOf(object)
    const before = last.get(uid)
    expect(before?.type).not.toBe('DELETED')
    // A deletion that a list brings to light carries the last version that was known.
    if (before !== undefined)
      expect(compareResourceVersions(version, before.version)).toBeGreaterThanOrEqual(type === 'DELETED' ? 0 : 1)
    last.set(uid, { version, type })
  }
}

/**
 * A list is begun only where nothing is known, where the server has forgotten (410), where a list failed, or after three garbled
 * answers.
 */
function expectNoListTooMany(
  { server }: Trial,
  kind: ObjectKind,
  { met, resumed }: { readonly met: ReadonlyMap<FakeRequest, Fault>; readonly resumed: boolean },
): void {
  const requests = server.requests.filter((request) => request.kind === kind)
  const lists = requests.filter(({ asked }) => asked === 'streaming-list' || asked === 'first-page')
  const forgotten = requests.filter(({ asked, code }) => (asked === 'watch' || asked === 'check') && code === 410)
  const failedLists = requests.filter(
    (request) => request.asked !== 'watch' && request.asked !== 'check' && (met.has(request) || request.code !== 200),
  )
  const garbled = requests.filter((request) => request.asked === 'watch' && met.get(request)?.type === 'garbled')
  // A server that refuses streams is asked once for one; as an event the refusal is a 200.
  const refused =
    lists.some(({ asked }) => asked === 'streaming-list') && lists.some(({ asked }) => asked === 'first-page') ? 1 : 0
  const reasons = (resumed ? 0 : 1) + forgotten.length + failedLists.length + Math.floor(garbled.length / 3) + refused
  expect(lists.length).toBeLessThanOrEqual(reasons)
}
