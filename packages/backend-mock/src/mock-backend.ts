import {
  type Backend,
  type BackendContents,
  type InForce,
  type Packet,
  type ProxyConfig,
  route,
  type Route,
  type Seq,
  type ServicePortName,
  type SyncRequest,
  type SyncResult,
} from '@pointsman/core'
import { type Contents, createContents, readContents, usesServiceCidrs } from './contents.js'

export interface MockBackendOptions {
  /** The same configuration that a backend with a kernel would take. */
  readonly config: ProxyConfig
  /** `mock` unless said otherwise. */
  readonly name?: string
  /** Waited for in each sync before anything takes effect: a slow backend, on whatever clock the caller has. */
  readonly wait?: (request: SyncRequest, signal: AbortSignal) => Promise<void>
}

/** One call of `sync`, kept. */
export interface MockSync {
  /** Service ports that the request named, sorted; `all` where it said so. */
  readonly changed: readonly ServicePortName[] | 'all'
  readonly fromSeq: Seq
  readonly toSeq: Seq
  readonly stateSeq: Seq
  readonly outcome:
    | { readonly type: 'done'; readonly result: SyncResult }
    | { readonly type: 'failed'; readonly error: unknown }
}

/** A backend without a kernel: keeps what is in force in memory, every sync with it, and answers packets. */
export interface MockBackend extends Backend {
  /** Every sync that has ended, oldest first. */
  readonly syncs: readonly MockSync[]
  /** What packets are answered from now: live, the mock's own copy. */
  readonly inForce: InForce
  /** Where the first packet of a connection goes. Throws a RouteError for what is no packet. */
  route(packet: Packet): Route
  /** The next syncs reject before anything takes effect. */
  failNext(times?: number): void
  /** Syncs reject before anything takes effect for as long as this says so. */
  failWhen(fails: (request: SyncRequest) => boolean): void
  /** Service ports that this says so of keep what they had; syncs put everything else in force, and list them. */
  refuseWhen(refuses: (owner: ServicePortName) => boolean): void
  /** The next syncs put the first half of what changed in force, in order of name and rounded up, and then reject. */
  failHalfWay(times?: number): void
}

export function createMockBackend({ config, name = 'mock', wait }: MockBackendOptions): MockBackend {
  const syncs: MockSync[] = []
  let contents = createContents(config)
  let failures = 0
  let halfFailures = 0
  let failsFor: (request: SyncRequest) => boolean = () => false
  let refuses: (owner: ServicePortName) => boolean = () => false
  const refused = new Set<ServicePortName>()
  let running = false
  let closed = false

  async function run(request: SyncRequest, signal: AbortSignal): Promise<SyncResult> {
    signal.throwIfAborted()
    await (wait && unlessAborted(wait(request, signal), signal))
    if (failures > 0 || failsFor(request)) {
      failures = Math.max(0, failures - 1)
      throw new MockBackendError('SYNC_FAILED', 'the mock fails on request: nothing took effect')
    }
    const asked = namesToSync(request, contents)
    for (const name of asked) {
      if (request.state.services.has(name) && refuses(name)) refused.add(name)
      else refused.delete(name)
    }
    const names = asked.filter((name) => !refused.has(name))
    if (halfFailures > 0) {
      halfFailures -= 1
      bringAbout(contents, request, names.slice(0, Math.ceil(names.length / 2)))
      throw new MockBackendError('SYNC_FAILED_HALF_WAY', 'the mock fails half-way on request: a part took effect')
    }
    const bytes = bringAbout(contents, request, names)
    return {
      full: request.changed === 'all',
      rules: contents.rules,
      bytes,
      digest: contents.digest,
      refused: [...refused].map((owner) => ({
        owner,
        error: new MockBackendError('SERVICE_REFUSED', `the mock refuses ${owner} on request`),
      })),
    }
  }

  return {
    name,
    usesServiceCidrs: usesServiceCidrs(config),
    syncs,
    get inForce() {
      return contents.inForce
    },
    async sync(request, signal) {
      if (closed) throw new MockBackendError('CLOSED', 'the mock is closed: nothing can be synced any more')
      if (running) throw new Error('a sync began before the last one ended')
      running = true
      // Before the first wait: the caller may go on changing the set that it handed over.
      const kept = summaryOf(request)
      try {
        const result = await run(request, signal)
        syncs.push({ ...kept, outcome: { type: 'done', result } })
        return result
      } catch (error) {
        syncs.push({ ...kept, outcome: { type: 'failed', error } })
        throw error
      } finally {
        running = false
      }
    },
    read: (): Promise<BackendContents> => Promise.resolve(readContents(contents.inForce, config)),
    cleanup() {
      contents = createContents(config)
      refused.clear()
      return Promise.resolve()
    },
    close() {
      closed = true
      return Promise.resolve()
    },
    route: (packet) => route(contents.inForce, config, packet),
    failNext(times = 1) {
      failures = times
    },
    failWhen(fails) {
      failsFor = fails
    },
    refuseWhen(given) {
      refuses = given
    },
    failHalfWay(times = 1) {
      halfFailures = times
    },
  }
}

function summaryOf({ state, changed, fromSeq, toSeq }: SyncRequest): Omit<MockSync, 'outcome'> {
  return { changed: changed === 'all' ? 'all' : [...changed].sort(), fromSeq, toSeq, stateSeq: state.seq }
}

function namesToSync({ state, changed }: SyncRequest, contents: Contents): readonly ServicePortName[] {
  return [...new Set(changed === 'all' ? [...contents.names(), ...state.services.keys()] : changed)].sort()
}

function bringAbout(contents: Contents, { state }: SyncRequest, names: readonly ServicePortName[]): number {
  let bytes = contents.setNode(state.node) + contents.setServiceCidrs(state.serviceCidrs)
  for (const name of names) bytes += contents.set(name, state.services.get(name), state.endpoints.get(name) ?? [])
  return bytes
}

/** The promise's outcome, or a rejection with the signal's reason as soon as that is given. */
async function unlessAborted(work: Promise<void>, signal: AbortSignal): Promise<void> {
  let stop: () => void = () => undefined
  const aborted = new Promise<void>((resolve) => {
    stop = resolve
    signal.addEventListener('abort', stop, { once: true })
  })
  await Promise.race([work, aborted])
  signal.removeEventListener('abort', stop)
  signal.throwIfAborted()
}

/** Why a sync of the mock was rejected. */
export const MOCK_BACKEND_ERROR_CODES = {
  SYNC_FAILED: 'the mock was configured to fail, and nothing took effect',
  SYNC_FAILED_HALF_WAY: 'the mock was configured to fail half-way, and a part took effect',
  SERVICE_REFUSED: 'the mock was configured to refuse this service port, which keeps what it had',
  CLOSED: 'the mock is closed',
} as const
export type MockBackendErrorCode = keyof typeof MOCK_BACKEND_ERROR_CODES

export class MockBackendError extends Error {
  readonly code: MockBackendErrorCode

  constructor(code: MockBackendErrorCode, message: string) {
    super(message)
    this.name = 'MockBackendError'
    this.code = code
  }
}
