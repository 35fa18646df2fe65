import { escapeControls } from '@pointsman/core'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { type AddressInfo, isIP } from 'node:net'
import { CliError } from '../../errors.js'
import { describeError } from '../health/health.js'
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
  // A client that hung up meanwhile gets no response.
  outgoing.on('error', () => undefined)
  outgoing.writeHead(status, { ...headers, 'Content-Length': Buffer.byteLength(body) })
  outgoing.end(body)
}

export interface ServerOptions {
  /** What it serves, for messages: `health`, `metrics`. */
  readonly name: string
  readonly address: BindAddress
  /** The field of the configuration that the address is from, for messages. */
  readonly field: string
  readonly handler: Handler
  readonly connections: ConnectionLimit
  /** bindAddressHardFail: an address that cannot be had is the end; else it is tried again. */
  readonly hardFail: boolean
  /** Told of each attempt that failed and is made again. */
  readonly onRetry: (error: CliError) => void
  /** Between attempts. Default: 5 seconds, as kube-proxy. */
  readonly retryMs?: number
}

export interface RunningServer {
  /** When it listens first: the port. Rejects with a CliError of one line when it never will. */
  readonly listening: Promise<number>
  readonly close: () => Promise<void>
}

/** Serves until it is closed. An address that is taken is waited for, unless that is to be the end. */
export function startServer(options: ServerOptions): RunningServer {
  const { name, address, field, handler, connections, hardFail, onRetry, retryMs = 5000 } = options
  let server: Server | undefined
  let underWay = Promise.resolve()
  let waiting: NodeJS.Timeout | undefined

  const listening = new Promise<number>((resolve, reject) => {
    const attempt = async (): Promise<void> => {
      const next = httpServer(handler, connections)
      try {
        await listen(next, address)
      } catch (cause) {
        const reason = cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause)
        const error = new CliError(
          'CANNOT',
          `cannot serve ${name} on ${formatBindAddress(address)}: ${WHY[reason] ?? reason}; free it or change ${field}`,
          { cause },
        )
        if (hardFail) return reject(error)
        onRetry(error)
        waiting = setTimeout(() => void (underWay = attempt()), retryMs)
        return
      }
      server = next
      resolve((next.address() as AddressInfo).port)
    }
    underWay = attempt()
  })
  // Whoever does not wait for it has onRetry, or waits for the end of the process.
  listening.catch(() => undefined)

  return {
    listening,
    async close() {
      await underWay
      clearTimeout(waiting)
      if (server !== undefined) await closeServer(server)
    },
  }
}

const WHY: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another process has the port',
  EACCES: 'no permission for this port',
  EADDRNOTAVAIL: 'this machine has no such address',
  EMFILE: 'this process has too many open files (EMFILE), raise RLIMIT_NOFILE (ulimit -n)',
}

/** What a handler gets of a request. */
export interface HttpRequest {
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  /** The address that the request came from. */
  readonly peer: string
  /** The first kilobyte of its body. */
  readonly body: () => Promise<string>
}

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

export type Handler = (request: HttpRequest) => Answer | Promise<Answer>

/** Headers are those that Go's HTTP server sends with its own texts. */
export const textAnswer = (status: number, body: string): Answer => ({
  status,
  headers: { 'Content-Type': 'text/plain; charset=utf-8', 'X-Content-Type-Options': 'nosniff' },
  body: shown(body),
})

/** `indent` as of JSON.stringify. */
export const jsonAnswer = (status: number, body: unknown, indent?: string): Answer => ({
  status,
  headers: { 'Content-Type': 'application/json', 'X-Content-Type-Options': 'nosniff' },
  body: shown(JSON.stringify(body, null, indent)),
})

// Answers end up on terminals too, where `curl` prints them; a value's own line feeds are its writer's to escape. kube-proxy indents
// with tabs.
const shown = (body: string): string => body.replaceAll(/[^\n\t]+/g, escapeControls)

export const NOT_FOUND: Answer = textAnswer(404, '404 page not found\n')

/** Where a server listens. Without a host: on all addresses of the machine, of both families. */
interface BindAddress {
  readonly host?: string
  readonly port: number
}

/** What Node is to listen on: in kube-proxy, whose language has it so, 0.0.0.0 and :: both mean all of both families. */
export const boundTo = ({ host = '', port }: BindAddress): BindAddress =>
  host === '' || host === '0.0.0.0' || host === '::' ? { port } : { host, port }

/** `0.0.0.0:10256`, `[::1]:10249`: as an address is written in messages. */
export const formatBindAddress = ({ host = '0.0.0.0', port }: BindAddress): string =>
  isIP(host) === 6 ? `[${host}]:${port}` : `${host}:${port}`

/** Whether a request came from this machine itself; IPv4 also as sockets of both families see it. */
export const isLoopback = (peer: string): boolean => /^(?:::1|(?:::ffff:)?127(?:\.\d{1,3}){3})$/i.test(peer)
