import { isIP } from 'node:net'
import { cidrContains, parseAddress, parseCidr } from '../../../model/address.js'

export interface ProxyQuestion {
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
