import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import { createSecureContext } from 'node:tls'
import { ApiServerError } from './api-server-error.js'
import type { TlsMaterial } from './credentials.js'
import type { ServerSettings } from './server-settings.js'
import { throughProxy } from './tunnel.js'

/** Connections that are kept for the next request; made anew when certificates or keys are. */
export interface ConnectionPool {
  /** Throws CREDENTIALS_UNREADABLE where the material cannot be used and none could before. */
  agentFor(material: TlsMaterial): HttpAgent
  /** Ends connections that wait for a request; the next one makes its own. */
  renew(): void
}

/** `proxy`: see `proxyOf`. Throws KUBECONFIG_INVALID where it is none that can be used. */
export function createConnectionPool(
  { url, cluster, source }: ServerSettings,
  { proxy }: { readonly proxy?: string | undefined } = {},
): ConnectionPool {
  const proxyUrl = proxy === undefined ? undefined : checkedProxy(proxy, { url, source })
  const options = { keepAlive: true, keepAliveMsecs: KEEP_ALIVE_MS, scheduling: 'lifo' } as const
  let current: { readonly material: TlsMaterial; readonly agent: HttpAgent } | undefined

  const replace = (material: TlsMaterial, agent: HttpAgent): HttpAgent => {
    if (current !== undefined) retire(current.agent)
    current = { material, agent }
    return agent
  }

  const connect = (material: TlsMaterial): HttpAgent => {
    if (url.protocol === 'http:') return new HttpAgent(options)
    checkMaterial(material)
    const agent = new HttpsAgent({
      ...options,
      secureContext: createSecureContext(material),
      rejectUnauthorized: !cluster.skipTLSVerify,
      ...(cluster.tlsServerName ? { servername: cluster.tlsServerName } : {}),
    })
    return proxyUrl === undefined ? agent : throughProxy(agent, proxyUrl)
  }

  return {
    agentFor(material) {
      if (current !== undefined && isSame(current.material, material)) return current.agent
      try {
        return replace(material, connect(material))
      } catch (error) {
        // A certificate and its key are two files: between their exchange the old pair goes on.
        if (current !== undefined) return current.agent
        const detail = error instanceof Error ? error.message : String(error)
        throw new ApiServerError(
          'CREDENTIALS_UNREADABLE',
          { subject: `${source}, certificates`, detail },
          { cause: error },
        )
      }
    },
    renew() {
      if (current !== undefined) replace(current.material, connect(current.material))
    },
  }
}

function checkedProxy(proxy: string, { url, source }: Pick<ServerSettings, 'url' | 'source'>): URL {
  const invalid = (detail: string): ApiServerError =>
    new ApiServerError('KUBECONFIG_INVALID', { subject: source, detail })
  const proxyUrl = URL.canParse(proxy) ? new URL(proxy) : undefined
  if (proxyUrl === undefined || !['http:', 'https:'].includes(proxyUrl.protocol))
    throw invalid(`the proxy ${proxyUrl?.origin ?? proxy} is none that speaks HTTP or HTTPS: no other is known here`)
  if (url.protocol === 'http:') throw invalid('through a proxy only servers that speak HTTPS are reached')
  return proxyUrl
}

/** As client-go: a connection whose other side is gone without a word is found out. */
const KEEP_ALIVE_MS = 30_000

/** Leaves alone what is under way; what comes free ends. */
function retire(agent: HttpAgent): void {
  agent.maxFreeSockets = 0
  for (const sockets of Object.values(agent.freeSockets)) for (const socket of sockets ?? []) socket.destroy()
}

/** What OpenSSL takes in silence, and then trusts nobody or shows nothing. */
function checkMaterial({ ca, cert, key }: TlsMaterial): void {
  if (ca !== undefined && !ca.includes('-----BEGIN'))
    throw new Error('certificate-authority holds no certificate (PEM)')
  if ((cert === undefined) !== (key === undefined))
    throw new Error('client-certificate and client-key are given together or not at all')
}

const isSame = (a: TlsMaterial, b: TlsMaterial): boolean => a.ca === b.ca && a.cert === b.cert && a.key === b.key
