import { isDeepStrictEqual } from 'node:util'
import type { ApiAnswer, ApiRequest, ApiServer } from '../../../ports/api-server.js'
import { ApiServerError } from './api-server-error.js'
import { createConnectionPool } from './connection-pool.js'
import { createCredentials, type Credentials } from './credentials.js'
import { findServer, SERVICE_ACCOUNT_DIRECTORY } from './find-server.js'
import { proxyOf } from './proxy-of.js'
import { type ReadText, readTextFile } from './read-text-file.js'
import { createRequestLimit } from './request-limit.js'
import { type RequestTimeouts, sendRequest, type SentRequest, type SendOutcome } from './send-request.js'
import type { ServerSettings } from './server-settings.js'

export interface ConnectOptions {
  /** `--kubeconfig`: a file. */
  readonly kubeconfig?: string | undefined
  /** `--context`; default: the current one of the kubeconfig. */
  readonly context?: string | undefined
  /** `--master`: counts before the address in a kubeconfig. */
  readonly master?: string | undefined
  /**
   * Where to look when none is given. `pod`: the service account, as kube-proxy does. `user`: KUBECONFIG, ~/.kube/config, then the
   * service account, as kubectl does.
   */
  readonly otherwise: 'pod' | 'user'
  /** KUBECONFIG, HOME, KUBERNETES_SERVICE_HOST, KUBERNETES_SERVICE_PORT, HTTPS_PROXY, NO_PROXY. */
  readonly env: Readonly<Record<string, string | undefined>>
  readonly userAgent: string
  /** Requests a second that are no watches, and how many at once after a pause. Default: no limit. kube-proxy: 5 and 10. */
  readonly qps?: number
  readonly burst?: number
  /** Told each request once its head, or no answer, has come; one that was aborted is not told. */
  readonly onRequest?: (report: RequestReport) => void
  /** Told what works and should not be as it is, once, in one line. */
  readonly onWarning?: (message: string) => void
  /** Milliseconds, from any beginning. */
  readonly now: () => number
  readonly timeouts?: Partial<RequestTimeouts & { readonly pluginMs: number }>
  readonly serviceAccountDirectory?: string
  readonly read?: ReadText
}

/** `code`: the status, or `<error>` where no answer came, as client-go has it. */
export interface RequestReport {
  readonly method: 'GET'
  /** Host and port. */
  readonly host: string
  readonly code: string
  readonly durationMs: number
}

/**
 * Finds out which API server is meant and how to be let in there, and says nothing to it yet: an agent starts with the server
 * away. Throws an ApiServerError: NO_CONFIGURATION, KUBECONFIG_INVALID, CONTEXT_NOT_FOUND, CREDENTIALS_UNREADABLE. What may
 * change later (token, certificates, what a plugin gives) is looked at anew for each request.
 */
export async function connectApiServer(options: ConnectOptions): Promise<ApiServer> {
  const { onWarning = () => undefined, read = readTextFile, timeouts } = options
  const settings = await findServer({
    ...options,
    read,
    serviceAccountDirectory: options.serviceAccountDirectory ?? SERVICE_ACCOUNT_DIRECTORY,
  })
  const credentials = createCredentials(settings, { read, pluginTimeoutMs: timeouts?.pluginMs ?? 60_000 })
  const proxyUrl = settings.cluster.proxyUrl
  const proxy = proxyOf({ url: settings.url, proxyUrl, env: options.env })
  const pool = createConnectionPool(settings, { proxy })
  pool.agentFor(await credentials.check())
  for (const warning of warningsOf(settings)) onWarning(warning)
  const limit = createRequestLimit({ qps: options.qps ?? 0, burst: options.burst ?? 1, now: options.now })
  const headers = { Accept: 'application/json', 'User-Agent': options.userAgent }
  const limits = { connectMs: timeouts?.connectMs ?? 10_000, headMs: timeouts?.headMs ?? 30_000 }
  const open = new Set<AbortController>()
  let closed = false

  const attempt = async (
    request: ApiRequest,
    { headers: own, tls }: Credentials,
    signal: AbortSignal,
  ): Promise<SendOutcome> => {
    const startedAt = options.now()
    const tell = (code: string): void =>
      options.onRequest?.({ method: 'GET', host: settings.url.host, code, durationMs: options.now() - startedAt })
    const agent = pool.agentFor(tls)
    const lifetime = whileOpen(open, signal)
    const outcome = await sendRequest({
      url: settings.url,
      request,
      headers: { ...headers, ...own },
      agent,
      timeouts: limits,
      ...lifetime,
    })
    tell(outcome.type === 'answer' ? String(outcome.answer.status) : '<error>')
    return outcome
  }

  const ask = async (request: ApiRequest, own: Credentials, signal: AbortSignal): Promise<ApiAnswer> => {
    let outcome = await attempt(request, own, signal)
    if (outcome.type === 'failed') {
      // Other kept connections are likely to be as dead as this one.
      pool.renew()
      if (outcome.stale) outcome = await attempt(request, own, signal)
    }
    if (outcome.type === 'failed') throw outcome.error
    return outcome.answer
  }

  return {
    url: settings.url.origin,
    async get(request, signal) {
      signal.throwIfAborted()
      if (closed) throw closedError(settings)
      if (!isWatch(request)) await orAborted(limit(signal), signal)
      const own = await orAborted(credentials.current(), signal)
      const answer = await ask(request, own, signal)
      if (answer.status !== 401) return answer
      const renewed = await orAborted(credentials.renewed(), signal)
      if (isDeepStrictEqual(renewed, own)) return answer
      await orAborted(
        drain(answer).catch(() => undefined),
        signal,
      )
      return ask(request, renewed, signal)
    },
    async close() {
      closed = true
      credentials.close()
      for (const controller of open) controller.abort(closedError(settings))
      pool.renew()
    },
  }
}

/** A request that ends with the caller's signal, or with the connection as a whole. */
function whileOpen(open: Set<AbortController>, signal: AbortSignal): Pick<SentRequest, 'signal' | 'onEnd'> {
  const controller = new AbortController()
  const abort = (): void => controller.abort(signal.reason)
  open.add(controller)
  signal.addEventListener('abort', abort)
  if (signal.aborted) abort()
  const onEnd = (): void => {
    open.delete(controller)
    signal.removeEventListener('abort', abort)
  }
  return { signal: controller.signal, onEnd }
}

async function orAborted<Value>(value: Promise<Value>, signal: AbortSignal): Promise<Value> {
  let abort: (() => void) | undefined
  const aborted = new Promise<never>((_, reject) => {
    abort = () => reject(signal.reason as Error)
    signal.addEventListener('abort', abort)
  })
  try {
    return await Promise.race([value, aborted])
  } finally {
    if (abort !== undefined) signal.removeEventListener('abort', abort)
  }
}

/** Reads a body that nobody wants, so that its connection is free for the next request. */
async function drain({ body }: ApiAnswer): Promise<void> {
  const chunks = body[Symbol.asyncIterator]()
  const giveUp = (): void => void chunks.return?.()
  const timer = setTimeout(giveUp, DRAIN_MS)
  let bytes = 0
  try {
    for (let next = await chunks.next(); next.done !== true; next = await chunks.next()) {
      bytes += next.value.length
      if (bytes > MAX_DRAINED_BYTES) giveUp()
    }
  } finally {
    clearTimeout(timer)
  }
}

const MAX_DRAINED_BYTES = 64 * 1024
const DRAIN_MS = 2000

const isWatch = ({ query }: ApiRequest): boolean => ['1', 'true'].includes(query['watch'] ?? '')

const closedError = ({ url }: ServerSettings): ApiServerError => new ApiServerError('CLOSED', { subject: url.origin })

function warningsOf({ url, cluster, user, source }: ServerSettings): readonly string[] {
  const hasSecret = Boolean(user.token ?? user.tokenFile ?? user.username ?? user.exec)
  return [
    ...(cluster.skipTLSVerify
      ? [`${source}: insecure-skip-tls-verify is set: whoever is in between can pass for the API server`]
      : []),
    ...(url.protocol === 'http:' && hasSecret
      ? [`${source}: ${url.origin} is plain HTTP: whoever is in between reads the credentials`]
      : []),
  ]
}
