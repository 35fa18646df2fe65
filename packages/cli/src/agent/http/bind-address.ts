import { isIP } from 'node:net'

/** Where a server listens. Without a host: on all addresses of the machine, of both families. */
export interface BindAddress {
  readonly host?: string
  readonly port: number
}

/** What Node is to listen on: in kube-proxy, whose language has it so, 0.0.0.0 and :: both mean all of both families. */
export const boundTo = ({ host = '', port }: BindAddress): BindAddress =>
  host === '' || host === '0.0.0.0' || host === '::' ? { port } : { host, port }

/** `0.0.0.0:10256`, `[::1]:10249`: as an address is written in messages. */
export const formatBindAddress = ({ host = '0.0.0.0', port }: BindAddress): string =>
  isIP(host) === 6 ? `[${host}]:${port}` : `${host}:${port}`
