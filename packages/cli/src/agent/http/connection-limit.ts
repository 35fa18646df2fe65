import type { Server } from 'node:http'
import type { Socket } from 'node:net'

/** How much of a process's file descriptors its HTTP ports may take together; the rest is for children, SQLite and watches. */
export interface DescriptorShares {
  /** Connections of all ports. */
  readonly connections: number
  /** Listening sockets of health-check node ports. */
  readonly listeners: number
  /** Ports that are held open. */
  readonly held: number
}

/** `maxFiles`: RLIMIT_NOFILE; absent: not known, or unlimited. At the usual 1,024 some 150 stay free at least. */
export const descriptorShares = (maxFiles = Infinity): DescriptorShares => ({
  connections: Math.max(8, Math.min(MOST_CONNECTIONS, Math.floor(maxFiles / 4))),
  listeners: Math.max(8, Math.min(MOST_LISTENERS, Math.floor(maxFiles * 0.4))),
  held: Math.max(8, Math.min(MOST_LISTENERS, Math.floor(maxFiles * 0.2))),
})

const MOST_CONNECTIONS = 512
// One Service may have one health-check node port, and there are some 30,000 node ports at most.
const MOST_LISTENERS = 30_000

/**
 * Holds the connections of several servers to one number. One too many is not refused: the connection that has been idle for longest
 * is closed for it, so that a probe is answered however many connections other clients hold.
 */
export interface ConnectionLimit {
  /** Counts a server's connections from now on, and closes those that are slow. */
  readonly guard: (server: Server) => void
  /** How many connections are open. */
  readonly open: () => number
}

export interface ConnectionLimitOptions {
  readonly maxConnections: number
  /** Told in one line when the limit is met, or the system's: the first time, and then once in ten minutes at most. */
  readonly onFull?: (message: string) => void
  /** An answer that its client has not read after this long, in milliseconds, is given up. Default: 15 s. */
  readonly answerMs?: number
  /** Milliseconds, from any beginning. */
  readonly now?: () => number
}

export function createConnectionLimit({
  maxConnections,
  onFull = () => undefined,
  answerMs = ANSWER_MS,
  now = () => performance.now(),
}: ConnectionLimitOptions): ConnectionLimit {
  /** In order of their last use, the oldest first. */
  const idle = new Map<Socket, number>()
  const answering = new Map<Socket, number>()
  let saidFullAt: number | undefined

  const admit = (socket: Socket): void => {
    while (idle.size + answering.size >= maxConnections) closeOne()
    idle.set(socket, now())
    socket.once('close', () => {
      idle.delete(socket)
      answering.delete(socket)
    })
  }

  const closeOne = (): void => {
    const [longest] = idle
    // One that has just come has not had its turn to ask: before it goes one whose answer takes long.
    const isSettled = longest !== undefined && now() - longest[1] >= GRACE_MS
    const socket = (isSettled ? longest[0] : undefined) ?? oldestOf(answering, idle)
    if (socket === undefined) return
    idle.delete(socket)
    answering.delete(socket)
    socket.destroy()
    say(
      `the HTTP ports reached their limit of ${maxConnections} connections: closing the longest idle ones; find the clients with ss -tn`,
    )
  }

  const say = (message: string): void => {
    if (saidFullAt !== undefined && now() - saidFullAt < SAID_AGAIN_MS) return
    saidFullAt = now()
    onFull(message)
  }

  return {
    guard(server) {
      server.on('connection', admit)
      server.on('request', ({ socket }, answer) => {
        if (idle.delete(socket)) answering.set(socket, now())
        const slow = setTimeout(() => socket.destroy(), answerMs)
        answer.once('close', () => {
          clearTimeout(slow)
          if (answering.delete(socket) && !socket.destroyed) idle.set(socket, now())
        })
      })
      server.on('error', (error: NodeJS.ErrnoException) => {
        if (error.syscall === 'accept') say(`an HTTP port cannot accept a connection: ${openFilesAdvice(error)}`)
      })
    },
    open: () => idle.size + answering.size,
  }
}

/** What an error of the operating system says, and where the limit of open files is behind it what to do. */
export const openFilesAdvice = ({ code, message }: NodeJS.ErrnoException): string =>
  code === 'EMFILE' ? `${message}: too many open files, raise RLIMIT_NOFILE (ulimit -n)` : message

const ANSWER_MS = 15_000
const GRACE_MS = 1000
const SAID_AGAIN_MS = 600_000

function oldestOf(...groups: readonly ReadonlyMap<Socket, number>[]): Socket | undefined {
  const [oldest] = groups.flatMap(([first]) => (first === undefined ? [] : [first])).toSorted((a, b) => a[1] - b[1])
  return oldest?.[0]
}
