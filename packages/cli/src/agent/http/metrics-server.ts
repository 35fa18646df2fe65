import type { Session } from 'node:inspector/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { escapeControls, type SentInput } from '@pointsman/core'
import { Counter, Gauge, Registry } from 'prom-client'
import type { AgentEvent } from '../agent-event.js'
import type { AgentHealth } from '../health/readiness.js'
import {
  type Answer,
  type Handler,
  type HttpRequest,
  isLoopback,
  jsonAnswer,
  NOT_FOUND,
  type RunningServer,
  type ServerOptions,
  startServer,
  textAnswer,
} from './http-server.js'

/** What the metrics port is asked for, asked anew for each request. */
export interface MetricsServerAnswers {
  readonly registry: Registry
  readonly readyz: AgentHealth['readyz']
  /** kube-proxy's name of the data plane: `iptables`. */
  readonly mode: string
  /** The effective KubeProxyConfiguration. */
  readonly configz: () => unknown
  /** Flags in force, by name without dashes. */
  readonly flagz: () => Readonly<Record<string, string>>
  readonly status: () => Omit<Status, 'paths'>
  /** The last restores that succeeded, and those that failed; none: there was none yet. */
  readonly lastRestores: () => readonly SentInput[]
  readonly lastFailed: () => readonly SentInput[]
  /** enableProfiling: also sets the text log's verbosity, and takes profiles. */
  readonly profiling: boolean
  readonly setVerbosity: (verbosity: number) => void
}

interface MetricsServerOptions extends Omit<ServerOptions, 'name' | 'field' | 'handler'> {
  readonly answers: MetricsServerAnswers
}

/** kube-proxy's metrics port, 10249, with what it serves there, and what only Pointsman has to say. */
export function createMetricsServer(options: MetricsServerOptions): RunningServer {
  const { answers } = options
  return startServer({ ...options, name: 'metrics', field: 'metricsBindAddress', handler: metricsHandler(answers) })
}

export function metricsHandler(answers: MetricsServerAnswers): Handler {
  const slis = createSliMetrics()
  const profiles = createProfiles(answers)
  const ping: Handler = ({ query }) => {
    slis.count()
    return textAnswer(200, query.has('verbose') ? '[+]ping ok\nhealthz check passed\n' : 'ok')
  }
  const routes: Readonly<Record<string, Handler>> = {
    '/metrics': () => metricsAnswer(answers.registry),
    '/metrics/slis': slis.handler,
    '/healthz': ping,
    '/healthz/ping': ping,
    '/proxyMode': () => textAnswer(200, answers.mode),
    '/configz': () => jsonAnswer(200, { 'kubeproxy.config.k8s.io': answers.configz() }),
    '/flagz': () => textAnswer(200, flagzText(answers.flagz())),
    '/statusz': () => textAnswer(200, statuszText({ ...answers.status(), paths: Object.keys(routes) })),
    '/readyz': () => {
      const { status, body } = answers.readyz()
      return jsonAnswer(status, body)
    },
    '/debug/last-restore': (request) => restoreAnswer(request, answers.lastRestores, 'no restore has succeeded yet'),
    '/debug/last-failed': (request) => restoreAnswer(request, answers.lastFailed, 'no restore has failed'),
    '/debug/flags/v': (request) => verbosityAnswer(request, answers),
  }
  return (request) => {
    const { path } = request
    if (path === '/debug/pprof' || path.startsWith('/debug/pprof/')) return profiles(request)
    return routes[path]?.(request) ?? NOT_FOUND
  }
}

/** Rules name what runs in the cluster: for users of this machine. */
function restoreAnswer({ peer }: HttpRequest, restores: () => readonly SentInput[], none: string): Answer {
  if (!isLoopback(peer)) return textAnswer(403, LOCAL_ONLY)
  const sent = restores()
  return sent.length === 0 ? textAnswer(404, `${none}\n`) : textAnswer(200, restoreText(sent))
}

async function verbosityAnswer(
  request: HttpRequest,
  { profiling, setVerbosity }: MetricsServerAnswers,
): Promise<Answer> {
  if (!profiling) return textAnswer(404, PROFILING_OFF)
  if (request.method !== 'PUT') return textAnswer(405, 'PUT a number\n')
  const text = (await request.body()).trim()
  if (!/^\d{1,2}$/.test(text)) return textAnswer(400, `not a verbosity such as 4: ${JSON.stringify(text)}\n`)
  setVerbosity(Number(text))
  return textAnswer(200, `successfully set verbosity to ${text}`)
}

/** The profiles that an agent takes of itself while it works, by their path below /debug/pprof/. */
const PROFILES: ReadonlyMap<string, { readonly file: string; readonly take: (ms: number) => Promise<object> }> =
  new Map([
    [
      'profile',
      {
        file: 'pointsman.cpuprofile',
        take: (ms) =>
          inspected(async (session) => {
            await session.post('Profiler.enable')
            await session.post('Profiler.start')
            await sleep(ms)
            return (await session.post('Profiler.stop')).profile
          }),
      },
    ],
    [
      'heap',
      {
        file: 'pointsman.heapprofile',
        take: (ms) =>
          inspected(async (session) => {
            await session.post('HeapProfiler.startSampling', { samplingInterval: 16_384 })
            await sleep(ms)
            return (await session.post('HeapProfiler.stopSampling')).profile
          }),
      },
    ],
  ])

const DEFAULT_PROFILE_SECONDS = 10
const MOST_PROFILE_SECONDS = 60

/**
 * The main thread's CPU profile, or its sampled allocations that are still alive, of the next `seconds`, in the formats of Chrome's
 * developer tools. One at a time; only for this machine, because names of functions and files of the agent are in it.
 */
function createProfiles({ profiling }: MetricsServerAnswers): Handler {
  let isTaken = false
  return async ({ path, query, peer }) => {
    if (!profiling) return textAnswer(404, PROFILING_OFF)
    if (!isLoopback(peer)) return textAnswer(403, LOCAL_ONLY)
    const wanted = PROFILES.get(path.slice('/debug/pprof/'.length))
    if (wanted === undefined) return textAnswer(404, `profiles: ${[...PROFILES.keys()].join(', ')}\n`)
    const text = query.get('seconds') ?? String(DEFAULT_PROFILE_SECONDS)
    const seconds = Number(text)
    if (!/^\d{1,3}$/.test(text) || seconds < 1 || seconds > MOST_PROFILE_SECONDS)
      return textAnswer(400, `seconds has to be a number from 1 to ${MOST_PROFILE_SECONDS}\n`)
    if (isTaken) return textAnswer(409, 'a profile is being taken: wait until it ends\n')
    isTaken = true
    try {
      const profile = await wanted.take(seconds * 1000)
      const { body, ...answer } = jsonAnswer(200, profile)
      const headers = { ...answer.headers, 'Content-Disposition': `attachment; filename="${wanted.file}"` }
      return { ...answer, headers, body }
    } finally {
      isTaken = false
    }
  }
}

/** Asks V8's own inspector in this process, without a port. */
async function inspected(ask: (session: Session) => Promise<object>): Promise<object> {
  const { Session: InspectorSession } = await import('node:inspector/promises')
  const session = new InspectorSession()
  session.connect()
  try {
    return await ask(session)
  } finally {
    session.disconnect()
  }
}

const LOCAL_ONLY = 'only available from this machine: use 127.0.0.1\n'
const PROFILING_OFF = 'profiling is off: set enableProfiling\n'

/** Kubernetes' z-pages: for eyes, without any promise about their form. */
const WARNING =
  'Warning: This page is for debugging. It has no fixed format, and may change from one version to the next.\n'

/** The flags in force, by name. */
function flagzText(flags: Readonly<Record<string, string>>): string {
  const lines = Object.keys(flags)
    .toSorted()
    .map((name) => `${escapeControls(`${name}=${flags[name] ?? ''}`)}\n`)
  return `\npointsman flagz\n${WARNING}\n${lines.join('')}`
}

interface Status {
  readonly version: string
  /** What runs it: `v20.20.2`. */
  readonly runtimeVersion: string
  /** Milliseconds since 1970 UTC. */
  readonly startedAt: number
  readonly now: number
  readonly paths: readonly string[]
}

function statuszText({ version, runtimeVersion, startedAt, now, paths }: Status): string {
  const seconds = Math.max(0, Math.floor((now - startedAt) / 1000))
  const pad = (value: number): string => String(value).padStart(2, '0')
  const up = `${Math.floor(seconds / 3600)} hr ${pad(Math.floor(seconds / 60) % 60)} min ${pad(seconds % 60)} sec`
  return [
    '',
    'pointsman statusz',
    WARNING,
    `Started: ${new Date(startedAt).toUTCString()}`,
    `Up: ${up}`,
    `Node version: ${runtimeVersion}`,
    `Binary version: ${version}`,
    '',
    `Paths: ${paths.toSorted().join(' ')}`,
    '',
  ].join('\n')
}

/** kube-proxy's service-level indicators: how its own health check was answered, in a registry of their own. */
interface SliMetrics {
  /** The check was made, and good. */
  readonly count: () => void
  /** Answers with the metrics; DELETE makes them begin anew. */
  readonly handler: Handler
}

function createSliMetrics(): SliMetrics {
  const registry = new Registry()
  const registers = [registry]
  const last = new Gauge({
    name: 'kubernetes_healthcheck',
    help: '1 if the last health check succeeded, else 0.',
    labelNames: ['name', 'type'] as const,
    registers,
  })
  const all = new Counter({
    name: 'kubernetes_healthchecks_total',
    help: 'Number of health checks by status.',
    labelNames: ['name', 'status', 'type'] as const,
    registers,
  })
  return {
    count() {
      last.set({ name: 'ping', type: 'healthz' }, 1)
      all.inc({ name: 'ping', status: 'success', type: 'healthz' })
    },
    async handler({ method }) {
      if (method !== 'DELETE') return metricsAnswer(registry)
      registry.resetMetrics()
      return textAnswer(200, 'metrics reset\n')
    },
  }
}

const metricsAnswer = async (registry: Registry) => ({
  status: 200,
  headers: { 'Content-Type': registry.contentType },
  body: await registry.metrics(),
})

/** What the tool can read again; what else there is to say stands in comments. */
export function restoreText(restores: readonly SentInput[]): string {
  return restores
    .map(({ family, at, lines, error }) => {
      const said = [`${family}, sent at ${new Date(at).toISOString()}`, ...(error?.split('\n') ?? [])]
      return [...said.map((line) => `# ${line}`), ...lines, ''].join('\n')
    })
    .join('\n')
}

interface HealthServerOptions extends Omit<ServerOptions, 'name' | 'field' | 'handler'> {
  readonly health: Pick<AgentHealth, 'healthz' | 'livez'>
  /** Told of each answer. */
  readonly onProbe: (event: Extract<AgentEvent, { type: 'probe' }>) => void
}

/** kube-proxy's health port, 10256: for load balancers, and for the kubelet. */
export function createHealthServer(options: HealthServerOptions): RunningServer {
  return startServer({ ...options, name: 'health', field: 'healthzBindAddress', handler: healthHandler(options) })
}

function healthHandler({ health, onProbe }: Pick<HealthServerOptions, 'health' | 'onProbe'>): Handler {
  return ({ path }) => {
    const probe = PROBES[path]
    if (probe === undefined) return NOT_FOUND
    const { status, body } = health[probe]()
    onProbe({ type: 'probe', path: probe, status })
    return jsonAnswer(status, body)
  }
}

const PROBES: Readonly<Record<string, 'healthz' | 'livez'>> = { '/healthz': 'healthz', '/livez': 'livez' }
