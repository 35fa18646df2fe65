import { type OutgoingHttpHeaders, request as requestHttp } from 'node:http'
import { type Agent, request as requestHttps } from 'node:https'
import { connect as connectTls, type ConnectionOptions } from 'node:tls'
import type { Duplex } from 'node:stream'
import { ApiServerError } from './api-server-error.js'

type Created = (error: Error | null, socket?: Duplex) => void

/** Makes an agent's connections go through a proxy (`CONNECT`): TLS is with the server behind it. */
export function throughProxy(agent: Agent, proxy: URL): Agent {
  const createConnection = (options: ConnectionOptions, created: Created): void => {
    const target = `${options.host?.includes(':') ? `[${options.host}]` : String(options.host)}:${String(options.port)}`
    openTunnel(proxy, target).then(
      (socket) => created(null, connectTls({ ...options, socket })),
      (error: unknown) => created(error instanceof Error ? error : new Error(String(error))),
    )
  }
  return Object.assign(agent, { createConnection })
}

function openTunnel(proxy: URL, target: string): Promise<Duplex> {
  const request = proxy.protocol === 'https:' ? requestHttps : requestHttp
  const subject = `proxy ${proxy.origin}`
  return new Promise((resolve, reject) => {
    const asked = request({
      host: proxy.hostname.replace(/^\[|\]$/g, ''),
      port: proxy.port === '' ? undefined : Number(proxy.port),
      method: 'CONNECT',
      path: target,
      headers: { Host: target, ...authorizationOf(proxy) },
      agent: false,
    })
    const timer = setTimeout(() => asked.destroy(new Error('it does not answer')), TUNNEL_MS)
    asked.on('close', () => {
      clearTimeout(timer)
      reject(new ApiServerError('UNREACHABLE', { subject, detail: `it closes the connection for ${target}` }))
    })
    asked.on('upgrade', (_, socket) => socket.destroy())
    asked.on('connect', ({ statusCode }, socket) => {
      clearTimeout(timer)
      if (statusCode === 200) return resolve(socket)
      socket.destroy()
      reject(new ApiServerError('UNREACHABLE', { subject, detail: `it answers ${statusCode} for ${target}` }))
    })
    // A proxy that is none answers as a server does.
    asked.on('response', (response) => {
      response.destroy()
      reject(new ApiServerError('UNREACHABLE', { subject, detail: `it answers ${response.statusCode} for ${target}` }))
    })
    asked.on('error', (cause) => {
      reject(new ApiServerError('UNREACHABLE', { subject, detail: cause.message }, { cause }))
    })
    asked.end()
  })
}

const TUNNEL_MS = 10_000

function authorizationOf({ username, password }: URL): OutgoingHttpHeaders {
  if (username === '') return {}
  const pair = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`
  return { 'Proxy-Authorization': `Basic ${Buffer.from(pair).toString('base64')}` }
}
