import type { SchedulerLike, Subscription } from 'rxjs'
import type { JsonObject, KubernetesObject, ObjectKind } from '../model/kubernetes-object.js'
import type { ApiAnswer, ApiRequest, ApiServer } from '../ports/api-server.js'
import { type BodyFault, createFakeBody, type FakeBody } from './fake-body.js'

/** What goes wrong with one request. */
export type Fault =
  | BodyFault
  /** No answer. */
  | { readonly type: 'unreachable' }
  /** The request is taken and nothing comes, not even a head. */
  | { readonly type: 'mute' }
  | { readonly type: 'refused'; readonly status: number; readonly retryAfter?: string; readonly body?: JsonObject }
  /** A watch begins with this line. */
  | { readonly type: 'line'; readonly text: string }

export interface FakeRequest {
  readonly kind: ObjectKind
  readonly path: string
  readonly asked: 'watch' | 'streaming-list' | 'first-page' | 'page' | 'check'
  readonly query: Readonly<Record<string, string>>
  /** Milliseconds of the scheduler. */
  readonly at: number
  /** What it was answered with: 200, another status, 410 also for an ERROR event, 0 for no answer. */
  code: number
}

/**
 * An API server in memory and in virtual time, for what a reader needs of one: list in pages, watch, streaming lists,
 * bookmarks, history that is forgotten. Selectors are not applied. `createTestApiServer` is the one that is spoken to over HTTPS.
 */
export interface FakeApiServer extends ApiServer {
  put(object: KubernetesObject): void
  /** As `put`, and no watch is ever told of it. */
  putUnseen(object: KubernetesObject): void
  remove(object: Pick<KubernetesObject, 'kind' | 'metadata'>): void
  objects(kind: ObjectKind): readonly KubernetesObject[]
  /** Forgets history: what begins before now is gone. */
  compact(): void
  /** Everything is as it was when the server had come to this resourceVersion; what came later never was. */
  restore(resourceVersion: number): void
  readonly resourceVersion: number
  readonly requests: readonly FakeRequest[]
  /** Breaks every connection that is open. */
  breakAll(): void
  /** Connections that are open. */
  readonly open: number
  /** Asked for each request but checks; undefined: it goes well. */
  fault: (request: FakeRequest) => Fault | undefined
  /** The same for checks of the history. */
  checkFault: (request: FakeRequest) => Fault | undefined
}

export interface FakeApiServerOptions {
  readonly scheduler: SchedulerLike
  readonly bookmarkEveryMs?: number
  /** How streaming lists are refused; absent: they are not. */
  readonly refuseStreams?: 'status' | 'event'
  /** How long the pieces are in which answers arrive. */
  readonly pieces?: () => number
}

interface Change {
  readonly version: number
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'
  readonly object: KubernetesObject
}

export function createFakeApiServer({
  scheduler,
  bookmarkEveryMs = 60_000,
  refuseStreams,
  pieces,
}: FakeApiServerOptions): FakeApiServer {
  let version = 100
  let forgotten = 0
  let births = 0
  let history: Change[] = []
  /** All changes that ever were, for what was at a time. */
  let ledger: Change[] = []
  const stored = new Map<string, KubernetesObject>()
  const requests: FakeRequest[] = []
  const bodies = new Set<FakeBody>()
  const watches = new Set<{ readonly kind: ObjectKind; readonly tell: (change: Change) => void }>()

  const listed = (kind: ObjectKind): readonly KubernetesObject[] =>
    [...stored.values()]
      .filter((object) => object.kind === kind)
      .toSorted((one, other) => (keyOf(one) < keyOf(other) ? -1 : 1))

  const change = (type: Change['type'], object: KubernetesObject): void => {
    const made = { version, type, object }
    history.push(made)
    ledger.push(made)
    for (const watch of watches) if (watch.kind === object.kind) watch.tell(made)
  }

  /** One object by its name, as it is or was at a resourceVersion. */
  const check = (kind: ObjectKind, { fieldSelector = '', resourceVersion }: FakeRequest['query']): string => {
    const then = new Map<string, KubernetesObject>()
    const at = resourceVersion === undefined ? version : Number(resourceVersion)
    for (const { type, object } of ledger.filter((made) => made.version <= at))
      if (type === 'DELETED') then.delete(keyOf(object))
      else then.set(keyOf(object), object)
    const name = /metadata\.name=([^,]*)/.exec(fieldSelector)?.[1]
    const found = [...then.values()].filter((object) => object.kind === kind && object.metadata.name === name)
    return listText(kind, { resourceVersion: String(at) }, found)
  }

  const page = (kind: ObjectKind, query: FakeRequest['query']): string => {
    const after = query['continue'] ?? ''
    const rest = listed(kind).filter((object) => keyOf(object) > after)
    const items = rest.slice(0, Number(query['limit']))
    const last = items.at(-1)
    const token = last !== undefined && items.length < rest.length ? { continue: keyOf(last) } : {}
    return listText(kind, { resourceVersion: String(version), ...token }, items)
  }

  const watch = (request: FakeRequest, body: FakeBody): void => {
    const { kind, query, asked } = request
    let position = asked === 'streaming-list' ? version : Number(query['resourceVersion'])
    const timers: Subscription[] = []
    const tell = (made: Change): void => {
      if (made.version <= position) return
      position = made.version
      body.write(lineOf(made.type, made.object))
    }
    const listener = { kind, tell }
    const end = (): void => {
      watches.delete(listener)
      for (const timer of timers) timer.unsubscribe()
      body.end()
    }
    if (asked === 'streaming-list') {
      if (refuseStreams === 'event') return body.write(lineOf('ERROR', UNSUPPORTED))
      for (const object of listed(kind)) body.write(lineOf('ADDED', object))
      body.write(bookmark(kind, version, true))
    } else if (position < forgotten) {
      request.code = 410
      body.write(lineOf('ERROR', { code: 410, reason: 'Expired', message: `too old resource version: ${position}` }))
      return end()
    } else for (const made of history) if (made.object.kind === kind) tell(made)
    watches.add(listener)
    const remind = (): void => {
      if (!body.isOpen) return end()
      // A watch from the future is told nothing.
      if (position <= version) body.write(bookmark(kind, version, false))
      position = Math.max(position, version)
      timers.push(scheduler.schedule(remind, bookmarkEveryMs))
    }
    timers.push(scheduler.schedule(remind, bookmarkEveryMs))
    timers.push(scheduler.schedule(end, Number(query['timeoutSeconds']) * 1000))
  }

  const statusFor = ({ asked, query, kind }: FakeRequest): Fault | undefined => {
    const { resourceVersion = '0' } = query
    if (asked === 'streaming-list' && refuseStreams === 'status')
      return { type: 'refused', status: 422, body: { message: `${kind}: sendInitialEvents is forbidden` } }
    if (asked !== 'watch' && Number(resourceVersion) > version) return TOO_LARGE
    if (asked === 'check' && query['resourceVersion'] !== undefined && Number(resourceVersion) < forgotten)
      return { type: 'refused', status: 410, body: { reason: 'Expired' } }
    return undefined
  }

  const get = async (asked: ApiRequest, signal: AbortSignal): Promise<ApiAnswer> => {
    const request: FakeRequest = { ...readRequest(asked), at: scheduler.now(), code: 200 }
    requests.push(request)
    const fault = (request.asked === 'check' ? server.checkFault : server.fault)(request) ?? statusFor(request)
    if (fault?.type === 'mute') {
      request.code = 0
      await new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('aborted'))))
    }
    if (fault?.type === 'unreachable') {
      request.code = 0
      throw new Error('connect ECONNREFUSED')
    }
    const bodyFault = fault !== undefined && isBodyFault(fault) ? fault : undefined
    const body = createFakeBody(signal, { ...(bodyFault && { fault: bodyFault }), ...(pieces && { pieces }) })
    bodies.add(body)
    if (fault?.type === 'refused') {
      request.code = fault.status
      body.write(JSON.stringify({ kind: 'Status', code: fault.status, ...fault.body }))
      body.end()
    } else if (fault?.type === 'line') {
      body.write(`${fault.text}\n`)
      body.end()
    } else if (request.asked === 'watch' || request.asked === 'streaming-list') watch(request, body)
    else {
      body.write((request.asked === 'check' ? check : page)(request.kind, request.query))
      body.end()
    }
    const headers =
      fault?.type === 'refused' && fault.retryAfter !== undefined ? { 'retry-after': fault.retryAfter } : {}
    return { status: fault?.type === 'refused' ? fault.status : 200, headers, body: body.body }
  }

  const server: FakeApiServer = {
    url: 'https://fake.test',
    get,
    close: () => Promise.resolve(),
    put(object) {
      version++
      const before = stored.get(keyOf(object))
      const uid = before?.metadata['uid'] ?? `uid-${++births}`
      const after = { ...object, metadata: { ...object.metadata, uid, resourceVersion: String(version) } }
      stored.set(keyOf(object), after)
      change(before === undefined ? 'ADDED' : 'MODIFIED', after)
    },
    putUnseen(object) {
      server.put(object)
      history.pop()
    },
    remove(object) {
      const before = stored.get(keyOf(object))
      if (before === undefined) return
      version++
      stored.delete(keyOf(object))
      change('DELETED', { ...before, metadata: { ...before.metadata, resourceVersion: String(version) } })
    },
    objects: listed,
    compact() {
      forgotten = version
      history = []
    },
    restore(resourceVersion) {
      const kept = history.filter((made) => made.version <= resourceVersion)
      stored.clear()
      for (const { type, object } of kept) {
        if (type === 'DELETED') stored.delete(keyOf(object))
        else stored.set(keyOf(object), object)
      }
      history = kept
      ledger = ledger.filter((made) => made.version <= resourceVersion)
      version = resourceVersion
    },
    breakAll() {
      for (const body of bodies) body.break()
      bodies.clear()
    },
    get resourceVersion() {
      return version
    },
    requests,
    get open() {
      return [...bodies].filter(({ isOpen }) => isOpen).length
    },
    fault: () => undefined,
    checkFault: () => undefined,
  }
  return server
}

const isBodyFault = (fault: Fault): fault is BodyFault => ['closed', 'reset', 'silent', 'garbled'].includes(fault.type)

const keyOf = ({ kind, metadata }: Pick<KubernetesObject, 'kind' | 'metadata'>): string =>
  `${kind}/${metadata.namespace ?? ''}/${metadata.name}`

const lineOf = (type: string, object: JsonObject): string => `${JSON.stringify({ type, object })}\n`

const UNSUPPORTED = {
  code: 500,
  reason: 'InternalError',
  message: 'the required storage feature RequestWatchProgress is disabled',
}
const TOO_LARGE: Fault = {
  type: 'refused',
  status: 504,
  retryAfter: '1',
  body: { reason: 'Timeout', details: { causes: [{ reason: 'ResourceVersionTooLarge' }] } },
}

const bookmark = (kind: ObjectKind, version: number, isEnd: boolean): string =>
  lineOf('BOOKMARK', {
    kind,
    metadata: {
      resourceVersion: String(version),
      ...(isEnd && { annotations: { 'k8s.io/initial-events-end': 'true' } }),
    },
  })

const KINDS: Readonly<Record<string, ObjectKind>> = {
  services: 'Service',
  endpointslices: 'EndpointSlice',
  nodes: 'Node',
  servicecidrs: 'ServiceCIDR',
}

function readRequest({ path, query }: ApiRequest): Pick<FakeRequest, 'kind' | 'path' | 'asked' | 'query'> {
  const kind = KINDS[path.slice(path.lastIndexOf('/') + 1)]
  if (kind === undefined) throw new Error(`nothing is served at ${path}`)
  if (query['watch'] === '1')
    return { kind, path, query, asked: query['sendInitialEvents'] === undefined ? 'watch' : 'streaming-list' }
  const { limit, fieldSelector = '' } = query
  if (
    limit === '1' &&
    query['continue'] === undefined &&
    (fieldSelector.includes('metadata.name=') || query['resourceVersionMatch'] === 'Exact')
  )
    return { kind, path, query, asked: 'check' }
  return { kind, path, query, asked: query['continue'] === undefined ? 'first-page' : 'page' }
}

const listText = (kind: ObjectKind, metadata: JsonObject, items: readonly KubernetesObject[]): string =>
  JSON.stringify(
    {
      kind: `${kind}List`,
      apiVersion: kind === 'EndpointSlice' ? 'discovery.k8s.io/v1' : 'v1',
      metadata,
      items: items.map(({ kind: _kind, apiVersion: _version, ...item }) => item),
    },
    undefined,
    1,
  )
