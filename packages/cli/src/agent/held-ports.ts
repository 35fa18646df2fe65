import {
  type DataplaneBackend,
  displayName,
  endpointKey,
  type HeldPort,
  heldPortKey,
  type IpFamily,
  type LogEntry,
  parseServicePortName,
  portsToHold,
  type ProxyConfig,
  type State,
  type SyncRequest,
  type SyncResult,
} from '@pointsman/core'
import type { OpenPort, PortSocket } from '../machine/port-sockets.js'

/** A port that cannot be held open: another process has it, say. */
export interface PortFailure {
  readonly port: HeldPort
  /** Since when, in milliseconds since 1970 UTC. */
  readonly since: number
  readonly error: Error
  /**
   * False: the rules that lead to the Service from there are left out, as kube-proxy 1.20 leaves out those of an external IP. Where no
   * other process has the port, nobody would get the packets instead, so that only a port in use is such a case.
   */
  readonly isServed: boolean
}

/** The ports that an agent holds open, after something changed. */
export interface HeldPortsReport {
  readonly at: number
  readonly held: readonly HeldPort[]
  /** All that cannot be held. */
  readonly failed: readonly PortFailure[]
  /** Those of them that are new, and failures that are over: the port is held now, or no longer to be held. */
  readonly begun: readonly PortFailure[]
  readonly ended: readonly PortFailure[]
}

export interface HeldPortsOptions {
  readonly config: Pick<ProxyConfig, 'layout' | 'nodePortAddresses' | 'nodeIp'>
  readonly open: OpenPort
  /** Sockets at a time: each takes a file descriptor. */
  readonly maxSockets: number
  /** Milliseconds since 1970 UTC. */
  readonly now: () => number
  readonly onReport: (report: HeldPortsReport) => void
}

export interface HeldPorts {
  /** External IPs that the rules leave out, as their ports are not held. */
  readonly unheldExternalIPs: () => readonly HeldPort[]
  /**
   * A backend whose syncs hold ports: opened before the rules are written, released when a sync has succeeded without them, and as
   * they were before after one that failed. A port that cannot be opened fails no sync, and is tried again by each.
   */
  readonly around: (backend: DataplaneBackend, node: HoldingNode) => DataplaneBackend
  /** Tries again what could not be opened. True: the rules may follow. */
  readonly retry: () => Promise<boolean>
}

export interface HoldingNode {
  readonly families: readonly IpFamily[]
  /** What its interfaces have, asked at each sync. */
  readonly addresses: () => readonly string[]
}

/** Keeps the ports of a node's Services, as kube-proxy up to 1.25 did, so that no other process takes them in vain. */
export function createHeldPorts({ config, open, maxSockets, now, onReport }: HeldPortsOptions): HeldPorts {
  const held = new Map<string, { readonly port: HeldPort; readonly socket: PortSocket }>()
  let failures: ReadonlyMap<string, PortFailure> = new Map()
  let turn: Promise<unknown> = Promise.resolve()
  /** One after the other: a retry comes at any time. */
  const inTurn = <Result>(work: () => Promise<Result>): Promise<Result> => {
    const mine = turn.then(work)
    turn = mine.catch(() => undefined)
    return mine
  }
  const isServed = ({ type }: HeldPort, error: unknown): boolean =>
    type === 'nodePort' || config.layout !== 'classic' || codeOf(error) !== 'EADDRINUSE'

  /** Opens what is not held; what fails is in the second list. */
  const openAll = async (ports: Iterable<HeldPort>): Promise<readonly [opened: string[], failed: PortFailure[]]> => {
    const opened: string[] = []
    const failed: PortFailure[] = []
    for (const port of ports) {
      const key = heldPortKey(port)
      if (held.has(key)) continue
      try {
        if (held.size >= maxSockets) throw new Error(tooMany(maxSockets))
        held.set(key, { port, socket: await open(port) })
        opened.push(key)
      } catch (error) {
        const { since = now() } = failures.get(key) ?? {}
        failed.push({ port, since, error: error as Error, isServed: isServed(port, error) })
      }
    }
    return [opened, failed]
  }

  const release = async (keys: Iterable<string>): Promise<void> => {
    for (const key of keys) {
      const { socket } = held.get(key) ?? {}
      held.delete(key)
      await socket?.close()
    }
  }

  const fail = (failed: readonly PortFailure[]): ReadonlyMap<string, PortFailure> => {
    const before = failures
    failures = new Map(failed.map((failure) => [heldPortKey(failure.port), failure]))
    return before
  }

  const report = (before: ReadonlyMap<string, PortFailure>, isChanged: boolean): void => {
    const begun = [...failures].filter(([key]) => !before.has(key)).map(([, failure]) => failure)
    const ended = [...before].filter(([key]) => !failures.has(key)).map(([, failure]) => failure)
    if (!isChanged && begun.length + ended.length === 0) return
    const ports = [...held.values()].map(({ port }) => port)
    onReport({ at: now(), held: ports, failed: [...failures.values()], begun, ended })
  }

  const wantedIn = (state: State, { families, addresses }: HoldingNode): ReadonlyMap<string, HeldPort> =>
    new Map(
      portsToHold(state, { config, families, interfaceAddresses: addresses() }).map((port) => [
        heldPortKey(port),
        port,
      ]),
    )

  async function sync(
    backend: DataplaneBackend,
    node: HoldingNode,
    { request, signal }: { readonly request: SyncRequest; readonly signal: AbortSignal },
  ): Promise<SyncResult> {
    const wanted = wantedIn(request.state, node)
    const [opened, failed] = await openAll(wanted.values())
    const before = fail(failed)
    try {
      const result = await backend.sync(request, signal)
      const gone = [...held.keys()].filter((key) => !wanted.has(key))
      await release(gone)
      report(before, opened.length + gone.length > 0)
      return result
    } catch (error) {
      await release(opened)
      report(before, false)
      throw error
    }
  }

  return {
    unheldExternalIPs: () => [...failures.values()].filter((failure) => !failure.isServed).map(({ port }) => port),
    around: (backend, node) => ({
      ...backend,
      sync: (request, signal) => inTurn(() => sync(backend, node, { request, signal })),
      close: async () => {
        await backend.close()
        await inTurn(() => release([...held.keys()]))
      },
    }),
    retry: () =>
      inTurn(async () => {
        if (failures.size === 0) return false
        const [opened, failed] = await openAll([...failures.values()].map(({ port }) => port))
        const before = fail(failed)
        report(before, opened.length > 0)
        return opened.some((key) => before.get(key)?.isServed === false)
      }),
  }
}

const tooMany = (most: number): string =>
  `${most} ports are held open, the maximum for this limit of open files: raise RLIMIT_NOFILE (ulimit -n)`

/** `node port 30080/TCP of shop/web:http at 0.0.0.0:30080`. */
export function portText({ type, family, protocol, address, port, owners }: HeldPort): string {
  const at = endpointKey({ address: address || (family === 'IPv4' ? '0.0.0.0' : '::'), port })
  const names = owners.map((owner) => displayName(parseServicePortName(owner))).join(', ')
  return `${type === 'nodePort' ? 'node port' : 'external IP'} ${at}/${protocol} of ${names}`
}

/** A sentence for people, without its full stop. */
export const failureText = ({ port, error, isServed }: PortFailure): string =>
  `cannot hold ${portText(port)} open: ${causeOf(error)}; ${
    isServed
      ? 'its rules are programmed, so that packets to it reach the Service'
      : 'its rules are left out, as kube-proxy 1.20 leaves them out, until it can be held'
  }`

const codeOf = (error: unknown): unknown => (error instanceof Error && 'code' in error ? error.code : undefined)

function causeOf(error: Error): string {
  if (codeOf(error) === 'EADDRINUSE') return 'another process listens there (EADDRINUSE)'
  return codeOf(error) === 'EACCES' ? `${error.message}: ports below 1024 require CAP_NET_BIND_SERVICE` : error.message
}

/** What /readyz says of the ports that are held open. */
export interface HeldPortsStatus {
  readonly ok: boolean
  readonly held: number
  /** Ports that cannot be held: the first few. Absent: none. */
  readonly failed?: readonly {
    /** `node port 0.0.0.0:30080/TCP of shop/web:http`. */
    readonly port: string
    readonly since: string
    readonly error: string
    /** False: its rules are left out. */
    readonly served: boolean
  }[]
  readonly failedCount?: number
}

export const heldPortsStatus = ({ held, failed }: HeldPortsReport): HeldPortsStatus => ({
  ok: failed.length === 0,
  held: held.length,
  ...(failed.length > 0 && {
    failed: failed.slice(0, MAX_LISTED).map(({ port, since, error, isServed }) => ({
      port: portText(port),
      since: new Date(since).toISOString(),
      error: causeOf(error),
      served: isServed,
    })),
    failedCount: failed.length,
  }),
})

const MAX_LISTED = 20

/** What the change log keeps of a failure that begins or ends. */
export function portNotices({ at, begun, ended }: HeldPortsReport): readonly Extract<LogEntry, { type: 'notice' }>[] {
  const notice = (code: keyof typeof PORT_NOTICE_CODES, failure: PortFailure, message: string) => {
    const { family, protocol, address, port, type, owners } = failure.port
    const details = { family, protocol, address, port, portType: type, servicePorts: [...owners].slice(0, MAX_OWNERS) }
    return { type: 'notice', observedAt: at, code, message, details } as const
  }
  return [
    ...begun.map((failure) => notice('PORT_TAKEN', failure, failureText(failure))),
    ...ended.map((failure) =>
      notice('PORT_FREE', failure, `${portText(failure.port)} is held open, or no longer needed`),
    ),
  ]
}

/** Notices about ports that the agent holds open. A code is a contract: codes are added, not renamed. */
export const PORT_NOTICE_CODES = {
  PORT_TAKEN: 'a node port, or an external IP of this machine, cannot be held open: another process has the port, say',
  PORT_FREE: 'a port that could not be held open is held now, or no longer needed',
} as const

const MAX_OWNERS = 100
