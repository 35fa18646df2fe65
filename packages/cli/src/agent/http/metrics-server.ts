import type { SentInput } from '@pointsman/core'
import type { Registry } from 'prom-client'
import type { AgentHealth } from '../health/agent-health.js'
import { type Answer, type Handler, type HttpRequest, jsonAnswer, NOT_FOUND, textAnswer } from './answer.js'
import { isLoopback } from './loopback.js'
import { restoreText } from './restore-text.js'
import { createSliMetrics, metricsAnswer } from './sli-metrics.js'
import { type RunningServer, type ServerOptions, startServer } from './start-server.js'
import { flagzText, type Status, statuszText } from './zpages.js'

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
  /** enableProfiling: also sets the text log's verbosity. */
  readonly profiling: boolean
  readonly setVerbosity: (verbosity: number) => void
}

export interface MetricsServerOptions extends Omit<ServerOptions, 'name' | 'field' | 'handler'> {
  readonly answers: MetricsServerAnswers
}

/** kube-proxy's metrics port, 10249, with what it serves there, and what only Pointsman has to say. */
export function createMetricsServer(options: MetricsServerOptions): RunningServer {
  const { answers } = options
  return startServer({ ...options, name: 'metrics', field: 'metricsBindAddress', handler: metricsHandler(answers) })
}

export function metricsHandler(answers: MetricsServerAnswers): Handler {
  const slis = createSliMetrics()
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
    if (path === '/debug/pprof' || path.startsWith('/debug/pprof/')) return pprofAnswer(answers)
    return routes[path]?.(request) ?? NOT_FOUND
  }
}

/** Rules name what runs in the cluster: for whoever is on the machine. */
function restoreAnswer({ peer }: HttpRequest, restores: () => readonly SentInput[], none: string): Answer {
  if (!isLoopback(peer)) return textAnswer(403, 'only available from this machine: use 127.0.0.1\n')
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

const pprofAnswer = ({ profiling }: MetricsServerAnswers): Answer =>
  textAnswer(
    404,
    profiling
      ? 'Pointsman runs on Node.js, which has no pprof: send SIGUSR1 to the process and attach a profiler to its inspector\n'
      : PROFILING_OFF,
  )

const PROFILING_OFF = 'profiling is off: set enableProfiling\n'
