import {
  type Blame,
  blameRules,
  type Cause,
  DEFAULT_PROXY_CONFIG,
  type JsonObject,
  type KubernetesObject,
  serviceName,
  type WatchEvent,
} from '@pointsman/core'
import { createEventMaker, node, service, slice, createMemoryChangeLog } from '@pointsman/core/testing'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { iptablesDataplane } from './dataplane.js'

/** An object, as it is before an incident; what it is in one is told over that. */
interface Shape {
  readonly spec?: JsonObject
  readonly ports?: readonly JsonObject[]
  readonly endpoints?: readonly JsonObject[]
}

interface Incident {
  /** What is done, one after the other. */
  readonly steps: readonly ((
    before: Shape,
  ) => Shape & { readonly kind: 'Service' | 'EndpointSlice'; readonly gone?: true })[]
  /** Which rules tell of it. */
  readonly rules: RegExp
  /** The step that they are blamed on, and the one behind it. */
  readonly blamed: number
  readonly behind?: number
}

const endpoint = (address: string, nodeName: string, more: JsonObject = {}): JsonObject => ({
  addresses: [address],
  conditions: { ready: true, serving: true, terminating: false },
  nodeName,
  hints: { forZones: [{ name: 'zone-a' }] },
  ...more,
})
const BOTH = [endpoint('10.244.1.1', 'node-a'), endpoint('10.244.2.1', 'node-b')]
const HTTP = { name: 'http', protocol: 'TCP', port: 80, targetPort: 8080, nodePort: 30_080 }

const serviceStep =
  (spec: JsonObject): Incident['steps'][number] =>
  (before) => ({ ...before, kind: 'Service', spec: { ...before.spec, ...spec } })
const sliceStep =
  (shape: Shape): Incident['steps'][number] =>
  (before) => ({ ...before, kind: 'EndpointSlice', ...shape })

const INCIDENTS: Readonly<Record<string, Incident>> = {
  'a selector that fits no pod': {
    steps: [serviceStep({ selector: { app: 'other' } }), sliceStep({ endpoints: [] })],
    rules: /has no endpoints" .*-j REJECT/,
    blamed: 1,
    behind: 0,
  },
  'a port of another name': {
    steps: [serviceStep({ ports: [{ ...HTTP, name: 'web' }] })],
    rules: /shop\/web:web has no endpoints" .*-j REJECT/,
    blamed: 0,
  },
  'another target port': {
    steps: [
      serviceStep({ ports: [{ ...HTTP, targetPort: 9999 }] }),
      sliceStep({ ports: [{ name: 'http', protocol: 'TCP', port: 9999 }] }),
    ],
    rules: /-j DNAT --to-destination 10\.244\.\d\.1:9999/,
    blamed: 1,
    behind: 0,
  },
  'pods that are not ready': {
    steps: [sliceStep({ endpoints: BOTH.map((each) => ({ ...each, conditions: { ready: false, serving: false } })) })],
    rules: /has no endpoints" .*-j REJECT/,
    blamed: 0,
  },
  'policy Local, and no endpoint on the node': {
    steps: [
      sliceStep({ endpoints: [endpoint('10.244.2.1', 'node-b')] }),
      serviceStep({ internalTrafficPolicy: 'Local' }),
    ],
    rules: /has no local endpoints" .*-j DROP/,
    blamed: 1,
  },
  'source ranges': {
    steps: [serviceStep({ loadBalancerSourceRanges: ['203.0.113.0/24'] })],
    rules: /-s 203\.0\.113\.0\/24 |not accepted by|other traffic to/,
    blamed: 0,
  },
  'hints that leave an endpoint to another zone': {
    steps: [
      sliceStep({
        endpoints: [
          endpoint('10.244.1.1', 'node-a'),
          endpoint('10.244.2.1', 'node-b', { hints: { forZones: [{ name: 'zone-b' }] } }),
        ],
      }),
    ],
    rules: /-> 10\.244\.1\.1:8080"/,
    blamed: 0,
  },
  deletion: {
    steps: [(before) => ({ ...before, kind: 'Service', gone: true })],
    rules: /./,
    blamed: 0,
  },
}

/** What happens now and then and changes no rule of the Service. */
const innocentArbitrary = fc.array(
  fc.constantFrom('label of the Service', 'version of the slice', 'another Service', 'taint of the Node'),
  { maxLength: 6 },
)

it.each(Object.entries(INCIDENTS))('%s is blamed on the record that did it', async (_, incident) => {
  await fc.assert(
    fc.asyncProperty(innocentArbitrary, innocentArbitrary, async (before, after) => {
      const story = createStory()
      for (const innocent of before) story.innocent(innocent)
      const seqs = incident.steps.map((step) => story.step(step))
      for (const innocent of after) story.innocent(innocent)
      const { rules, lastGone, editBehind } = await blameOf(story.events)
      const now = rules.map(({ item, changed }) => ({ item, cause: changed.cause }))
      const gone = lastGone.map(({ item, removed }) => ({ item, cause: removed.cause }))
      const telling = (now.length > 0 ? now : gone).filter(({ item }) => incident.rules.test(item.text))
      expect(telling.length).toBeGreaterThan(0)
      for (const { cause } of telling) {
        expect({ seq: seqOf(cause), behind: editBehind(cause)?.record.seq }).toEqual({
          seq: seqs[incident.blamed],
          behind: incident.behind === undefined ? undefined : seqs[incident.behind],
        })
      }
    }),
    // Each kind by itself: what varies is what goes on around it.
    { numRuns: 30 },
  )
})

const seqOf = (cause: Cause): number => (cause.type === 'start' ? 0 : cause.record.seq)

interface Story {
  readonly events: readonly WatchEvent[]
  readonly innocent: (kind: string) => void
  /** Its seq. */
  readonly step: (step: Incident['steps'][number]) => number
}

function createStory(): Story {
  const { added, modified, deleted } = createEventMaker()
  let shape: Shape = { spec: SPEC, ports: [{ name: 'http', protocol: 'TCP', port: 8080 }], endpoints: BOTH }
  let count = 0
  let isGone = false
  const web = (): KubernetesObject =>
    service({ name: 'web', labels: { count: String(count) }, spec: shape.spec ?? {}, status: STATUS })
  const webSlice = (): KubernetesObject =>
    slice({ name: 'web-1', service: 'web', endpoints: shape.endpoints ?? [], ports: shape.ports ?? [] })
  const other = (): KubernetesObject => service({ name: 'other', labels: { count: String(count) } })
  const machine = (): KubernetesObject =>
    node({ name: 'node-a', taints: [{ key: `taint-${count}`, effect: 'NoSchedule' }] })
  const events = [added(machine()), added(web()), added(webSlice()), added(other())]
  const innocents: Readonly<Record<string, () => WatchEvent>> = {
    'label of the Service': () => modified(isGone ? other() : web()),
    'version of the slice': () => modified(webSlice()),
    'another Service': () => modified(other()),
    'taint of the Node': () => modified(machine()),
  }
  return {
    events,
    innocent(kind) {
      count += 1
      const event = innocents[kind]?.()
      if (event !== undefined) events.push(event)
    },
    step(step) {
      const { kind, gone, ...next } = step(shape)
      shape = next
      isGone ||= gone === true
      const event = kind === 'Service' ? web() : webSlice()
      events.push(gone === true ? deleted(event) : modified(event))
      return events.length
    },
  }
}

const SPEC: JsonObject = { type: 'LoadBalancer', clusterIP: '10.96.0.1', selector: { app: 'web' }, ports: [HTTP] }
const STATUS: JsonObject = { loadBalancer: { ingress: [{ ip: '203.0.113.80' }] } }

async function blameOf(events: readonly WatchEvent[]): Promise<Blame> {
  const log = createMemoryChangeLog()
  await log.append(events.map((event) => ({ type: 'event', event })))
  const steps = blameRules({
    planner: iptablesDataplane,
    reader: log,
    toSeq: log.head,
    service: serviceName('shop', 'web'),
    nodeName: 'node-a',
    config: DEFAULT_PROXY_CONFIG,
    options: { family: 'IPv4' },
    accepts: ({ owner }) => owner !== undefined,
  })
  for (;;) {
    const next = steps.next()
    if (next.done === true) return next.value
  }
}
