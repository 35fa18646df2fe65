import type { JsonObject, KubernetesObject, WatchEvent } from '@pointsman/core'
import { node, service, slice } from '@pointsman/core/testing'
import fc from 'fast-check'

/** A history in which one packet broke, with what a person would name as its cause. */
export interface Incident {
  readonly kind: IncidentKind
  readonly events: readonly WatchEvent[]
  /** Whose sender and destination say where it is told from. */
  readonly packet: { readonly from: string; readonly to: string; readonly port: number }
  /** Whether it is one of those that only other endpoints tell. */
  readonly exact: boolean
  /** Index of the event that broke it, and of the edit behind it where that is another. */
  readonly broken: number
  readonly edit?: number
  /** The type of the cause. */
  readonly cause: string
}

export const INCIDENT_KINDS = [
  'selector',
  'port name',
  'target port',
  'readiness',
  'policy',
  'source ranges',
  'hints',
  'zone',
  'deletion',
  'deleted slice',
] as const
export type IncidentKind = (typeof INCIDENT_KINDS)[number]

/** An incident of one kind in a shop with two Services, with edits before and after that did no harm. */
export const incidentArbitrary = (kind: IncidentKind): fc.Arbitrary<Incident> =>
  fc
    .record({
      before: fc.array(fc.constantFrom(...HARMLESS), { maxLength: 6 }),
      after: fc.array(fc.constantFrom(...HARMLESS_TO_THE_BROKEN), { maxLength: 6 }),
      gaps: fc.array(fc.integer({ min: 0, max: 600 }), { minLength: 1, maxLength: 8 }),
      // Watches of two kinds are not ordered against each other.
      effectFirst: fc.boolean(),
    })
    .map(({ before, after, gaps, effectFirst }) => {
      const shop = new Shop(gaps)
      for (const step of before) HARM_LESS[step](shop)
      const found = INCIDENTS[kind](shop, effectFirst)
      for (const step of after) HARM_LESS[step](shop)
      const { events } = shop
      return { kind, packet: { from: '10.244.7.7', to: CLUSTER_IP, port: 80 }, exact: false, events, ...found }
    })

const CLUSTER_IP = '10.96.0.1'
const VIP = '203.0.113.1'

type Found = Pick<Incident, 'broken' | 'cause'> & Partial<Pick<Incident, 'edit' | 'packet' | 'exact'>>

/** What is there, and what happened to it. */
class Shop {
  readonly events: WatchEvent[] = []
  #version = 1000
  #observedAt = Date.UTC(2026, 0, 1)
  readonly #gaps: readonly number[]
  web: KubernetesObject = service({ name: 'web', spec: WEB, status: STATUS })
  cart: KubernetesObject = service({ name: 'cart', spec: { clusterIP: '10.96.0.2' } })
  webSlice: KubernetesObject = slice({ name: 'web-1', service: 'web', endpoints: [POD_A, POD_B] })
  cartSlice: KubernetesObject = slice({ name: 'cart-1', service: 'cart', endpoints: ['10.244.1.8'] })
  node: KubernetesObject = node({ name: 'node-a' })

  constructor(gaps: readonly number[]) {
    this.#gaps = gaps
    for (const object of [this.node, this.web, this.cart, this.webSlice, this.cartSlice]) this.put('ADDED', object)
    for (const kind of ['Node', 'Service', 'EndpointSlice'] as const) {
      const { observedAt, resourceVersion } = this.#stamp()
      this.events.push({ type: 'BOOKMARK', kind, resourceVersion, initialEventsEnd: true, observedAt })
    }
  }

  /** Gives the event's index. */
  put(type: 'ADDED' | 'MODIFIED' | 'DELETED', object: KubernetesObject): number {
    this.pause()
    return this.#push(type, object, this.#stamp())
  }

  /** A Service's edit and the slice's change that follows from it in the cluster, seen in the one order or the other. */
  follow(edit: KubernetesObject, effect: KubernetesObject, effectFirst: boolean): { edit: number; effect: number } {
    this.pause()
    const [first, second] = [this.#stamp(), this.#stamp()]
    if (!effectFirst)
      return { edit: this.#push('MODIFIED', edit, first), effect: this.#push('MODIFIED', effect, second) }
    const seen = this.#push('MODIFIED', effect, { ...second, observedAt: first.observedAt })
    return { effect: seen, edit: this.#push('MODIFIED', edit, { ...first, observedAt: second.observedAt }) }
  }

  pause(): void {
    this.#observedAt += (this.#gaps[this.events.length % this.#gaps.length] ?? 0) * 1000
  }

  get stamp(): string {
    return String(this.#version)
  }

  #stamp(): { readonly resourceVersion: string; readonly observedAt: number } {
    this.#observedAt += 10
    this.#version += 1
    return { resourceVersion: String(this.#version), observedAt: this.#observedAt }
  }

  #push(
    type: 'ADDED' | 'MODIFIED' | 'DELETED',
    object: KubernetesObject,
    { resourceVersion, observedAt }: { readonly resourceVersion: string; readonly observedAt: number },
  ): number {
    const { metadata } = object
    this.events.push({ type, observedAt, object: { ...object, metadata: { ...metadata, resourceVersion } } })
    return this.events.length - 1
  }
}

const READY = { ready: true, serving: true, terminating: false }
const GONE_BAD = { ready: false, serving: false, terminating: false }
const POD_A = { addresses: ['10.244.2.1'], conditions: READY, nodeName: 'node-b', zone: 'zone-a' }
const POD_B = { addresses: ['10.244.3.1'], conditions: READY, nodeName: 'node-c', zone: 'zone-b' }
const HTTP = { name: 'http', protocol: 'TCP', port: 80, targetPort: 8080, nodePort: 30_080 }
const WEB: JsonObject = { type: 'LoadBalancer', clusterIP: CLUSTER_IP, ports: [HTTP], selector: { app: 'web' } }
const STATUS: JsonObject = { loadBalancer: { ingress: [{ ip: VIP }] } }

const withSpec = (object: KubernetesObject, fields: JsonObject): KubernetesObject => ({
  ...object,
  spec: { ...(object['spec'] as JsonObject), ...fields },
})
const withLabel = (object: KubernetesObject, name: string, value: string): KubernetesObject => ({
  ...object,
  metadata: { ...object.metadata, labels: { ...(object.metadata['labels'] as JsonObject), [name]: value } },
})

/** What does a healthy packet no harm; each leaves `web` as it can be served. */
const HARM_LESS = {
  'label of the Service': (shop) => {
    shop.web = withLabel(shop.web, 'release', shop.stamp)
    shop.put('MODIFIED', shop.web)
  },
  'label of the Node': (shop) => {
    shop.node = withLabel(shop.node, 'kernel', shop.stamp)
    shop.put('MODIFIED', shop.node)
  },
  'slice written again': (shop) => void shop.put('MODIFIED', withLabel(shop.webSlice, 'written', shop.stamp)),
  'other Service emptied': (shop) => {
    shop.follow(withSpec(shop.cart, { selector: { app: shop.stamp } }), { ...shop.cartSlice, endpoints: [] }, false)
  },
  'other Service gone': (shop) => {
    shop.put('DELETED', shop.cart)
    shop.put('ADDED', shop.cart)
  },
  'another port': (shop) => {
    const ports = [HTTP, { name: 'metrics', protocol: 'TCP', port: 9090, targetPort: 9090 }]
    shop.web = withSpec(shop.web, { ports })
    shop.webSlice = {
      ...shop.webSlice,
      ports: [
        { name: 'http', protocol: 'TCP', port: 8080 },
        { name: 'metrics', protocol: 'TCP', port: 9090 },
      ],
    }
    shop.follow(shop.web, shop.webSlice, false)
  },
  'selector for the same pods': (shop) => {
    shop.web = withSpec(shop.web, { selector: { app: 'web', tier: shop.stamp } })
    shop.put('MODIFIED', shop.web)
  },
  'one endpoint of two flaps': (shop) => {
    const [first] = endpointsOf(shop)
    shop.put('MODIFIED', {
      ...shop.webSlice,
      endpoints: [{ ...first, conditions: GONE_BAD }, ...endpointsOf(shop).slice(1)],
    })
    shop.put('MODIFIED', shop.webSlice)
  },
} as const satisfies { readonly [name: string]: (shop: Shop) => void }

const HARMLESS = Object.keys(HARM_LESS) as readonly (keyof typeof HARM_LESS)[]
const HARMLESS_TO_THE_BROKEN = [
  'label of the Node',
  'other Service emptied',
  'other Service gone',
] as const satisfies readonly (keyof typeof HARM_LESS)[]

const endpointsOf = (shop: Shop): readonly JsonObject[] => shop.webSlice['endpoints'] as readonly JsonObject[]
const portsOf = (shop: Shop): readonly JsonObject[] =>
  (shop.web['spec'] as JsonObject)['ports'] as readonly JsonObject[]

const INCIDENTS: { readonly [kind in IncidentKind]: (shop: Shop, effectFirst: boolean) => Found } = {
  selector(shop, effectFirst) {
    const web = withSpec(shop.web, { selector: { app: 'wep' } })
    const { edit, effect } = shop.follow(web, { ...shop.webSlice, endpoints: [] }, effectFirst)
    return { broken: effect, edit, cause: 'service-edit' }
  },
  'port name'(shop, effectFirst) {
    const web = withSpec(shop.web, {
      ports: portsOf(shop).map((port) => ({ ...port, name: `x${port['name'] as string}` })),
    })
    const ports = (shop.webSlice['ports'] as readonly JsonObject[]).map((port) => ({
      ...port,
      name: `x${port['name'] as string}`,
    }))
    const { edit, effect } = shop.follow(web, { ...shop.webSlice, ports }, effectFirst)
    // Whichever is seen first breaks it, and the other mends it.
    return effectFirst ? { broken: effect, edit, cause: 'service-edit' } : { broken: edit, cause: 'itself' }
  },
  'target port'(shop, effectFirst) {
    const web = withSpec(shop.web, { ports: portsOf(shop).map((port) => ({ ...port, targetPort: 'htpp' })) })
    const { edit, effect } = shop.follow(web, { ...shop.webSlice, ports: [] }, effectFirst)
    return { broken: effect, edit, cause: 'service-edit' }
  },
  readiness(shop) {
    const bad = endpointsOf(shop).map((endpoint) => ({ ...endpoint, conditions: GONE_BAD }))
    const [one, two] = bad
    const [, healthy] = endpointsOf(shop)
    if (one !== undefined && healthy !== undefined)
      shop.put('MODIFIED', { ...shop.webSlice, endpoints: [one, healthy] })
    return {
      broken: shop.put('MODIFIED', { ...shop.webSlice, endpoints: [one ?? {}, two ?? {}] }),
      cause: 'not-ready',
    }
  },
  policy: (shop) => ({
    broken: shop.put('MODIFIED', withSpec(shop.web, { internalTrafficPolicy: 'Local' })),
    cause: 'itself',
  }),
  'source ranges': (shop) => ({
    broken: shop.put('MODIFIED', withSpec(shop.web, { loadBalancerSourceRanges: ['192.0.2.0/24'] })),
    cause: 'itself',
    packet: { from: 'outside', to: VIP, port: 80 },
  }),
  hints(shop) {
    const endpoints = endpointsOf(shop).map((endpoint) => ({
      ...endpoint,
      hints: { forZones: [{ name: endpoint['zone'] as string }] },
    }))
    return { broken: shop.put('MODIFIED', { ...shop.webSlice, endpoints }), cause: 'hints', exact: true }
  },
  zone(shop) {
    INCIDENTS.hints(shop, false)
    shop.node = node({ name: 'node-a', zone: 'zone-b' })
    return { broken: shop.put('MODIFIED', shop.node), cause: 'itself', exact: true }
  },
  deletion: (shop) => ({ broken: shop.put('DELETED', shop.web), cause: 'itself' }),
  'deleted slice'(shop) {
    // Else it may well follow from an edit that came right before.
    shop.put('MODIFIED', withLabel(shop.webSlice, 'written', shop.stamp))
    return { broken: shop.put('DELETED', shop.webSlice), cause: 'pods-gone' }
  },
}
