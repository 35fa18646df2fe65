import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { describeError } from '../health/describe-error.js'
import { type Answer, type Handler, type HttpRequest, textAnswer } from './answer.js'
import { type BindAddress, boundTo } from './bind-address.js'
import type { ConnectionLimit } from './connection-limit.js'

/**
 * A server that answers each request with what the handler says. It does not listen yet. Its connections count towards the limit, and
 * a client that takes long over its request loses its connection.
 */
export function httpServer(handler: Handler, connections: ConnectionLimit): Server {
  const server = createServer(SLOW_CLIENTS, (incoming, outgoing) => {
    void answerOf(handler, incoming).then((answer) => send(answer, outgoing))
  })
  connections.guard(server)
  // A connection that cannot be accepted, for lack of file descriptors, is its client's loss and not the agent's end.
  return server.on('error', () => undefined)
}

/** Milliseconds. A connection that asks for nothing is under `headersTimeout`, one that asked before under `keepAliveTimeout`. */
const SLOW_CLIENTS = {
  headersTimeout: 5000,
  requestTimeout: 10_000,
  keepAliveTimeout: 5000,
  connectionsCheckingInterval: 1000,
}

/** Listens, or rejects with the system's error. All addresses are those of IPv4 alone where there is no IPv6. */
export function listen(server: Server, address: BindAddress): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(boundTo(address), () => {
      server.off('error', reject)
      resolve()
    })
  })
}

/** Stops listening, and ends what is under way: nobody who probes waits for the end of an answer. */
export function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
}

async function answerOf(handler: Handler, incoming: IncomingMessage): Promise<Answer> {
  try {
    return await handler(requestOf(incoming))
  } catch (error) {
    return textAnswer(500, `${describeError(error)}\n`)
  }
}

function requestOf(incoming: IncomingMessage): HttpRequest {
  // The host has no part in the answer, and may be anything.
  const { pathname, searchParams } = new URL(incoming.url?.replace(/^\/+/, '/') ?? '/', 'http://localhost')
  return {
    method: incoming.method ?? 'GET',
    path: pathname,
    query: searchParams,
    peer: incoming.socket.remoteAddress ?? '',
    body: () => bodyOf(incoming),
  }
}

async function bodyOf(incoming: IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of incoming) {
    text += String(chunk)
    if (text.length >= MAX_BODY) break
  }
  return text.slice(0, MAX_BODY)
}

const MAX_BODY = 1024

function send({ status, headers, body }: Answer, outgoing: ServerResponse): void {
  // Who hung up meanwhile is told nothing.
  outgoing.on('error', () => undefined)
  outgoing.writeHead(status, { ...headers, 'Content-Length': Buffer.byteLength(body) })
  outgoing.end(body)
}
