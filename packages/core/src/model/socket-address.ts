import { parseAddress } from './address.js'

/** Where a server listens. */
export interface SocketAddress {
  /** An IP address, without brackets; 0.0.0.0 and :: are all of a family. */
  readonly host: string
  readonly port: number
}

/**
 * Reads `IP:port`, `[IPv6]:port`, or an IP alone, which gets the default port (AppendPortIfNeeded and validateHostPort of
 * kube-proxy 1.36). Undefined for anything else.
 */
export function parseSocketAddress(text: string, defaultPort: number): SocketAddress | undefined {
  const alone = parseAddress(text)
  if (alone !== undefined) return { host: alone.text, port: defaultPort }
  const [, bracketed, plain, digits = ''] = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(text) ?? []
  const address = parseAddress(bracketed ?? plain ?? '')
  const port = Number(digits)
  return address === undefined || port < 1 || port > 65_535 ? undefined : { host: address.text, port }
}

export const formatSocketAddress = ({ host, port }: SocketAddress): string =>
  host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
