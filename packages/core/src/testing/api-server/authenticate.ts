import type { IncomingMessage } from 'node:http'
import type { TLSSocket } from 'node:tls'

export interface Users {
  /** Bearer token to user. */
  readonly tokens: Readonly<Record<string, string>>
}

/** Who asks: the user of a bearer token, or the common name of a client certificate. Undefined: not let in. */
export function authenticate(request: IncomingMessage, { tokens }: Users): string | undefined {
  const { authorization } = request.headers
  if (authorization !== undefined) {
    const [, token = ''] = /^Bearer (.+)$/i.exec(authorization) ?? []
    return tokens[token]
  }
  const socket = request.socket as TLSSocket
  const name: unknown = socket.authorized ? socket.getPeerCertificate().subject.CN : undefined
  return typeof name === 'string' ? name : undefined
}
