import { dirname, join } from 'node:path'
import {
  type AgentConfig,
  type Confirmation,
  type ConntrackReport,
  configOfRecord,
  createRecorder,
  createStateFold,
  isEqual,
  type KubernetesObject,
  messageOf,
  OBJECT_KINDS,
  type Recorder,
  storedConfig,
} from '@pointsman/core'
import { refuseOthersLog } from '@pointsman/core/io'
import { asyncScheduler, firstValueFrom, type Observable, retry, Subject, takeUntil, tap } from 'rxjs'
import { type Context, dataplaneOf } from '../context.js'
import { CliError } from '../errors.js'
import type { VariantOptions } from '../input/rules-question.js'
import { endOrphans } from '../dataplanes.js'
import { type AgentMachine, openAgentMachine } from '../machine/open-machine.js'
import { type AgentObservers, createAgentObservers, unusableObject } from './agent-observers.js'
import { postEvents } from './events/post-events.js'
import { createHeldPorts, type HeldPorts, portNotices } from './held-ports.js'
import { descriptorShares } from './http/connection-limit.js'
import { readProcessFigures } from './metrics/agent-metrics.js'
import { openPort } from '../machine/port-sockets.js'
import { startAgentServers } from './agent-servers.js'
import { atMost, followCluster } from './follow-cluster.js'
import { clusterSource, watchedBy } from './cluster-source.js'
import { applyMachineSettings, machineFiles } from './machine-settings.js'
import { agentLog, type AgentLogOpening, beginAgentLog, logSizeOf, retention, sizeLimited } from './open-agent-log.js'
import { observeCluster } from './observe/observe-cluster.js'
import { flowNotices } from './pending-flows.js'
import { type AgentStart, startFromLog, type SyncedStart } from './start-from-log.js'

export interface AgentOptions extends VariantOptions {
  readonly config: AgentConfig
  /** The change log's file. */
  readonly log: string
  readonly nodeName: string
  /** The families were asked for. */
  readonly family?: string | undefined
  /** Addresses that the node's interfaces have, where they are given. */
  readonly nodeAddresses?: readonly string[] | undefined
  /** Of the machine's present boot; absent: not known. */
  readonly bootId?: string | undefined
  /** How old a log's state may be that is brought into force before the API server has confirmed it. */
  readonly maxAgeMs?: number | undefined
  /** Everything is listed again about so often; Infinity: never. */
  readonly relistMs: number
  /** Retention of the log; absent: none. */
  readonly logMaxAgeMs?: number | undefined
  readonly logMaxBytes?: number | undefined
  readonly version: string
  /** Flags in force, by name without dashes. */
  readonly flags: Readonly<Record<string, string>>
  /** What is to be said of the configuration. */
  readonly warnings: readonly string[]
  /** Write nothing but the log: compare the rules that another program writes. */
  readonly observe: boolean
  /** False: without kube-proxy's packet counters, also where they could be had. */
  readonly nfacct?: boolean | undefined
  /** Node ports, and external IPs of this machine, are held open. */
  readonly holdNodePorts: boolean
  /** Kubernetes Events are posted. */
  readonly events: boolean
  /** The machine's name. */
  readonly hostname: string
  /** Emits why the configuration is not what it was: the agent ends, so that it is started again with the new one. */
  readonly configChanged: Observable<string>
}

/**
 * The node agent: follows the API server, records what it says, and keeps the node's rules as that wants them. What a log
 * knows is in force at once, whether or not the API server answers. Settles when the process is asked to end (rules stay, the
 * sync under way is finished); fails with a CliError, ChangeLogError, ApiServerError or IptablesError of one line.
 */
export async function runAgent(options: AgentOptions, context: Context): Promise<void> {
  const { config } = options
  const { now } = context
  const dataplane = dataplaneOf(context, config.proxy)
  const observers = createAgentObservers({ ...options, dataplane }, context)
  const { emit, warn } = observers

  for (const warning of options.warnings) warn(warning)
  // The rules of a node come from its log where the API server is away.
  refuseOthersLog(options.log)
  if (!options.observe) {
    await prepareMachine(config, observers)
    await endLeftProcesses(observers)
  }
  let opening: AgentLogOpening | undefined
  const onIdentified = (): void => void (opening = beginAgentLog(options))
  const onUnusable = (object: KubernetesObject, error: unknown): void => emit(unusableObject(object, error, now()))
  const logged = startFromLog({
    ...options,
    file: options.log,
    backend: dataplane.mode,
    now,
    onWarning: warn,
    onIdentified,
    onUnusable,
  })
  let start: AgentStart | undefined
  let machine: AgentMachine | undefined
  let ports: HeldPorts | undefined
  let noteFlows: (report: ConntrackReport) => void = () => undefined
  // Who probes is answered while the log is read, and while the tables are still being looked at.
  const servers = startAgentServers({
    ...observers,
    config,
    mode: dataplane.mode,
    lastSent: () => machine?.lastSent,
    state: () => (start?.fold ?? NOTHING).state,
    interfaceAddresses: () => machine?.addresses() ?? [],
    build: { version: options.version, runtimeVersion: process.version },
    flags: options.flags,
    observe: options.observe,
    now,
    onWarning: warn,
  })
  observers.listen(servers.on)
  const events = postEvents({ ...options, now: () => performance.now(), onRefused: warn })
  if (options.events) observers.listen(events.on)
  const openMachine = (): Promise<AgentMachine> =>
    openAgentMachine(
      {
        ...options,
        dataplane,
        config: config.proxy,
        formerFronts: () => start?.formerFronts ?? [],
        folder: join(dirname(options.log), '.pointsman-commands'),
        lastSync: logged.lastSync,
        unheldExternalIPs: () => ports?.unheldExternalIPs() ?? [],
        onFamilySync: (report) => emit({ type: 'family', report }),
        onConntrack: (report) => {
          noteFlows(report)
          emit({ type: 'conntrack', report })
        },
      },
      observers.context,
    )
  const over = new Subject<void>()
  const closing: (() => unknown)[] = [() => servers.close(), () => events.close()]
  try {
    let confirmed: Confirmation | undefined
    // Ports that are held open are part of what is in force, and are not held yet.
    if (logged.synced !== undefined && !options.observe && !options.holdNodePorts) {
      emit({ type: 'start', at: now(), fromLog: logged.synced })
      machine = await openMachine()
      confirmed = await confirmLast(logged.synced, { machine, observers, now, signal: context.interrupted })
    }
    start = await logged.read()
    const writer = await agentLog(opening ?? beginAgentLog(options), start, warn)
    const sizeOf = (): Promise<number> => logSizeOf(options.log)
    const { logMaxBytes: maxBytes } = options
    const bounded = maxBytes === undefined ? writer : sizeLimited(writer, { file: options.log, maxBytes, sizeOf })
    const recorder = createRecorder({ log: bounded, stateHead: start.head, patienceMs: LOG_PATIENCE_MS })
    closing.push(() => recorder.close().then(() => writer.close()))
    if (machine === undefined || start.fromLog === undefined)
      emit({ type: 'start', at: now(), ...(start.fromLog && { fromLog: start.fromLog }) })
    recorder.health$.subscribe((health) => emit({ type: 'log', health }))
    recordConfig(start, { recorder, config, now, info: observers.info })

    const pruning = retention(writer, { ...options, sizeOf }, asyncScheduler)
      .pipe(
        tap({ error: (error: unknown) => warn(`pruning the log failed: ${String(error)}`) }),
        retry({ delay: RETENTION_RETRY_MS }),
      )
      .subscribe()
    closing.push(() => pruning.unsubscribe())
    const { kubeconfig, server: master, qps, burst } = config.client
    const source = clusterSource(
      {
        ...options,
        ...start,
        ofOther: 'list',
        server: { kubeconfig, master, otherwise: 'pod', qps, burst },
        // Which data plane is observed is found out later.
        kinds: options.observe ? OBJECT_KINDS : watchedBy(dataplane),
        // As kube-proxies up to 1.20 could.
        endpoints: config.proxy.layout === 'classic',
        // Without a logged state there is nothing to serve meanwhile.
        ...(start.fromLog && { retryMs: KUBECONFIG_RETRY_MS }),
        onRequest: (request) => emit({ type: 'request', request }),
        onWarning: warn,
        ...(options.events && { onConnected: events.connect }),
      },
      context,
    )
    ports = options.holdNodePorts && !options.observe ? heldPorts(config, { emit, recorder, now }) : undefined
    noteFlows = flowNotices({ recorder, now, pending: start.flowsPending })
    const serversFailed = servers.failed.catch(async (error: unknown) => {
      // Who looks for the cause finds it at the Node.
      if (options.events) await atMost(LAST_EVENTS_MS, events.settled())
      throw error
    })
    serversFailed.catch(() => undefined)
    const ends = [serversFailed, endOfConfig(options.configChanged.pipe(takeUntil(over)))]
    const followed = { nodeName: options.nodeName, config: config.proxy, source, start, recorder, observers }
    if (options.observe) {
      await observeCluster({ ...options, ...followed, stop: context.interrupted }, ends)
      observers.info('stopped observing')
      return
    }
    const opened = machine ?? (await openMachine())
    machine = ports === undefined ? opened : { ...opened, backend: ports.around(opened.backend, opened) }
    emit({ type: 'opened', at: now() })
    observers.info(`node ${options.nodeName}, ${machine.families.join(' and ')}, ${machine.description}`)
    await followCluster(
      {
        ...followed,
        machine,
        isCompareDue: confirmed === 'read',
        retryPorts: ports?.retry,
        stop: context.interrupted,
      },
      ends,
    )
    observers.info('stopped: the rules stay in place')
  } catch (error) {
    // Asked to end while the tables were opened.
    if (!context.interrupted.aborted || !isAborted(error)) throw error
  } finally {
    over.next()
    await atMost(CLOSING_MS, Promise.all(closing.map((close) => close())))
  }
}

const NOTHING = createStateFold()

/** Says that rules are in force where that is certain before the objects of the log are read: probes then have their answer seconds sooner. */
async function confirmLast(
  { seq, node }: SyncedStart,
  {
    machine: { backend },
    observers: { emit, warn },
    now,
    signal,
  }: {
    readonly machine: AgentMachine
    readonly observers: Pick<AgentObservers, 'emit' | 'warn'>
    readonly now: () => number
    readonly signal: AbortSignal
  },
): Promise<Confirmation | undefined> {
  try {
    const by = await backend.confirmLast?.(node, signal)
    if (by !== undefined) emit({ type: 'confirmed', at: now(), seq, node, by })
    return by
  } catch (error) {
    if (signal.aborted) throw error
    // The first sync reads the tables, and says what it finds.
    warn(`the rules in force could not be compared with the last sync: ${messageOf(error)}`)
    return undefined
  }
}

function heldPorts(
  { proxy }: AgentConfig,
  { emit, recorder, now }: Pick<AgentObservers, 'emit'> & Pick<ConfigRecording, 'recorder' | 'now'>,
): HeldPorts {
  return createHeldPorts({
    config: proxy,
    open: openPort,
    maxSockets: descriptorShares(readProcessFigures().maxFiles).held,
    now,
    onReport: (report) => {
      emit({ type: 'ports', report })
      for (const notice of portNotices(report)) recorder.put(notice)
    },
  })
}

const isAborted = (error: unknown): boolean => error instanceof Error && 'code' in error && error.code === 'ABORTED'

async function endLeftProcesses({ info, warn }: Pick<AgentObservers, 'info' | 'warn'>): Promise<void> {
  for (const { pid, name, ended } of await endOrphans()) {
    if (ended) info(`ended ${name} (process ${pid}), which an agent that was killed had started`)
    else
      warn(
        `${name} (process ${pid}), which an agent that was killed had started, was killed and has not ended yet: it may still change rules`,
      )
  }
}

async function prepareMachine(config: AgentConfig, { info, warn }: AgentObservers): Promise<void> {
  const { changes, warnings } = await applyMachineSettings(config, machineFiles())
  for (const { path, from, to } of changes) info(`${path}: ${from} -> ${to}`)
  for (const warning of warnings) warn(warning)
}

/** Rejects when the configuration is not what it was any more; settles in no other way. */
async function endOfConfig(changed: Observable<string>): Promise<never> {
  const why = await firstValueFrom(changed, { defaultValue: undefined })
  if (why === undefined) return new Promise<never>(() => undefined)
  throw new CliError('CANNOT', why)
}

interface ConfigRecording extends Pick<AgentObservers, 'info'> {
  readonly recorder: Recorder
  readonly config: AgentConfig
  readonly now: () => number
}

/** Writes the configuration to the log where it is not the one that the log has. */
function recordConfig(start: AgentStart, { recorder, config, now, info }: ConfigRecording): void {
  const proxy: unknown = JSON.parse(JSON.stringify(config.proxy))
  if (isEqual(start.config, proxy)) return
  const { layout } = config.proxy
  const { layout: before, mode } = start.config === undefined ? config.proxy : configOfRecord(start.config)
  if (mode === config.proxy.mode && before !== layout)
    info(`layout ${layout}: the rules of layout ${before}, which the log says were written before, are replaced`)
  recorder.put({ type: 'config', observedAt: now(), config: storedConfig(config.proxy) })
}

/** What an append to the log may take before rules no longer wait for it. */
const LOG_PATIENCE_MS = 200
const CLOSING_MS = 500
const LAST_EVENTS_MS = 5000
const KUBECONFIG_RETRY_MS = 5000
const RETENTION_RETRY_MS = 600_000
