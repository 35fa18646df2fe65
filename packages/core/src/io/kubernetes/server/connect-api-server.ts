import { messageOf } from '../../../model/language.js'
import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import { setTimeout as sleep } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import type { ApiAnswer, ApiRequest, ApiServer, ApiWrite, ApiWriter } from '../../../ports/api-server.js'
import { parseJson, readStatus } from '../answer.js'
import { ApiServerError, type ReadText, readTextFile, type ServerSettings } from './server-settings.js'
import {
  createCredentials,
  type Credentials,
  type CredentialSource,
  secureContextOf,
  type ServerAccess,
  type TlsMaterial,
} from './credentials.js'
import { findServer, SERVICE_ACCOUNT_DIRECTORY } from './find-server.js'
import { isSocks, proxyOf, throughProxy } from './proxy-tunnel.js'
import { type RequestTimeouts, type SendOutcome, sendRequest, type SentRequest } from './send-request.js'

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
  /**
   * `lean` (default): less memory and a faster start; where the kubeconfig has a SOCKS proxy or an auth-provider, client-node is used
   * none the less. `client-node`: its KubeConfig in any case.
   */
  readonly client?: 'lean' | 'client-node'
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
  readonly method: 'GET' | ApiWrite['method']
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
export async function connectApiServer(options: ConnectOptions): Promise<ApiServer & ApiWriter> {
  const { onWarning = () => undefined, read = readTextFile, timeouts } = options
  const settings = await findServer({
    ...options,
    read,
    serviceAccountDirectory: options.serviceAccountDirectory ?? SERVICE_ACCOUNT_DIRECTORY,
  })
  const pluginTimeoutMs = timeouts?.pluginMs ?? 60_000
  const credentials = createCredentials(settings, { read, pluginTimeoutMs })
  const proxyUrl = settings.cluster.proxyUrl
  const named = proxyOf({ url: settings.url, proxyUrl, env: options.env })
  const proxy = named === undefined ? undefined : checkedProxy(named, settings)
  const access = isLean(options, settings, proxy)
    ? createLeanAccess(settings, credentials, proxy)
    : (await import('./client-node-access.js')).createClientNodeAccess(settings, credentials, {
        proxy,
        timeoutMs: pluginTimeoutMs,
      })
  await access.check()
  for (const warning of warningsOf(settings)) onWarning(warning)
  const limit = createRequestLimit({ qps: options.qps ?? 0, burst: options.burst ?? 1, now: options.now })
  const headers = { Accept: 'application/json', 'User-Agent': options.userAgent }
  const limits = { connectMs: timeouts?.connectMs ?? 10_000, headMs: timeouts?.headMs ?? 30_000 }
  const open = new Set<AbortController>()
  let closed = false

  const attempt = async (
    request: ApiRequest | ApiWrite,
    { headers: own, tls }: Credentials,
    signal: AbortSignal,
  ): Promise<SendOutcome> => {
    const startedAt = options.now()
    const method = 'method' in request ? request.method : 'GET'
    const tell = (code: string): void =>
      options.onRequest?.({ method, host: settings.url.host, code, durationMs: options.now() - startedAt })
    const agent = await access.agentFor({ tls })
    const lifetime = whileOpen(open, signal)
    const outcome = await sendRequest({
      url: settings.url,
      request,
      headers: { ...headers, ...own },
      agent,
      timeouts: limits,
      ...lifetime,
      // Other kept connections are likely to be as dead as this one.
      onBroken: () => access.renew(),
    })
    tell(outcome.type === 'answer' ? String(outcome.answer.status) : '<error>')
    return outcome
  }

  const ask = async (request: ApiRequest | ApiWrite, own: Credentials, signal: AbortSignal): Promise<ApiAnswer> => {
    let outcome = await attempt(request, own, signal)
    if (outcome.type === 'failed') {
      access.renew()
      if (outcome.stale) outcome = await attempt(request, own, signal)
    }
    if (outcome.type === 'failed') throw outcome.error
    return outcome.answer
  }

  const askAsUser = async (request: ApiRequest | ApiWrite, signal: AbortSignal): Promise<ApiAnswer> => {
    signal.throwIfAborted()
    if (closed) throw closedError(settings)
    if ('query' in request && !isWatch(request)) await orAborted(limit(signal), signal)
    const own = await orAborted(access.current(), signal)
    const answer = await ask(request, own, signal)
    if (answer.status !== 401) return answer
    const renewed = await orAborted(access.renewed(), signal)
    if (isDeepStrictEqual(renewed, own)) return answer
    await orAborted(
      drain(answer).catch(() => undefined),
      signal,
    )
    return ask(request, renewed, signal)
  }

  return {
    url: settings.url.origin,
    get: askAsUser,
    async write(request, signal) {
      const answer = await askAsUser(request, signal)
      const body = await orAborted(
        drain(answer).catch(() => Buffer.alloc(0)),
        signal,
      )
      const parsed = answer.status < 400 ? {} : parseJson(body)
      return { status: answer.status, message: 'value' in parsed ? readStatus(parsed.value).message : '' }
    },
    async close() {
      closed = true
      access.close()
      for (const controller of open) controller.abort(closedError(settings))
      access.renew()
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

/** Reads a short body to its end, so that its connection is free for the next request. */
async function drain({ body }: ApiAnswer): Promise<Buffer> {
  const chunks = body[Symbol.asyncIterator]()
  const giveUp = (): void => void chunks.return?.()
  const timer = setTimeout(giveUp, DRAIN_MS)
  const parts: Uint8Array[] = []
  let bytes = 0
  try {
    for (let next = await chunks.next(); next.done !== true; next = await chunks.next()) {
      parts.push(next.value)
      bytes += next.value.length
      if (bytes > MAX_DRAINED_BYTES) giveUp()
    }
  } finally {
    clearTimeout(timer)
  }
  return Buffer.concat(parts)
}

const MAX_DRAINED_BYTES = 64 * 1024
const DRAIN_MS = 2000

const isWatch = ({ query }: ApiRequest): boolean => ['1', 'true'].includes(query['watch'] ?? '')

const closedError = ({ url }: ServerSettings): ApiServerError => new ApiServerError('CLOSED', { subject: url.origin })

function warningsOf({ url, cluster, user, source }: ServerSettings): readonly string[] {
  const hasSecret = Boolean(user.token ?? user.tokenFile ?? user.username ?? user.exec)
  return [
    ...(cluster.skipTLSVerify
      ? [`${source}: insecure-skip-tls-verify is set: the API server's identity is not verified`]
      : []),
    ...(url.protocol === 'http:' && hasSecret
      ? [`${source}: ${url.origin} is plain HTTP: credentials are sent unencrypted`]
      : []),
  ]
}

interface RequestLimit {
  /** Requests a second, over a long time. */
  readonly qps: number
  /** So many at once after a pause. */
  readonly burst: number
  /** Milliseconds, from any beginning. */
  readonly now: () => number
  readonly wait?: (ms: number, signal: AbortSignal) => Promise<unknown>
}

/** Resolves when the next request may be made, in the order of the calls; rejects when the signal is aborted. No limit where `qps` is 0 or less. */
export function createRequestLimit({
  qps,
  burst,
  now,
  wait = (ms, signal) => sleep(ms, undefined, { signal }),
}: RequestLimit): (signal: AbortSignal) => Promise<void> {
  if (qps <= 0) return async () => undefined
  let tokens = Math.max(1, burst)
  let countedAt = now()
  return async (signal) => {
    const time = now()
    tokens = Math.min(Math.max(1, burst), tokens + (Math.max(0, time - countedAt) * qps) / 1000)
    countedAt = time
    // Below zero: those who came before have taken what is still to come.
    tokens -= 1
    if (tokens >= 0) return
    try {
      await wait((-tokens * 1000) / qps, signal)
    } catch (error) {
      tokens += 1
      signal.throwIfAborted()
      throw error
    }
  }
}

const isLean = ({ client }: ConnectOptions, { user }: ServerSettings, proxy: URL | undefined): boolean =>
  client !== 'client-node' && !user.authProvider && !(proxy !== undefined && isSocks(proxy))

/** Access in 3 MB: connections are kept for the next request, and made anew when certificates or keys are. */
function createLeanAccess(
  { url, cluster, source }: ServerSettings,
  credentials: CredentialSource,
  proxy: URL | undefined,
): ServerAccess {
  const options = { keepAlive: true, scheduling: 'lifo' } as const
  let current: { readonly material: TlsMaterial; readonly agent: HttpAgent } | undefined

  const replace = (material: TlsMaterial, agent: HttpAgent): HttpAgent => {
    if (current !== undefined) retire(current.agent)
    current = { material, agent }
    return agent
  }

  const connect = (material: TlsMaterial): HttpAgent => {
    if (url.protocol === 'http:') return new HttpAgent(options)
    const agent = new HttpsAgent({
      ...options,
      secureContext: secureContextOf(material),
      rejectUnauthorized: !cluster.skipTLSVerify,
      ...(cluster.tlsServerName ? { servername: cluster.tlsServerName } : {}),
    })
    return proxy === undefined ? agent : throughProxy(agent, proxy)
  }

  const agentFor = async (material: TlsMaterial): Promise<HttpAgent> => {
    if (current !== undefined && isSame(current.material, material)) return current.agent
    try {
      return replace(material, connect(material))
    } catch (error) {
      // A certificate and its key are two files: between their exchange the old pair goes on.
      if (current !== undefined) return current.agent
      const detail = messageOf(error)
      throw new ApiServerError(
        'CREDENTIALS_UNREADABLE',
        { subject: `${source}, certificates`, detail },
        { cause: error },
      )
    }
  }

  return {
    current: () => credentials.current(),
    renewed: () => credentials.renewed(),
    async check() {
      await agentFor(await credentials.check())
    },
    agentFor: ({ tls }) => agentFor(tls),
    renew() {
      if (current !== undefined) replace(current.material, connect(current.material))
    },
    close: () => credentials.close(),
  }
}

function checkedProxy(proxy: string, { url, source }: Pick<ServerSettings, 'url' | 'source'>): URL {
  const invalid = (detail: string): ApiServerError =>
    new ApiServerError('KUBECONFIG_INVALID', { subject: source, detail })
  const proxyUrl = URL.canParse(proxy) ? new URL(proxy) : undefined
  if (proxyUrl === undefined || !(['http:', 'https:'].includes(proxyUrl.protocol) || isSocks(proxyUrl)))
    throw invalid(
      proxyUrl === undefined
        ? 'the proxy is not a URL'
        : `a proxy ${proxyUrl.protocol}// is not supported: use an HTTP, HTTPS or SOCKS proxy`,
    )
  if (url.protocol === 'http:') throw invalid('a proxy requires an https:// server')
  return proxyUrl
}

/** Leaves alone what is under way; what comes free ends. */
function retire(agent: HttpAgent): void {
  agent.maxFreeSockets = 0
  for (const sockets of Object.values(agent.freeSockets)) for (const socket of sockets ?? []) socket.destroy()
}

const isSame = (a: TlsMaterial, b: TlsMaterial): boolean => a.ca === b.ca && a.cert === b.cert && a.key === b.key
