import { type ChildProcess, spawn } from 'node:child_process'
import type { RequestOptions } from 'node:https'
import { resolve } from 'node:path'
import type { User } from '@kubernetes/client-node'
import { isJsonObject } from '../../../model/json-value.js'
import type { Json, JsonObject } from '../../../model/kubernetes-object.js'
import { ApiServerError, type ServerSettings } from './server-settings.js'

/** What a plugin gave. */
export interface PluginCredentials {
  readonly authorization?: string
  readonly tls?: { readonly cert: string; readonly key: string }
}

export interface PluginOptions {
  /** How long a plugin may take; it may wait for a person at a browser. */
  readonly pluginTimeoutMs: number
}

/**
 * The user's credential plugin (`exec`), or OpenID Connect (`auth-provider`), run by client-node, which keeps what it gave until
 * that expires. One run at a time, which all who ask wait for; a program that takes too long, or prints without end, is killed.
 */
export function createPlugin(
  settings: ServerSettings,
  { pluginTimeoutMs }: PluginOptions,
): { current(): Promise<PluginCredentials>; renewed(): Promise<PluginCredentials>; close(): void } {
  const { user, source } = settings
  const subject = `${source}, user ${user.name}`
  const label = user.exec ? `exec ${textOf(user.exec, 'command')}` : 'auth-provider'
  const prepared = preparedUser(settings, subject)
  const fail = (detail: string, cause?: unknown): ApiServerError =>
    new ApiServerError('EXEC_FAILED', { subject, detail: `${label}: ${detail}` }, { cause })

  let plugin: Promise<Authenticator> | undefined
  let running: Promise<PluginCredentials> | undefined
  let hung = 0
  const children = new Set<ChildProcess>()

  const run = async (): Promise<PluginCredentials> => {
    plugin ??= loadPlugin(user, { children, timeoutMs: pluginTimeoutMs })
    const options: RequestOptions & { headers: Record<string, string> } = { headers: {} }
    try {
      await (await plugin).applyAuthentication(prepared, options)
    } catch (error) {
      throw fail(describe(error), error)
    }
    const { Authorization: authorization } = options.headers
    const { cert, key } = options
    const hasPair = typeof cert === 'string' && typeof key === 'string'
    if (authorization === undefined && !hasPair)
      throw fail('it returned neither a token nor a certificate with its key')
    return { ...(authorization === undefined ? {} : { authorization }), ...(hasPair ? { tls: { cert, key } } : {}) }
  }

  const current = (): Promise<PluginCredentials> => {
    const joined = (running ??= run())
    const forget = (): void => {
      if (running === joined) running = undefined
    }
    joined.then(forget, forget)
    return within(pluginTimeoutMs, joined, () => {
      // An OpenID provider that never answers cannot be ended from here: it is left behind, and asked anew, though not for ever.
      if (running === joined && !user.exec && ++hung < MOST_HUNG) {
        running = undefined
        plugin = undefined
      }
      return fail(notEnded(pluginTimeoutMs))
    })
  }

  return {
    current,
    renewed() {
      // A new one has nothing kept.
      if (running === undefined) plugin = undefined
      return current()
    },
    close() {
      for (const child of children) endChild(child)
    },
  }
}

const MOST_HUNG = 100

interface Authenticator {
  applyAuthentication(user: User, options: RequestOptions): Promise<void>
}

async function loadPlugin({ exec }: User, bounds: PluginBounds): Promise<Authenticator> {
  if (exec) {
    const { ExecAuth } = await import('@kubernetes/client-node/dist/exec_auth.js')
    const auth: Authenticator = new ExecAuth()
    return Object.assign(auth, { execFn: boundedSpawn(bounds) })
  }
  // Brings 90 MB along: for those alone who have it.
  return new (await import('@kubernetes/client-node/dist/oidc_auth.js')).OpenIDConnectAuth()
}

interface PluginBounds {
  /** Those that run. */
  readonly children: Set<ChildProcess>
  readonly timeoutMs: number
}

/** `spawn`, of a program that is killed when it takes too long or prints more than a credential can be. */
function boundedSpawn({ children, timeoutMs }: PluginBounds): typeof spawn {
  const bounded = (command: string, args: readonly string[], options: object): ChildProcess => {
    const child: ChildProcess = spawn(command, args, options)
    const { stdout, stderr } = child
    if (!stdout || !stderr) {
      child.on('error', () => undefined)
      throw new Error('it cannot be started: no file descriptors are left (EMFILE), raise RLIMIT_NOFILE (ulimit -n)')
    }
    children.add(child)
    const kill = (why: string): void => {
      child.emit('error', new Error(why))
      endChild(child)
    }
    const timer = setTimeout(() => kill(notEnded(timeoutMs)), timeoutMs)
    child.once('close', () => {
      clearTimeout(timer)
      children.delete(child)
    })
    let length = 0
    for (const stream of [stdout, stderr]) {
      stream.on('data', (text: string | Uint8Array) => {
        length += text.length
        if (length > MAX_OUTPUT) kill(`it prints more than ${MAX_OUTPUT} bytes`)
      })
    }
    return child
  }
  return bounded as typeof spawn
}

const notEnded = (timeoutMs: number): string => `it did not exit within ${timeoutMs / 1000} s`

const MAX_OUTPUT = 1024 * 1024

function endChild(child: ChildProcess): void {
  child.kill('SIGKILL')
  // What it started may hold them open.
  for (const stream of [child.stdin, child.stdout, child.stderr]) stream?.destroy()
}

/** The user as client-node takes it: what client-go hands to a plugin, and client-node does not, stands in its environment. */
function preparedUser({ user, url, cluster, directory }: ServerSettings, subject: string): User {
  const invalid = (detail: string): ApiServerError => new ApiServerError('KUBECONFIG_INVALID', { subject, detail })
  const exec: unknown = user.exec
  if (!exec) {
    const provider: unknown = user.authProvider
    const name = textOf(provider, 'name')
    if (name === 'oidc') return user
    throw invalid(`auth-provider ${name} was removed from Kubernetes: use an exec credential plugin instead`)
  }
  if (!isJsonObject(exec) || typeof exec['command'] !== 'string') throw invalid('exec has no command')
  if (exec['interactiveMode'] === 'Always')
    throw invalid(`exec ${exec['command']} requires a terminal, and there is none`)
  const { command } = exec
  const spec = {
    interactive: false,
    ...(exec['provideClusterInfo'] === true ? { cluster: clusterInfo(url, cluster) } : {}),
  }
  const apiVersion = exec['apiVersion'] ?? 'client.authentication.k8s.io/v1'
  const info = JSON.stringify({ kind: 'ExecCredential', apiVersion, spec })
  return {
    ...user,
    exec: {
      ...exec,
      // A path is relative to the kubeconfig; a name alone is looked for in PATH.
      command: command.includes('/') ? resolve(directory, command) : command,
      args: exec['args'] ?? [],
      env: [
        ...(Array.isArray(exec['env']) ? (exec['env'] as readonly Json[]) : []),
        { name: 'KUBERNETES_EXEC_INFO', value: info },
      ],
    },
  }
}

const clusterInfo = (url: URL, { caData, tlsServerName, skipTLSVerify }: ServerSettings['cluster']): JsonObject => ({
  server: url.href.replace(/\/$/, ''),
  ...(caData ? { 'certificate-authority-data': caData } : {}),
  ...(tlsServerName ? { 'tls-server-name': tlsServerName } : {}),
  ...(skipTLSVerify ? { 'insecure-skip-tls-verify': true } : {}),
})

function textOf(value: unknown, field: string): string {
  const text = isJsonObject(value) ? value[field] : undefined
  return typeof text === 'string' ? text : 'without a name'
}

function describe(error: unknown): string {
  if (error instanceof SyntaxError || error instanceof TypeError) return 'it did not print an ExecCredential'
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  if (code === 'ENOENT') return 'no such program'
  if (code === 'EACCES') return 'permission denied'
  const message = error instanceof Error ? error.message.trim() : String(error)
  return message === '' ? 'it failed without a message' : message.slice(0, MAX_DETAIL)
}

const MAX_DETAIL = 300

async function within<Value>(timeoutMs: number, value: Promise<Value>, late: () => Error): Promise<Value> {
  let timer: NodeJS.Timeout | undefined
  const timedOut = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(late()), timeoutMs)
  })
  try {
    return await Promise.race([value, timedOut])
  } finally {
    clearTimeout(timer)
  }
}
