import {
  createServer as createPlainServer,
  type IncomingMessage,
  type RequestListener,
  type ServerResponse,
} from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { createTestAuthority, type TestAuthority } from '../../../../testing/api-server/test-authority.js'

/** What a request brought along. */
export interface SeenRequest {
  readonly path: string
  readonly authorization?: string
  /** Common name of the client's certificate. */
  readonly client?: string
  /** The same for requests of one connection. */
  readonly connection: number
  readonly headers: IncomingMessage['headers']
}

export interface TlsServer {
  readonly url: string
  readonly port: number
  readonly authority: TestAuthority
  readonly seen: readonly SeenRequest[]
  /** Ends all connections without a word. */
  cut(): void
  close(): Promise<void>
}

export type Answer = (seen: SeenRequest, response: ServerResponse) => void

const OK: Answer = (_, response) => void response.end('{"kind":"ServiceList"}')

/** An HTTPS server of one's own authority on 127.0.0.1, which takes client certificates of that authority. */
export async function startTlsServer({
  answer = OK,
  names = ['127.0.0.1'],
  port = 0,
  plain = false,
}: {
  readonly answer?: Answer
  readonly names?: readonly string[]
  readonly port?: number
  readonly plain?: boolean
} = {}): Promise<TlsServer> {
  const authority = createTestAuthority()
  const { certificate: cert, key } = authority.issue({ commonName: 'kube-apiserver', names })
  const seen: SeenRequest[] = []
  const connections = new Map<Socket, number>()
  const listen: RequestListener = (request, response) => {
    const { headers, url = '' } = request
    const { authorization } = headers
    const client = plain ? undefined : commonNameOf(request.socket as TLSSocket)
    const connection = connections.get(request.socket) ?? 0
    const found: SeenRequest = {
      path: url,
      connection,
      headers,
      ...(authorization === undefined ? {} : { authorization }),
      ...(client === undefined ? {} : { client }),
    }
    seen.push(found)
    answer(found, response)
  }
  const server = plain
    ? createPlainServer(listen)
    : createServer({ cert, key, ca: authority.certificate, requestCert: true, rejectUnauthorized: false }, listen)
  let count = 0
  server.on(plain ? 'connection' : 'secureConnection', (socket: Socket) => {
    connections.set(socket, ++count)
    socket.on('error', () => undefined)
    socket.on('close', () => connections.delete(socket))
  })
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  const { port: taken } = server.address() as AddressInfo
  const cut = (): void => {
    for (const socket of connections.keys()) socket.destroy()
  }
  return {
    url: `${plain ? 'http' : 'https'}://127.0.0.1:${taken}`,
    port: taken,
    authority,
    seen,
    cut,
    async close() {
      cut()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** A client that shows none has an empty certificate here. */
const commonNameOf = (socket: TLSSocket): string | undefined => {
  const certificate = socket.getPeerCertificate()
  return 'subject' in certificate ? String(certificate.subject.CN) : undefined
}
