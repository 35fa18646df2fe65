import { type ChildProcess, spawn } from 'node:child_process'
import { resolve } from 'node:path'
import { isJsonObject } from '../../../model/json-value.js'
import type { JsonObject } from '../../../model/kubernetes-object.js'
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
 * The user's credential plugin (`exec`): what it gives is kept until that expires. One run at a time, which all who ask wait for; a
 * program that takes too long, or prints without end, is killed.
 */
export function createPlugin(
  settings: ServerSettings,
  { pluginTimeoutMs }: PluginOptions,
): { current(): Promise<PluginCredentials>; renewed(): Promise<PluginCredentials>; close(): void } {
  const { user, source } = settings
  const subject = `${source}, user ${user.name}`
  const program = programOf(settings, subject)
  const fail = (detail: string, cause?: unknown): ApiServerError =>
    new ApiServerError('EXEC_FAILED', { subject, detail: `exec ${textOf(user.exec, 'command')}: ${detail}` }, { cause })

  let kept: (PluginCredentials & { readonly expiresAt?: number }) | undefined
  let running: Promise<PluginCredentials> | undefined
  const children = new Set<ChildProcess>()

  const run = async (): Promise<PluginCredentials> => {
    try {
      kept = credentialsIn(await outputOf(program, { children, timeoutMs: pluginTimeoutMs }))
      return kept
    } catch (error) {
      throw fail(describe(error), error)
    }
  }

  const current = (): Promise<PluginCredentials> => {
    if (kept !== undefined && (kept.expiresAt === undefined || kept.expiresAt > Date.now()))
      return Promise.resolve(kept)
    const joined = (running ??= run())
    const forget = (): void => {
      if (running === joined) running = undefined
    }
    joined.then(forget, forget)
    return joined
  }

  return {
    current,
    renewed() {
      if (running === undefined) kept = undefined
      return current()
    },
    close() {
      for (const child of children) endChild(child)
    },
  }
}

interface Program {
  readonly command: string
  readonly args: readonly string[]
  readonly env: NodeJS.ProcessEnv
}

interface PluginBounds {
  /** Those that run. */
  readonly children: Set<ChildProcess>
  readonly timeoutMs: number
}

/** What a program prints. It is killed when it takes too long or prints more than a credential can be. */
function outputOf({ command, args, env }: Program, { children, timeoutMs }: PluginBounds): Promise<string> {
  return new Promise((resolve, reject) => {
    const child: ChildProcess = spawn(command, args, { env })
    const { stdout, stderr } = child
    if (!stdout || !stderr) {
      child.on('error', () => undefined)
      throw new Error('it cannot be started: no file descriptors are left (EMFILE), raise RLIMIT_NOFILE (ulimit -n)')
    }
    children.add(child)
    const kill = (why: string): void => {
      reject(new Error(why))
      endChild(child)
    }
    const timer = setTimeout(() => kill(notEnded(timeoutMs)), timeoutMs)
    let length = 0
    const texts = [stdout, stderr].map((stream) => {
      const parts: Buffer[] = []
      stream.on('data', (bytes: Buffer) => {
        length += bytes.length
        if (length > MAX_OUTPUT) return kill(`it prints more than ${MAX_OUTPUT} bytes`)
        parts.push(bytes)
      })
      return (): string => Buffer.concat(parts).toString('utf8')
    })
    child.on('error', reject)
    child.once('close', (code) => {
      clearTimeout(timer)
      children.delete(child)
      const [printed = '', complaint = ''] = texts.map((text) => text())
      if (code === 0) resolve(printed)
      else reject(new Error(complaint))
    })
  })
}

/** Reads an ExecCredential. Throws a TypeError where it is none. */
function credentialsIn(printed: string): PluginCredentials & { readonly expiresAt?: number } {
  const credential: unknown = JSON.parse(printed)
  const status = isJsonObject(credential) ? credential['status'] : undefined
  if (!isJsonObject(status)) throw new TypeError('no status')
  const { token, clientCertificateData: cert, clientKeyData: key, expirationTimestamp } = status
  const hasToken = typeof token === 'string' && token !== ''
  const hasPair = typeof cert === 'string' && typeof key === 'string'
  if (!hasToken && !hasPair) throw new Error('it returned neither a token nor a certificate with its key')
  const expiresAt = typeof expirationTimestamp === 'string' ? Date.parse(expirationTimestamp) : Number.NaN
  return {
    ...(hasToken && { authorization: `Bearer ${token}` }),
    ...(hasPair && { tls: { cert, key } }),
    ...(!Number.isNaN(expiresAt) && { expiresAt }),
  }
}

const notEnded = (timeoutMs: number): string => `it did not exit within ${timeoutMs / 1000} s`

const MAX_OUTPUT = 1024 * 1024

function endChild(child: ChildProcess): void {
  child.kill('SIGKILL')
  // What it started may hold them open.
  for (const stream of [child.stdin, child.stdout, child.stderr]) stream?.destroy()
}

/** The program with what client-go hands to a plugin in its environment. */
function programOf({ user, url, cluster, directory }: ServerSettings, subject: string): Program {
  const invalid = (detail: string): ApiServerError => new ApiServerError('KUBECONFIG_INVALID', { subject, detail })
  const exec: unknown = user.exec
  if (!isJsonObject(exec) || typeof exec['command'] !== 'string') throw invalid('exec has no command')
  if (exec['interactiveMode'] === 'Always')
    throw invalid(`exec ${exec['command']} requires a terminal, and there is none`)
  const { command, args, env } = exec
  const spec = {
    interactive: false,
    ...(exec['provideClusterInfo'] === true ? { cluster: clusterInfo(url, cluster) } : {}),
  }
  const apiVersion = exec['apiVersion'] ?? 'client.authentication.k8s.io/v1'
  const given = (Array.isArray(env) ? env : []).filter(isJsonObject)
  return {
    // A path is relative to the kubeconfig; a name alone is looked for in PATH.
    command: command.includes('/') ? resolve(directory, command) : command,
    args: (Array.isArray(args) ? args : []).filter((arg) => typeof arg === 'string'),
    env: {
      ...process.env,
      ...Object.fromEntries(
        given.flatMap(({ name, value }) =>
          typeof name === 'string' && typeof value === 'string' ? [[name, value]] : [],
        ),
      ),
      KUBERNETES_EXEC_INFO: JSON.stringify({ kind: 'ExecCredential', apiVersion, spec }),
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
