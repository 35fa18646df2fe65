import { once } from 'node:events'
import { type IncomingHttpHeaders, request } from 'node:http'
import { type AddressInfo, createServer, type Server } from 'node:net'

export interface Asked {
  readonly status: number | undefined
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

/** Asks a server as a client does. Rejects where nobody listens. */
export function ask(port: number, path: string, { host = '127.0.0.1', method = 'GET' } = {}): Promise<Asked> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ host, port, path, method, agent: false }, (answer) => {
      let body = ''
      answer.setEncoding('utf8')
      answer.on('data', (chunk: string) => (body += chunk))
      answer.on('end', () => resolve({ status: answer.statusCode, headers: answer.headers, body }))
    })
    outgoing.on('error', reject)
    outgoing.end()
  })
}

/** Holds a port, of the system's choice or a given one. */
export async function holdPort(
  port = 0,
  host = '127.0.0.1',
): Promise<{ readonly port: number; readonly server: Server }> {
  const server = createServer()
  server.listen({ port, host })
  await once(server, 'listening')
  return { port: (server.address() as AddressInfo).port, server }
}

export async function letGo(server: Server): Promise<void> {
  server.close()
  await once(server, 'close')
}

/** A port that nobody has. */
export async function freePort(): Promise<number> {
  const { port, server } = await holdPort()
  await letGo(server)
  return port
}
