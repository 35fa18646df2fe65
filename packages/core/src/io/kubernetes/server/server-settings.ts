import type { Cluster, User } from '@kubernetes/client-node'
import { readFile } from 'node:fs/promises'

/** How one API server is spoken to: what a kubeconfig, flags, or the service account of a pod come to. */
export interface ServerSettings {
  /** Where this was said, for messages: `/etc/kubeconfig, context dev`. */
  readonly source: string
  /** With the scheme, and the path that every request begins with, if there is one. */
  readonly url: URL
  readonly cluster: Omit<Cluster, 'server'>
  readonly user: UserSettings
  /** What relative paths are relative to. */
  readonly directory: string
}

/** client-node's user, and what it leaves out of a kubeconfig. */
export interface UserSettings extends User {
  /** Read again for each request. What was read last counts before `token`. */
  readonly tokenFile?: string
  readonly impersonateGroups?: readonly string[]
  readonly impersonateUid?: string
  readonly impersonateExtra?: Readonly<Record<string, readonly string[]>>
}

/** Whether Node takes a text as the value of a header. https://www.rfc-editor.org/rfc/rfc9110#name-field-values */
export const isHeaderText = (text: string): boolean => /^[\t\x20-\x7e\x80-\xff]*$/.test(text)

/**
 * An address as client-go takes it: without a scheme it is HTTPS where there is something to verify the server by, else HTTP.
 * Undefined where it is none.
 */
export function serverUrlOf(address: string, { verified }: { readonly verified: boolean }): URL | undefined {
  const text = /^[a-z][a-z0-9+.-]*:\/\//i.test(address) ? address : `${verified ? 'https' : 'http'}://${address}`
  const url = URL.canParse(text) ? new URL(text) : undefined
  return url !== undefined && ['http:', 'https:'].includes(url.protocol) && url.hostname !== '' ? url : undefined
}

/** Reads a whole file as text: a parameter of everything here that reads credentials. */
export type ReadText = (path: string) => Promise<string>

export const readTextFile: ReadText = (path) => readFile(path, 'utf8')

/** A file that is read again and again, and may be gone for a moment while it is exchanged: what was read last counts then. */
export function createRememberedFile(path: string, read: ReadText): () => Promise<string> {
  let last: string | undefined
  return async () => {
    try {
      const text = await read(path)
      // A file that is being written anew is empty for a moment.
      if (text !== '' || last === undefined) last = text
    } catch (error) {
      if (last === undefined) throw error
    }
    return last
  }
}

/** Why an API server cannot be spoken to, and what to do about it. */
export const API_SERVER_ERRORS = {
  NO_CONFIGURATION: 'no API server configured: give --kubeconfig or --master, or run in a pod',
  KUBECONFIG_INVALID: 'invalid kubeconfig: correct the field named here',
  CONTEXT_NOT_FOUND: 'no such context: use --context with an existing one',
  CREDENTIALS_UNREADABLE: 'the credentials cannot be read: check the file and its permissions',
  EXEC_FAILED: 'the credential plugin failed: run it separately and check its output',
  OIDC_FAILED:
    'OpenID Connect gave no token: check the id-token, refresh-token and idp-issuer-url of this user of the kubeconfig',
  UNREACHABLE: 'the API server is unreachable: check the address, the network and the server',
  TLS_FAILED: 'TLS verification failed: check both certificates and certificate-authority',
  TIMED_OUT: 'timeout waiting for the API server: check its load and the network',
  CONNECTION_LOST: 'the connection closed during a response: retry',
  BAD_ANSWER: 'the response is not from a Kubernetes API server: check the address',
  CLOSED: 'the connection was closed by this process',
} as const

export type ApiServerErrorCode = keyof typeof API_SERVER_ERRORS

interface ApiServerErrorInput {
  /** What it is about: the server's URL, or a file and what is named in it. */
  readonly subject: string
  readonly detail?: string
}

/** The message is one line: what it is about, what is wrong, what to do, what exactly was seen. */
export class ApiServerError extends Error {
  override readonly name = 'ApiServerError'
  readonly code: ApiServerErrorCode
  readonly subject: string

  constructor(code: ApiServerErrorCode, { subject, detail }: ApiServerErrorInput, options?: ErrorOptions) {
    super(oneLine(`${subject}: ${API_SERVER_ERRORS[code]}${detail === undefined ? '' : ` (${detail})`}`), options)
    this.code = code
    this.subject = subject
  }
}

const oneLine = (text: string): string => text.trim().replaceAll(/(?<!\s)\s*[\r\n]\s*/g, ' ')
