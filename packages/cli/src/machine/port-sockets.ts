import { createSocket } from 'node:dgram'
import { createServer } from 'node:net'
import type { HeldPort } from '@pointsman/core'

/** A port that is held open until it is closed. */
export interface PortSocket {
  readonly close: () => Promise<void>
}

/** Opens a port as Go's net.Listen and net.ListenUDP do; rejects with the system's error. */
export type OpenPort = (port: HeldPort) => Promise<PortSocket>

/**
 * Holds a port by a socket that serves nobody. TCP has to listen: bound alone, with SO_REUSEADDR, as Go has it, it would keep nobody
 * from listening. With rules in force no packet comes here; a connection that comes before them, or without them, is reset, so
 * that its client tries again instead of waiting for an answer. A UDP packet is discarded. Neither keeps the process running.
 */
export const openPort: OpenPort = ({ protocol, ...port }) => (protocol === 'TCP' ? openTcp(port) : openUdp(port))

type Bound = Pick<HeldPort, 'family' | 'address' | 'port'>

function openTcp({ family, address, port }: Bound): Promise<PortSocket> {
  const server = createServer({ pauseOnConnect: true }, (socket) => void socket.resetAndDestroy())
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host: address || ALL[family], port, exclusive: true, ipv6Only: true }, () => {
      server.off('error', reject)
      // A connection that cannot be accepted, for lack of file descriptors, is its client's loss and not the agent's end.
      server.on('error', () => undefined).unref()
      resolve({ close: () => new Promise((closed) => server.close(() => closed())) })
    })
  })
}

function openUdp({ family, address, port }: Bound): Promise<PortSocket> {
  const socket = createSocket({ type: family === 'IPv4' ? 'udp4' : 'udp6', ipv6Only: family === 'IPv6' })
  return new Promise((resolve, reject) => {
    socket.once('error', (error) => {
      socket.close()
      reject(error)
    })
    socket.bind({ address: address || ALL[family], port, exclusive: true }, () => {
      socket.removeAllListeners('error')
      socket.on('error', () => undefined).unref()
      resolve({ close: () => new Promise((closed) => socket.close(() => closed())) })
    })
  })
}

const ALL: Readonly<Record<HeldPort['family'], string>> = { IPv4: '0.0.0.0', IPv6: '::' }
