import type { Agent as HttpAgent } from 'node:http'
import { createSecureContext, type SecureContext } from 'node:tls'
import { isJsonObject } from '../../../model/json-value.js'
import {
  ApiServerError,
  createRememberedFile,
  isHeaderText,
  type ReadText,
  type ServerSettings,
  type UserSettings,
} from './server-settings.js'
import { createPlugin, type PluginOptions } from './credential-plugin.js'

/** What one request is made with. */
export interface Credentials {
  readonly headers: Readonly<Record<string, string | string[]>>
  readonly tls: TlsMaterial
}

/** PEM; absent: none. */
export interface TlsMaterial {
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
}

/** How requests to one server are let in, and by which connections they go. */
export interface ServerAccess {
  /** See CredentialSource. */
  current(): Promise<Credentials>
  renewed(): Promise<Credentials>
  /** Tells what is wrong already: CREDENTIALS_UNREADABLE. */
  check(): Promise<void>
  /** Connections for requests with these credentials. Throws CREDENTIALS_UNREADABLE where they cannot be used and none could before. */
  agentFor(credentials: Pick<Credentials, 'tls'>): Promise<HttpAgent>
  /** Ends connections that wait for a request; the next one makes its own. */
  renew(): void
  /** Ends a plugin that runs. */
  close(): void
}

export interface CredentialSource {
  /** Those that count now: files are read again, a plugin is run when what it gave has expired. Throws an ApiServerError. */
  current(): Promise<Credentials>
  /** After the server refused them: a plugin is run again in any case. */
  renewed(): Promise<Credentials>
  /** Reads the files, and runs no plugin: what is wrong already is reported now. */
  check(): Promise<TlsMaterial>
  /** Ends a plugin that runs. */
  close(): void
}

export interface CredentialOptions extends PluginOptions {
  readonly read: ReadText
}

/** The credentials of a kubeconfig's user, and by which authority the server is verified. */
export function createCredentials(settings: ServerSettings, options: CredentialOptions): CredentialSource {
  const { cluster, user, source } = settings
  const provider: unknown = user.authProvider
  const providerName = isJsonObject(provider) && typeof provider['name'] === 'string' ? provider['name'] : ''
  // client-node still has the others, which run their program while nothing else runs.
  if (provider && providerName !== 'oidc')
    throw new ApiServerError('KUBECONFIG_INVALID', {
      subject: `${source}, user ${user.name}`,
      detail: `auth-provider ${providerName || 'without a name'} was removed from Kubernetes: use an exec credential plugin instead`,
    })
  const remember = createMemory(settings, options.read)
  const ca = remember({ file: cluster.caFile, data: cluster.caData, field: 'certificate-authority' })
  const cert = remember({ file: user.certFile, data: user.certData, field: 'client-certificate' })
  const key = remember({ file: user.keyFile, data: user.keyData, field: 'client-key' })
  const tokenText = remember({ file: user.tokenFile, field: 'tokenFile' })
  const plugin = user.exec ? createPlugin(settings, options) : undefined

  const token = async (): Promise<string | undefined> => {
    const text = (await tokenText())?.trim()
    if (text === undefined || isHeaderText(text)) return text
    throw new ApiServerError('CREDENTIALS_UNREADABLE', {
      subject: `${source}, tokenFile ${user.tokenFile}`,
      detail: 'it contains a line break or another character that an HTTP header cannot carry',
    })
  }

  const tls = async (): Promise<TlsMaterial> => {
    // One after the other, so that of several that cannot be read always the same one is reported.
    const authority = await ca()
    const certificate = await cert()
    const privateKey = await key()
    return {
      ...(authority === undefined ? {} : { ca: authority }),
      ...(certificate === undefined ? {} : { cert: certificate }),
      ...(privateKey === undefined ? {} : { key: privateKey }),
    }
  }

  const gather = async (how: 'current' | 'renewed'): Promise<Credentials> => {
    const [material, bearer, given] = await Promise.all([tls(), token(), plugin?.[how]()])
    const authorization = given?.authorization ?? authorizationOf(user, bearer)
    return {
      headers: { ...(authorization === undefined ? {} : { Authorization: authorization }), ...impersonationOf(user) },
      tls: { ...material, ...given?.tls },
    }
  }

  return {
    current: () => gather('current'),
    renewed: () => gather('renewed'),
    close: () => plugin?.close(),
    async check() {
      await token()
      return tls()
    },
  }
}

interface Remembered {
  readonly file?: string | undefined
  /** Base64, as in a kubeconfig. Counts before the file, as in client-go. */
  readonly data?: string | undefined
  readonly field: string
}

function createMemory({ source }: ServerSettings, read: ReadText) {
  return ({ file, data, field }: Remembered): (() => Promise<string | undefined>) => {
    if (data) {
      const text = Buffer.from(data, 'base64').toString('utf8')
      return async () => text
    }
    if (!file) return async () => undefined
    const readAgain = createRememberedFile(file, read)
    return async () => {
      try {
        return await readAgain()
      } catch (error) {
        const detail = error instanceof Error && 'code' in error ? String(error.code) : String(error)
        throw new ApiServerError(
          'CREDENTIALS_UNREADABLE',
          { subject: `${source}, ${field} ${file}`, detail },
          { cause: error },
        )
      }
    }
  }
}

/** Bearer tokens come before passwords, as in client-go. */
function authorizationOf(user: UserSettings, tokenInFile: string | undefined): string | undefined {
  const token = tokenInFile || user.token
  if (token) return `Bearer ${token}`
  if (!user.username) return undefined
  return `Basic ${Buffer.from(`${user.username}:${user.password ?? ''}`).toString('base64')}`
}

const impersonationOf = (user: UserSettings): Credentials['headers'] => ({
  ...(user.impersonateUser ? { 'Impersonate-User': user.impersonateUser } : {}),
  ...(user.impersonateUid ? { 'Impersonate-Uid': user.impersonateUid } : {}),
  ...(user.impersonateGroups ? { 'Impersonate-Group': [...user.impersonateGroups] } : {}),
  ...Object.fromEntries(
    Object.entries(user.impersonateExtra ?? {}).map(([name, texts]) => [
      `Impersonate-Extra-${headerName(name)}`,
      [...texts],
    ]),
  ),
})

/** As client-go does: percent-encoded where a name of a header may not have the character. */
const headerName = (text: string): string =>
  encodeURIComponent(Buffer.from(text).toString()).replaceAll('(', '%28').replaceAll(')', '%29')

/** The same material, if OpenSSL can use it. It takes some in silence, and then trusts nobody or shows nothing. */
export function usable(material: TlsMaterial): TlsMaterial {
  secureContextOf(material)
  return material
}

export function secureContextOf(material: TlsMaterial): SecureContext {
  const { ca, cert, key } = material
  if (ca !== undefined && !ca.includes('-----BEGIN'))
    throw new Error('certificate-authority holds no certificate (PEM)')
  if ((cert === undefined) !== (key === undefined))
    throw new Error('client-certificate and client-key must be given together')
  return createSecureContext(material)
}
