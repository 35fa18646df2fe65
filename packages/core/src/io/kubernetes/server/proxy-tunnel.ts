import { type OutgoingHttpHeaders, request as requestHttp } from 'node:http'
import { type Agent, request as requestHttps } from 'node:https'
import { isIP } from 'node:net'
import type { Duplex } from 'node:stream'
import { connect as connectTls, type ConnectionOptions } from 'node:tls'
import { cidrContains, parseAddress, parseCidr } from '../../../model/address.js'
import { ApiServerError } from './server-settings.js'

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

export const isSocks = ({ protocol }: URL): boolean => /^socks(?:4a?|5h?)?:$/.test(protocol)

interface ProxyQuestion {
  /** The server's. */
  readonly url: URL
  /** `proxy-url` of a kubeconfig: counts before the environment, and for every address. */
  readonly proxyUrl?: string | undefined
  /** HTTPS_PROXY and NO_PROXY, or the same in small letters. */
  readonly env: Readonly<Record<string, string | undefined>>
}

/** By which proxy a server is reached, as Go's programs decide it: https://pkg.go.dev/golang.org/x/net/http/httpproxy. */
export function proxyOf({ url, proxyUrl, env }: ProxyQuestion): string | undefined {
  if (proxyUrl) return proxyUrl
  if (url.protocol !== 'https:') return undefined
  const proxy = env['HTTPS_PROXY'] || env['https_proxy']
  if (!proxy || isExcepted(url, env['NO_PROXY'] || env['no_proxy'] || '')) return undefined
  return proxy.includes('://') ? proxy : `http://${proxy}`
}

function isExcepted({ hostname, port }: URL, exceptions: string): boolean {
  const host = hostname.replace(/^\[|\]$/g, '')
  if (host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))) return true
  const target: Target = { host: host.toLowerCase(), port: port === '' ? '443' : port }
  return exceptions.split(',').some((entry) => matches(entry.trim().toLowerCase(), target))
}

interface Target {
  readonly host: string
  readonly port: string
}

function matches(entry: string, { host, port }: Target): boolean {
  if (entry === '' || entry === '*') return entry === '*'
  if (entry.includes('/')) return isWithin(entry, host)
  const [, name = '', ofPort] = /^\[?(.*?)\]?(?::(\d+))?$/.exec(isIP(entry) === 6 ? `[${entry}]` : entry) ?? []
  if (ofPort !== undefined && ofPort !== port) return false
  const domain = name.replace(/^\*(?=\.)/, '')
  // With a dot before it, a domain is its subdomains alone.
  return domain.startsWith('.') ? host.endsWith(domain) : host === domain || host.endsWith(`.${domain}`)
}

function isWithin(cidr: string, host: string): boolean {
  const [range, address] = [parseCidr(cidr), parseAddress(host)]
  return range !== undefined && address !== undefined && cidrContains(range, address)
}
