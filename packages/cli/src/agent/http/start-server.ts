import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { CliError } from '../../errors.js'
import type { Handler } from './answer.js'
import { type BindAddress, formatBindAddress } from './bind-address.js'
import type { ConnectionLimit } from './connection-limit.js'
import { closeServer, httpServer, listen } from './http-server.js'

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
