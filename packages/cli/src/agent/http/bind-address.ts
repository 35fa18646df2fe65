import { isIP } from 'node:net'

/** Where a server listens. Without a host: on all addresses of the machine, of both families. */
export interface BindAddress {
  readonly host?: string
  readonly port: number
}

/**
 * Reads `0.0.0.0:10256`, `[::]:10256`, `127.0.0.1`, `::1`, `localhost:10249`, `:10249`. As in kube-proxy, whose language has
 * it so, 0.0.0.0 and :: both mean all addresses of both families. Undefined where it is none of these.
 */
export function parseBindAddress(text: string, defaultPort: number): BindAddress | undefined {
  if (isIP(text) > 0) return addressOf(text, defaultPort)
  const match = /^(?:\[([^\]]*)\]|([^:[\]]*))(?::(\d{1,5}))?$/.exec(text)
  if (match === null || text === '') return undefined
  const [, bracketed, plain = '', digits] = match
  const port = digits === undefined ? defaultPort : Number(digits)
  if (port > 65_535 || (bracketed !== undefined && isIP(bracketed) !== 6)) return undefined
  return addressOf(bracketed ?? plain, port)
}

/** `0.0.0.0:10256`, `[::1]:10249`: as an address is written in messages. */
export const formatBindAddress = ({ host = '0.0.0.0', port }: BindAddress): string =>
  isIP(host) === 6 ? `[${host}]:${port}` : `${host}:${port}`

const addressOf = (host: string, port: number): BindAddress =>
  host === '' || UNSPECIFIED.test(host) ? { port } : { host, port }

/** 0.0.0.0, and all spellings of ::. */
const UNSPECIFIED = /^(?:0\.0\.0\.0|[0:]*::[0:]*|0+(?::0+){7})$/
