import { createServer as createTcpServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'

/** How the port meets who comes. `serving`: as it should. `mute`: a connection is taken, and nothing said. `resetting`: cut at once. */
export type Door = 'serving' | 'mute' | 'resetting'

/** A TCP port that can be closed and opened again while what is behind it goes on. */
export interface Listener {
  readonly port: number
  readonly setDoor: (door: Door) => void
  /** Nobody listens any more, and every connection is cut. */
  readonly shut: () => Promise<void>
  /** Listens again at the same port. */
  readonly reopen: () => Promise<void>
  /** How many connections there were. */
  readonly connections: () => number
}

export interface ListenOptions {
  readonly host: string
  /** 0: any that is free. */
  readonly port: number
  readonly serve: (socket: Socket) => void
}

export async function openListener({ host, port, serve }: ListenOptions): Promise<Listener> {
  const sockets = new Set<Socket>()
  let door: Door = 'serving'
  let connections = 0
  const server = createTcpServer({ noDelay: true }, (socket) => {
    connections += 1
    sockets.add(socket)
    socket.on('error', () => undefined).on('close', () => sockets.delete(socket))
    if (door === 'serving') serve(socket)
    else if (door === 'resetting') socket.resetAndDestroy()
  })
  const listen = (at: number): Promise<void> =>
    new Promise((resolve, reject) => {
      server.once('error', reject).listen({ host, port: at }, () => {
        server.off('error', reject)
        resolve()
      })
    })
  await listen(port)
  const taken = (server.address() as AddressInfo).port
  return {
    port: taken,
    setDoor(next) {
      door = next
    },
    async shut() {
      for (const socket of sockets) socket.destroy()
      if (!server.listening) return
      await new Promise((resolve) => server.close(resolve))
    },
    reopen: async () => {
      if (!server.listening) await listen(taken)
    },
    connections: () => connections,
  }
}
