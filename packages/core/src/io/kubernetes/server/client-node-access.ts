import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent, type RequestOptions } from 'node:https'
import { checkServerIdentity } from 'node:tls'
import { isDeepStrictEqual } from 'node:util'
import { KubeConfig } from '@kubernetes/client-node'
import { isJsonObject } from '../../../model/json-value.js'
import { messageOf } from '../../../model/language.js'
import { parseJson } from '../answer.js'
import { type Credentials, type CredentialSource, type ServerAccess, type TlsMaterial, usable } from './credentials.js'
import { isSocks, throughProxy } from './proxy-tunnel.js'
import { ApiServerError, isHeaderText, type ServerSettings } from './server-settings.js'

interface ClientNodeOptions {
  readonly proxy?: URL | undefined
  /** How long an OpenID provider may take. */
  readonly timeoutMs: number
}

/**
 * Access by client-node's `KubeConfig`: TLS, SOCKS proxies, tokens, passwords and OpenID Connect are its own. `credentials` reads files and
 * runs plugins, and HTTP proxies are asked by `throughProxy`: client-node blocks on files and puts no limit on a plugin or a proxy
 * (docs/adr/0005-kubeconfig-without-the-client.md).
 */
export function createClientNodeAccess(
  settings: ServerSettings,
  credentials: CredentialSource,
  { proxy, timeoutMs }: ClientNodeOptions,
): ServerAccess {
  const { user, source, url, cluster } = settings
  let kept: Configured | undefined
  let running: Promise<RequestOptions> | undefined
  let hung = 0

  const configFor = (tls: TlsMaterial): Configured => {
    if (kept !== undefined && isDeepStrictEqual(kept.tls, tls)) return kept
    try {
      kept = configured(settings, {
        tls: url.protocol === 'http:' ? {} : usable(tls),
        socks: proxy !== undefined && isSocks(proxy) ? proxy : undefined,
      })
    } catch (error) {
      // A certificate and its key are two files: between their exchange the old pair goes on.
      if (kept !== undefined) return kept
      throw new ApiServerError(
        'CREDENTIALS_UNREADABLE',
        { subject: `${source}, certificates`, detail: messageOf(error) },
        { cause: error },
      )
    }
    return kept
  }

  const failed = (detail: string, cause?: unknown): ApiServerError =>
    new ApiServerError(
      'OIDC_FAILED',
      { subject: `${source}, user ${user.name}`, detail: `auth-provider: ${detail}` },
      { cause },
    )

  const noToken = (detail: string, cause?: unknown): ApiServerError =>
    failed([badIdToken(user) ?? [], detail].flat().join('; '), cause)

  /** One request to the provider at a time, which all wait for: a refresh token may be good for one use. */
  const askProvider = async (config: KubeConfig): Promise<RequestOptions> => {
    const joined = (running ??= optionsOf(config))
    const forget = (): void => {
      if (running === joined) running = undefined
    }
    joined.then(forget, forget)
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        // It cannot be ended from here: it is left behind, and asked anew, though not for ever.
        if (running === joined && ++hung < MOST_HUNG) forget()
        reject(failed(`it did not answer within ${timeoutMs / 1000} s`))
      }, timeoutMs)
    })
    try {
      return await Promise.race([joined, late])
    } catch (error) {
      throw error instanceof ApiServerError ? error : noToken(messageOf(error).slice(0, MAX_DETAIL), error)
    } finally {
      clearTimeout(timer)
    }
  }

  const gather = async (how: 'current' | 'renewed'): Promise<Credentials> => {
    const own = await credentials[how]()
    const { identity } = configFor(own.tls)
    const { headers, auth } = await (user.authProvider ? askProvider(identity) : optionsOf(identity))
    const given = { ...(headers as Record<string, string>) }
    if (user.authProvider && given['Authorization'] === undefined) throw noToken('it returned no token')
    if (auth) given['Authorization'] ??= `Basic ${Buffer.from(auth).toString('base64')}`
    return { headers: { ...given, ...own.headers }, tls: own.tls }
  }

  const host = url.hostname.replace(/^\[|\]$/g, '')
  const identityCheck: typeof checkServerIdentity = (_, certificate) =>
    checkServerIdentity(cluster.tlsServerName || host, certificate)

  return {
    current: () => gather('current'),
    renewed: () => gather('renewed'),
    async check() {
      configFor(await credentials.check())
    },
    async agentFor({ tls }) {
      const { agent } = await optionsOf(configFor(tls).transport)
      if (!(agent instanceof HttpAgent)) throw new Error('client-node made no agent')
      // Its SOCKS agent loses an address, and verifies `localhost` in its place.
      if (proxy !== undefined && isSocks(proxy))
        Object.assign(agent, {
          options: { ...(agent as AgentWithOptions).options, checkServerIdentity: identityCheck },
        })
      return agent instanceof HttpsAgent && proxy !== undefined && !isSocks(proxy) ? throughProxy(agent, proxy) : agent
    },
    // Its agents keep no connection for the next request.
    renew: () => undefined,
    close: () => credentials.close(),
  }
}

const MOST_HUNG = 100
const MAX_DETAIL = 300

/** What is wrong with the id-token that the kubeconfig has; undefined: nothing, or it has none. */
function badIdToken({ authProvider }: ServerSettings['user']): string | undefined {
  const provider: unknown = authProvider
  const config = isJsonObject(provider) ? provider['config'] : undefined
  const token = isJsonObject(config) ? config['id-token'] : undefined
  if (token == null || token === '') return undefined
  const bad = 'the id-token is not a JSON Web Token'
  if (typeof token !== 'string') return bad
  const parts = token.split('.')
  const payload = parseJson(Buffer.from(parts[1] ?? '', 'base64url'))
  return parts.length === 3 && isHeaderText(token) && 'value' in payload && isJsonObject(payload.value)
    ? undefined
    : bad
}

/** The types leave out what the documentation of http.Agent has. */
type AgentWithOptions = HttpAgent & { readonly options?: object }

interface Configured {
  readonly tls: TlsMaterial
  /** How to connect. Its agent keeps the certificate that it began with. */
  readonly transport: KubeConfig
  /** Who asks: may ask an OpenID provider. */
  readonly identity: KubeConfig
}

function configured(
  { url, cluster, user }: ServerSettings,
  { tls, socks }: { readonly tls: TlsMaterial; readonly socks: URL | undefined },
): Configured {
  const base64 = (text: string): string => Buffer.from(text).toString('base64')
  const server = {
    name: cluster.name,
    server: url.href,
    // client-node refuses plain HTTP unless it is to verify nobody.
    skipTLSVerify: cluster.skipTLSVerify || url.protocol === 'http:',
    ...(tls.ca !== undefined && { caData: base64(tls.ca) }),
    ...(cluster.tlsServerName && { tlsServerName: cluster.tlsServerName }),
    ...(socks !== undefined && { proxyUrl: socks.href }),
  }
  const pair = {
    name: user.name,
    ...(tls.cert !== undefined && { certData: base64(tls.cert) }),
    ...(tls.key !== undefined && { keyData: base64(tls.key) }),
  }
  const { token, username, password, impersonateUser } = user
  const authProvider: unknown = user.authProvider
  const config = (more: object): KubeConfig => {
    const made = new KubeConfig()
    made.loadFromClusterAndUser(server, { ...pair, ...more })
    return made
  }
  return {
    tls,
    transport: config({}),
    identity: config({ token, username, password: password ?? '', impersonateUser, authProvider }),
  }
}

async function optionsOf(config: KubeConfig): Promise<RequestOptions> {
  const options: RequestOptions = { headers: {} }
  await config.applyToHTTPSOptions(options)
  return options
}
