import { iptablesDataplane } from '@pointsman/backend-iptables'
import {
  createStateFold,
  DEFAULT_PROXY_CONFIG,
  type KubernetesObject,
  type LoadedRules,
  seq,
  type State,
  type WatchEvent,
} from '@pointsman/core'
import { createEventMaker, node, service, slice } from '@pointsman/core/testing'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type AuditedMaps, createPossibleStates, type Explanation, type PossibleStates } from './possible-states.js'

const config = {
  ...DEFAULT_PROXY_CONFIG,
  detectLocal: { mode: 'ClusterCIDR', cidrs: ['10.244.0.0/16'] } as const,
}
const options = { family: 'IPv4', interfaceAddresses: ['192.168.55.10'] } as const

/** What a proxy has written that knows so many of the events of each kind. */
function rulesAfter(
  events: readonly WatchEvent[],
  known: { readonly services: number; readonly slices: number },
): State {
  const fold = createStateFold({ nodeName: 'node-a' })
  let [services, slices] = [0, 0]
  events.forEach((event, at) => {
    if (event.type === 'BOOKMARK') return
    if (event.object.kind === 'Service' && ++services > known.services) return
    if (event.object.kind === 'EndpointSlice' && ++slices > known.slices) return
    fold.track(seq(at + 1), event)
  })
  fold.apply()
  return fold.state
}

const textOf = (state: State): string => {
  const plan = iptablesDataplane.plan({ state, config }, options)
  return [...plan.listing(plan.parts()), ''].join('\n')
}
const loaded = (text: string): Promise<LoadedRules> =>
  iptablesDataplane.readListing(text, { name: 'rules', refuse: (message) => new Error(message) })

/** An observer of events, which looks at rules. */
function watch(begin: readonly WatchEvent[]) {
  const fold = createStateFold({ nodeName: 'node-a' })
  let at = 0
  let states: PossibleStates | undefined
  const take = (event: WatchEvent): void => {
    fold.track(seq(++at), event)
    const applied = fold.apply()
    states?.note(fold.state, applied, at * 1000)
  }
  begin.forEach(take)
  const possible = (states = createPossibleStates(
    { dataplane: iptablesDataplane, settleMs: 1e9 },
    { state: fold.state, at: at * 1000 },
  ))
  return {
    take,
    possible,
    async look(text: string): Promise<Explanation> {
      const rules = await loaded(text)
      return possible.explain((state: AuditedMaps) => iptablesDataplane.audit(rules, { state, config }, options), 0)
    },
  }
}

const NAMES = ['a', 'b', 'c'] as const
const serviceArbitrary = fc.record({
  kind: fc.constant('Service' as const),
  name: fc.constantFrom(...NAMES),
  nodePort: fc.constantFrom(0, 30_001, 30_002),
  isGone: fc.boolean(),
})
const sliceArbitrary = fc.record({
  kind: fc.constant('EndpointSlice' as const),
  name: fc.constantFrom(...NAMES),
  endpoints: fc.uniqueArray(fc.constantFrom('10.244.1.5', '10.244.1.6', '10.244.2.7'), { maxLength: 3 }),
  isGone: fc.boolean(),
})

const objectOf = (step: {
  readonly kind: 'Service' | 'EndpointSlice'
  readonly name: (typeof NAMES)[number]
  readonly nodePort?: number
  readonly endpoints?: readonly string[]
}): KubernetesObject => {
  const { name, endpoints = [], nodePort = 0 } = step
  if (step.kind === 'EndpointSlice') return slice({ name: `${name}-1`, service: name, endpoints })
  const port = { name: 'http', protocol: 'TCP', port: 80, targetPort: 8080 }
  return service({
    name,
    spec: {
      clusterIP: `10.96.0.${10 + NAMES.indexOf(name)}`,
      ...(nodePort > 0 && { type: 'NodePort', ports: [{ ...port, nodePort: nodePort + 10 * NAMES.indexOf(name) }] }),
    },
  })
}

const historyArbitrary = fc
  .array(fc.oneof(serviceArbitrary, sliceArbitrary), { minLength: 1, maxLength: 14 })
  .map((steps) => {
    const { added, modified, deleted } = createEventMaker()
    const there = new Set<string>()
    const first = [
      added(node({ name: 'node-a' })),
      ...NAMES.flatMap((name) => [
        added(objectOf({ kind: 'Service', name })),
        added(objectOf({ kind: 'EndpointSlice', name, endpoints: ['10.244.1.5'] })),
      ]),
    ]
    const later = steps.map((step) => {
      const object = objectOf(step)
      const key = `${step.kind} ${step.name}`
      if (step.isGone && !there.has(`gone ${key}`)) {
        there.add(`gone ${key}`)
        return deleted(object)
      }
      return there.delete(`gone ${key}`) ? added(object) : modified(object)
    })
    return { first, later }
  })

describe('rules of a proxy that is a moment behind', () => {
  it('are explained, however far it is with Services and with slices', async () => {
    await fc.assert(
      fc.asyncProperty(historyArbitrary, fc.nat(14), fc.nat(14), async ({ first, later }, services, slices) => {
        const observer = watch(first)
        expect(await observer.look(textOf(rulesAfter(first, { services: 3, slices: 3 })))).toMatchObject({
          unexplained: [],
        })
        later.forEach(observer.take)
        const behind = rulesAfter([...first, ...later], { services: 3 + services, slices: 3 + slices })
        expect((await observer.look(textOf(behind))).unexplained).toEqual([])
        // It goes on from there, and never back.
        const newest = rulesAfter([...first, ...later], { services: 99, slices: 99 })
        expect(await observer.look(textOf(newest))).toMatchObject({
          unexplained: [],
          inForce: first.length + later.length,
        })
      }),
      { numRuns: Math.min(60, fc.readConfigureGlobal().numRuns ?? 60) },
    )
  })

  it('are not explained where one rule of them is lost', async () => {
    await fc.assert(
      fc.asyncProperty(historyArbitrary, fc.nat(), async ({ first, later }, pick) => {
        const observer = watch(first)
        await observer.look(textOf(rulesAfter(first, { services: 3, slices: 3 })))
        later.forEach(observer.take)
        const lines = textOf(rulesAfter([...first, ...later], { services: 99, slices: 99 })).split('\n')
        const rules = lines.filter((line) => line.startsWith('-A KUBE-SVC-') || line.startsWith('-A KUBE-SEP-'))
        fc.pre(rules.length > 0)
        const lost = rules[pick % rules.length]
        const { unexplained } = await observer.look(lines.filter((line) => line !== lost).join('\n'))
        expect(unexplained.length).toBeGreaterThan(0)
      }),
      { numRuns: Math.min(60, fc.readConfigureGlobal().numRuns ?? 60) },
    )
  })
})
