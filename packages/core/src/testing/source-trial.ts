import type { Observable, Subscription } from 'rxjs'
import type { createKnownObjects } from '../io/kubernetes/known-objects.js'
import type { kubernetesSource, KubernetesSourceOptions } from '../io/kubernetes/kubernetes-source.js'
import { type KubernetesObject, OBJECT_KINDS, type ObjectKind } from '../model/kubernetes-object.js'
import type { SourceItem, WatchStatus } from '../ports/api-server.js'
import { VirtualClock } from '../pipeline/replay.js'
import { createFakeApiServer, type FakeApiServer, type FakeRequest } from './fake-api-server.js'

export interface TrialOptions {
  /** The source goes on from the server's present in place of listing. */
  readonly resume?: boolean
  /** What the server had before the source began; known to the log where it resumes. */
  readonly before?: (server: FakeApiServer) => void
  readonly refuseStreams?: 'status' | 'event'
  readonly streamingLists?: boolean
  readonly pageSize?: number
  readonly pieces?: () => number
  readonly limits?: KubernetesSourceOptions['limits']
  readonly seed?: number
  readonly kinds?: readonly ObjectKind[]
}

/** What is tried. */
interface TrialParts {
  readonly kubernetesSource: typeof kubernetesSource
  readonly createKnownObjects: typeof createKnownObjects
}

/** A source at a server in memory, in virtual time, and what it has said so far. */
export interface Trial {
  readonly server: FakeApiServer
  readonly clock: VirtualClock
  readonly startedAt: number
  /** Lets so many milliseconds pass. The source begins with the first of them. */
  readonly run: (ms: number) => Promise<void>
  /** What was said of a kind, a line an item. */
  readonly said: (kind: ObjectKind) => readonly string[]
  readonly items: readonly SourceItem[]
  /** Without checks of the server's history. */
  readonly asked: (kind: ObjectKind) => readonly FakeRequest['asked'][]
  readonly status: (kind: ObjectKind) => WatchStatus | undefined
  /** What the events come to, and what the server has: names with versions. */
  readonly state: (kind: ObjectKind) => readonly string[]
  readonly truth: (kind: ObjectKind) => readonly string[]
  readonly close: () => void
}

export function openTrial(parts: TrialParts, options: TrialOptions = {}): Trial {
  const startedAt = Date.UTC(2026, 0, 1)
  const clock = new VirtualClock(startedAt)
  const { refuseStreams, pieces, resume = false, before, seed = 1 } = options
  const server = createFakeApiServer({
    scheduler: clock,
    ...(refuseStreams && { refuseStreams }),
    ...(pieces && { pieces }),
  })
  before?.(server)
  const position = { resourceVersion: String(server.resourceVersion) }
  const known = parts.createKnownObjects()
  const state = new Map<string, KubernetesObject>()
  for (const object of resume ? OBJECT_KINDS.flatMap((kind) => server.objects(kind)) : []) {
    known.add(object)
    state.set(keyOf(object), object)
  }
  const items: SourceItem[] = []

  const items$: Observable<SourceItem> = parts.kubernetesSource({
    api: server,
    ...(resume && { resume: { Service: position, EndpointSlice: position, Node: position } }),
    known,
    ...(options.kinds && { kinds: options.kinds }),
    scheduler: clock,
    random: seededRandom(seed),
    ...(options.streamingLists !== undefined && { streamingLists: options.streamingLists }),
    ...(options.pageSize !== undefined && { pageSize: options.pageSize }),
    limits: { relistMs: Number.POSITIVE_INFINITY, ...options.limits },
  })
  const take = (item: SourceItem): void => {
    items.push(item)
    fold(state, item)
  }
  let subscription: Subscription | undefined

  return {
    server,
    clock,
    startedAt,
    items,
    async run(ms) {
      const end = clock.now() + ms
      subscription ??= items$.subscribe(take)
      await settle()
      while (clock.nextAt !== undefined && clock.nextAt <= end) {
        void clock.advanceTo(clock.nextAt)
        await settle()
      }
      void clock.advanceTo(end)
    },
    said: (kind) => items.filter((item) => kindOf(item) === kind).map(shown),
    asked: (kind) =>
      server.requests.filter((request) => request.kind === kind && request.asked !== 'check').map(({ asked }) => asked),
    status: (kind) =>
      items.flatMap((item) => (item.type === 'status' && item.status.kind === kind ? [item.status] : [])).at(-1),
    state: (kind) => listed([...state.values()].filter((object) => object.kind === kind)),
    truth: (kind) => listed(server.objects(kind)),
    close: () => subscription?.unsubscribe(),
  }
}

/** What is under way between two timers: answers pass through a few promises, and this comes after them all. */
async function settle(): Promise<void> {
  await new Promise<void>((resolve) => setImmediate(resolve))
}

const keyOf = ({ kind, metadata }: KubernetesObject): string => `${kind}/${metadata.namespace ?? ''}/${metadata.name}`

function fold(state: Map<string, KubernetesObject>, item: SourceItem): void {
  if (item.type !== 'event' || item.event.type === 'BOOKMARK') return
  const { type, object } = item.event
  if (type === 'DELETED') state.delete(keyOf(object))
  else state.set(keyOf(object), object)
}

const text = (value: unknown): string => (typeof value === 'string' ? value : '')

const listed = (objects: readonly KubernetesObject[]): readonly string[] =>
  objects
    .map(({ metadata: { namespace, name, uid, resourceVersion } }) =>
      [namespace, name, uid, resourceVersion].map(text).join(' '),
    )
    .toSorted()

function kindOf(item: SourceItem): unknown {
  switch (item.type) {
    case 'event':
      return item.event.type === 'BOOKMARK' ? item.event.kind : item.event.object.kind
    case 'notice':
      return item.notice.details?.['kind']
    case 'status':
      return item.status.kind
  }
}

function shown(item: SourceItem): string {
  switch (item.type) {
    case 'event': {
      const { event } = item
      if (event.type === 'BOOKMARK') return `${event.initialEventsEnd ? 'END' : 'BOOKMARK'} ${event.resourceVersion}`
      return `${event.type} ${event.object.metadata.name} ${text(event.object.metadata['resourceVersion'])}`
    }
    case 'notice': {
      const { code, message } = item.notice
      return code === 'LIST_BEGUN' ? code : `${code}: ${message.slice(message.indexOf(':') + 2)}`
    }
    case 'status': {
      const { phase, error } = item.status
      return error === undefined ? phase : `${phase} ${error.code}: ${error.message}`
    }
  }
}

/** Mulberry32: the same numbers for the same seed. */
function seededRandom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
}
