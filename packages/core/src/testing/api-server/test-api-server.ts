import { createServer } from 'node:https'
import { keyOf, type ResourceName, resourceOf } from './api-resource.js'
import { type Door, openListener } from './listener.js'
import { createEventStore } from './event-store.js'
import { createObjectStore } from './object-store.js'
import { isMeant, type SeenRequest } from './request-log.js'
import { handleRequest } from './handle-request.js'
import { kubeconfigText, type KubeconfigUser } from './kubeconfig-text.js'
import {
  type CertificateRequest,
  createTestAuthority,
  type TestAuthority,
  type TestCertificate,
} from './test-authority.js'
import type { JsonObject, KubernetesObject } from '../../model/kubernetes-object.js'
import type { Users } from './authenticate.js'
import type { Disturbance, Misbehaviour, MisbehaviourPlan, RequestFilter } from './misbehaviour.js'
import type { WatchSession } from './watch-session.js'

export interface TestApiServerOptions {
  /** Default 127.0.0.1. */
  readonly host?: string
  /** Default: any that is free. */
  readonly port?: number
  /** From one bookmark of a watch to the next; default a minute, as an API server. */
  readonly bookmarkIntervalMs?: number
  /** How long a watch lasts that does not say; default half an hour. */
  readonly watchTimeoutMs?: number
  /** Default 1. */
  readonly firstResourceVersion?: number
  /** Another certificate authority than one made for this server. */
  readonly authority?: TestAuthority
  /** Of the server; default: for its host. */
  readonly certificate?: Partial<CertificateRequest>
  /** Who a bearer token is of; default: `token` is of system:kube-proxy. */
  readonly tokens?: Readonly<Record<string, string>>
  /** Milliseconds since 1970 UTC. */
  readonly now?: () => number
}

/**
 * An HTTPS server that does for Services, EndpointSlices and Nodes what kube-apiserver 1.36 does for a reader: list, pages,
 * watch, streaming lists, bookmarks, selectors, resourceVersions; takes Events; and goes wrong when it is told to. Who asks must
 * show a token that it knows or a certificate of its authority.
 */
export interface TestApiServer {
  /** `https://127.0.0.1:41234`. */
  readonly url: string
  readonly port: number
  readonly authority: TestAuthority
  /** One that is let in. */
  readonly token: string
  /** Creates or replaces; gives the object as stored. Many: in their order. */
  put(object: KubernetesObject): KubernetesObject
  putAll(objects: Iterable<KubernetesObject>): void
  /** Undefined: it was not there. */
  delete(object: Pick<KubernetesObject, 'kind' | 'metadata'>): KubernetesObject | undefined
  objects(resource: ResourceName): readonly KubernetesObject[]
  /** Events that were posted, the oldest first, as they are now. */
  events(): readonly JsonObject[]
  /** Forgets all Events, as an API server does after an hour. */
  forgetEvents(): void
  resourceVersion(): number
  /** Forgets history: what begins at an older resourceVersion is 410. */
  compact(): void
  /** Moves the counter of resourceVersions, as changes of kinds do that nobody watches. */
  skip(count: number): void
  /** The next matching requests go wrong; those who were told first go first. Gives what takes the rest of it back. */
  misbehave(misbehaviour: Misbehaviour, plan?: MisbehaviourPlan): () => void
  /** Disturbs the watches that are open now; gives how many. */
  disturb(disturbance: Disturbance, resource?: ResourceName): number
  /** A bookmark to every watch that is open and asked for them, now. */
  bookmark(resource?: ResourceName): void
  /** How many watches are open. */
  watches(resource?: ResourceName): number
  readonly requests: readonly SeenRequest[]
  /** How many of `requests` match. */
  count(filter?: RequestFilter): number
  /** TCP connections that were taken. */
  connections(): number
  /** Which tokens are let in from now on: token to user. */
  setTokens(tokens: Readonly<Record<string, string>>): void
  /** New connections are met with another certificate. */
  setCertificate(certificate: TestCertificate): void
  setDoor(door: Door): void
  /** Refuses connections and cuts those that are open. Objects and history stay. */
  goAway(): Promise<void>
  comeBack(): Promise<void>
  /** As text that a file may have; `user`: with a token, if not said. */
  kubeconfig(user?: KubeconfigUser): string
  close(): Promise<void>
}

const MINUTE_MS = 60_000

export async function startTestApiServer(options: TestApiServerOptions = {}): Promise<TestApiServer> {
  const { host = '127.0.0.1', port = 0, authority = createTestAuthority(), now = Date.now } = options
  const token = 'test-token'
  const store = createObjectStore({ now, firstResourceVersion: options.firstResourceVersion ?? 1 })
  const events = createEventStore()
  const sessions = new Set<WatchSession>()
  const requests: SeenRequest[] = []
  let plans: readonly { readonly misbehaviour: Misbehaviour; readonly filter: RequestFilter; left: number }[] = []
  let users: Users = { tokens: options.tokens ?? { [token]: 'system:kube-proxy' } }

  const misbehaviourFor = (request: SeenRequest): Misbehaviour | undefined => {
    const plan = plans.find(({ left, filter }) => left > 0 && isMeant(filter, request))
    if (plan === undefined) return undefined
    plan.left -= 1
    plans = plans.filter(({ left }) => left > 0)
    return plan.misbehaviour
  }
  const issued = authority.issue({ commonName: 'kube-apiserver', names: [host], ...options.certificate })
  const tls = (own: TestCertificate) => ({ cert: own.certificate, key: own.key, ca: authority.certificate })
  const https = createServer({ ...tls(issued), requestCert: true, rejectUnauthorized: false }, (request, response) => {
    void handleRequest(request, response, {
      store,
      events,
      users,
      now,
      bookmarkIntervalMs: options.bookmarkIntervalMs ?? MINUTE_MS,
      watchTimeoutMs: options.watchTimeoutMs ?? 30 * MINUTE_MS,
      sessions,
      saw: (seen) => requests.push(seen),
      misbehaviourFor,
    })
  })
  const listener = await openListener({ host, port, serve: (socket) => https.emit('connection', socket) })
  const url = `https://${host.includes(':') ? `[${host}]` : host}:${listener.port}`
  const sessionsOf = (resource?: ResourceName): readonly WatchSession[] =>
    [...sessions].filter((session) => resource === undefined || session.resource.name === resource)

  return {
    url,
    port: listener.port,
    authority,
    token,
    put: (object) => store.put(object),
    putAll(objects) {
      for (const object of objects) store.put(object)
    },
    delete: (object) => store.remove(resourceOf(object).name, keyOf(object)),
    objects: (resource) => store.objects(resource),
    events: () => [...events.values()],
    forgetEvents: () => events.clear(),
    resourceVersion: () => store.resourceVersion(),
    compact: () => store.compact(),
    skip: (count) => store.skip(count),
    misbehave(misbehaviour, { times = 1, ...filter } = {}) {
      const plan = { misbehaviour, filter, left: times }
      plans = [...plans, plan]
      return () => {
        plan.left = 0
      }
    },
    disturb(disturbance, resource) {
      const open = sessionsOf(resource)
      for (const session of open) session.disturb(disturbance)
      return open.length
    },
    bookmark(resource) {
      for (const session of sessionsOf(resource)) session.bookmark()
    },
    watches: (resource) => sessionsOf(resource).length,
    requests,
    count: (filter = {}) => requests.filter((request) => isMeant(filter, request)).length,
    connections: () => listener.connections(),
    setTokens(tokens) {
      users = { tokens }
    },
    setCertificate: (certificate) => https.setSecureContext(tls(certificate)),
    setDoor: (door) => listener.setDoor(door),
    goAway: () => listener.shut(),
    comeBack: () => listener.reopen(),
    kubeconfig: (user = { token }) => kubeconfigText({ url, authority: authority.certificate, user }),
    async close() {
      for (const session of sessions) session.close()
      await listener.shut()
    },
  }
}

/** Reads objects from what `kubectl get -o json` prints: one object, or a List. */
export const objectsOf = (document: JsonObject): readonly KubernetesObject[] =>
  (Array.isArray(document['items']) ? document['items'] : [document]) as readonly KubernetesObject[]
