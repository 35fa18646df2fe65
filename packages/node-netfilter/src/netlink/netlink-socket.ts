import { constants } from 'node:os'
import { errorOfErrno, NetfilterError } from '../netfilter-error.js'
import { loadLibc, type Libc } from './libc.js'
import { messagesIn, NLM_F_MULTI, NLMSG_DONE, NLMSG_ERROR, requestOf } from './messages.js'
import type { NetlinkMessage, NetlinkRequest } from './messages.js'

export interface NetlinkSocketOptions {
  /** For errors. */
  readonly operation: string
  /** A multicast group of NETLINK_NETFILTER to join. */
  readonly group?: number | undefined
  /** The one message type that the kernel hands on. Not for requests: their errors are of another type. */
  readonly onlyType?: number | undefined
  /** How much the kernel keeps until it is read. Default: net.core.rmem_default. Without CAP_NET_ADMIN no more than rmem_max. */
  readonly receiveBufferBytes?: number | undefined
  /** How much one send may hold. Default: net.core.wmem_default. Without CAP_NET_ADMIN no more than wmem_max. */
  readonly sendBufferBytes?: number | undefined
  /** Datagrams that are read before other work of the event loop has its turn. Default: 64. */
  readonly datagramsATurn?: number | undefined
  /** Where datagrams are read to: for sockets whose messages are copied at once. Default: one of its own. */
  readonly buffer?: Buffer | undefined
}

export interface NetlinkReader {
  readonly onMessage: (message: NetlinkMessage) => void
  /** The kernel dropped messages for want of room, and all that it had kept has been read. */
  readonly onOverrun: () => void
  /** The socket failed, or a callback threw; it is closed. */
  readonly onError: (error: unknown) => void
}

export interface NetlinkSocket {
  /** Sends one request. The kernel answers most within the call, which is why it may not be long. */
  send(message: Uint8Array): void
  /** Reads what is there, without waiting for more. */
  readNow(reader: NetlinkReader): void
  /** Begins to read. Until then the kernel keeps what comes, as far as there is room. */
  read(reader: NetlinkReader): void
  /** An option of the socket level, 8 bytes. Undefined where the kernel does not have it. */
  option64(name: number): bigint | undefined
  /** Nothing is called after it. */
  close(): void
}

/**
 * A socket of NETLINK_NETFILTER in the network namespace of the calling thread, where it stays. No call on it waits, and an
 * open one that is read keeps the process running. Fails with a NetfilterError.
 */
export function openNetlinkSocket(options: NetlinkSocketOptions): NetlinkSocket {
  const libc = loadLibc()
  const { operation } = options
  const fd = libc.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_NETFILTER)
  if (fd < 0) throw errorOfErrno(operation, libc.errno())
  const check = (result: number): void => {
    if (result >= 0) return
    const error = errorOfErrno(operation, libc.errno())
    libc.close(fd)
    throw error
  }
  const setNumber = (level: number, name: number, value: number): void => {
    check(libc.setsockopt(fd, level, name, uint32(value), 4))
  }
  const setBuffer = (bytes: number | undefined, force: number, option: number): void => {
    // Old kernels allow no force in a user namespace, where the group may be joined all the same.
    if (bytes === undefined || libc.setsockopt(fd, SOL_SOCKET, force, uint32(bytes), 4) >= 0) return
    setNumber(SOL_SOCKET, option, bytes)
  }
  setBuffer(options.receiveBufferBytes, SO_RCVBUFFORCE, SO_RCVBUF)
  setBuffer(options.sendBufferBytes, SO_SNDBUFFORCE, SO_SNDBUF)
  // Before the group is joined, so that nothing else gets in between.
  if (options.onlyType !== undefined) check(libc.attachFilter(fd, onlyMessagesOf(options.onlyType)))
  const address = Buffer.alloc(SIZE_OF_ADDRESS)
  address.writeUInt16LE(AF_NETLINK, 0)
  check(libc.bind(fd, address, SIZE_OF_ADDRESS))
  if (options.group !== undefined) setNumber(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, options.group)
  const { buffer = Buffer.allocUnsafeSlow(RECEIVE_BYTES), datagramsATurn = DATAGRAMS_A_TURN } = options
  return socketOn(libc, { fd, operation, buffer, datagramsATurn })
}

interface OpenSocket {
  readonly fd: number
  readonly operation: string
  readonly buffer: Buffer
  readonly datagramsATurn: number
}

function socketOn(libc: Libc, { fd, operation, buffer, datagramsATurn }: OpenSocket): NetlinkSocket {
  const isOpen = (): boolean => !isClosed
  let isClosed = false
  let stopReading = (): void => undefined
  const close = (): void => {
    if (isClosed) return
    isClosed = true
    stopReading()
    libc.close(fd)
  }
  let hasOverrun = false
  const readSome = (reader: NetlinkReader): void => {
    try {
      // As long as more is left, the poll calls again: other work of the event loop comes in between.
      for (let count = 0; count < datagramsATurn && isOpen(); count++) {
        const datagram = receive(libc, { fd, buffer, operation })
        if (datagram === 'overrun') hasOverrun = true
        else if (datagram !== 'none') {
          for (const message of messagesIn(datagram)) if (isOpen()) reader.onMessage(message)
        } else {
          if (hasOverrun) reader.onOverrun()
          hasOverrun = false
          return
        }
      }
    } catch (error) {
      close()
      reader.onError(error)
    }
  }
  return {
    send: (message) => {
      if (libc.send(fd, message, message.length, 0) < 0) throw errorOfErrno(operation, libc.errno())
    },
    readNow: (reader) => {
      readSome(reader)
    },
    read: (reader) => {
      if (isClosed) return
      let isDue = false
      let hasStopped = false
      const readInTurn = (): void => {
        isDue = false
        readSome(reader)
        if (isClosed || !hasStopped) return
        hasStopped = false
        handle.start(onReadable)
      }
      // koffi calls this outside of what runs promises and catches errors: the reading is for setImmediate, same turn.
      const onReadable = (status: number): void => {
        // An overrun is an error of the socket, at which libuv stops looking.
        if (status < 0) hasStopped = true
        if (isDue) return
        isDue = true
        setImmediate(readInTurn)
      }
      const handle = libc.poll(fd, onReadable)
      stopReading = () => handle.close()
    },
    option64: (name) => {
      const value = Buffer.alloc(8)
      return libc.getsockopt(fd, SOL_SOCKET, name, value, uint32(8)) < 0 ? undefined : value.readBigUInt64LE()
    },
    close,
  }
}

/** Reads without waiting. The datagram is valid until the buffer is used again. */
function receive(
  libc: Libc,
  { fd, buffer, operation }: { readonly fd: number; readonly buffer: Buffer; readonly operation: string },
): Buffer | 'none' | 'overrun' {
  for (;;) {
    const length = libc.recv(fd, buffer, buffer.length, MSG_DONTWAIT)
    if (length >= 0) return buffer.subarray(0, length)
    const errno = libc.errno()
    if (errno === constants.errno.EAGAIN) return 'none'
    if (errno === constants.errno.ENOBUFS) return 'overrun'
    if (errno !== constants.errno.EINTR) throw errorOfErrno(operation, errno)
  }
}

/**
 * Sends a request on a socket of its own and gives the kernel's answer, copied: its messages, without the acknowledgement.
 * Fails with a NetfilterError that has the kernel's errno.
 */
export async function askKernel<Answer>(
  request: KernelRequest,
  decode: (answer: readonly NetlinkMessage[], socket: NetlinkSocket) => Answer,
): Promise<Answer> {
  answerBuffer ??= Buffer.allocUnsafeSlow(RECEIVE_BYTES)
  const socket = openNetlinkSocket({ operation: request.operation, buffer: answerBuffer })
  try {
    const answer = await answerTo(request, socket)
    return decode(answer, socket)
  } finally {
    socket.close()
  }
}

type KernelRequest = Pick<NetlinkRequest, 'type' | 'family' | 'attributes'> & { readonly operation: string }

let answerBuffer: Buffer | undefined

async function answerTo(
  { operation, ...request }: KernelRequest,
  socket: NetlinkSocket,
): Promise<readonly NetlinkMessage[]> {
  const sequence = 1
  const answer: NetlinkMessage[] = []
  await exchange(socket, {
    operation,
    bytes: requestOf({ ...request, sequence }),
    onMessage: (message) => {
      if (message.sequence !== sequence) return false
      const errno = errnoIn(message)
      if (errno !== undefined && errno !== 0) throw errorOfErrno(operation, errno)
      if (errno === 0) return true
      answer.push({ ...message, payload: Buffer.from(message.payload) })
      return false
    },
  })
  return answer
}

/** How an answer ends: 0, or the kernel's number for what failed. Undefined: the message is a part of the answer. */
export function errnoIn({ type, flags, payload }: NetlinkMessage): number | undefined {
  const isLast = type === NLMSG_ERROR || (type === NLMSG_DONE && (flags & NLM_F_MULTI) !== 0)
  if (!isLast) return undefined
  return payload.length < 4 ? 0 : -payload.readInt32LE(0)
}

export interface Exchange {
  readonly operation: string
  /** One request or several. The kernel works on them within the call: no more than it does at once. */
  readonly bytes: Uint8Array
  /** Whether the answer is whole; what it throws ends the exchange. */
  readonly onMessage: (message: NetlinkMessage) => boolean
  readonly signal?: AbortSignal | undefined
  readonly timeoutMs?: number | undefined
}

/**
 * Sends requests, and reads until the answer is whole, in turn with other work of the event loop. One exchange of a socket at a
 * time. Fails with a NetfilterError (TIMED_OUT, ABORTED, the kernel's errno; ENOBUFS where answers were dropped for want of
 * room), or with what `onMessage` throws; the caller closes the socket.
 */
export function exchange(
  socket: NetlinkSocket,
  { operation, bytes, onMessage, signal, timeoutMs }: Exchange,
): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) return reject(new NetfilterError('ABORTED', { operation }, { cause: signal.reason }))
    const state = { isOver: false }
    const settle = (outcome: () => void): void => {
      if (state.isOver) return
      state.isOver = true
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
      outcome()
    }
    const fail = (error: unknown): void =>
      settle(() => reject(error instanceof Error ? error : new Error(String(error))))
    const onAbort = (): void => fail(new NetfilterError('ABORTED', { operation }, { cause: signal?.reason }))
    const timer =
      timeoutMs === undefined
        ? undefined
        : setTimeout(() => fail(new NetfilterError('TIMED_OUT', { operation })), timeoutMs)
    signal?.addEventListener('abort', onAbort, { once: true })
    const reader: NetlinkReader = {
      onMessage: (message) => {
        if (!state.isOver && onMessage(message)) settle(resolve)
      },
      onOverrun: () => fail(errorOfErrno(operation, constants.errno.ENOBUFS)),
      onError: fail,
    }
    try {
      socket.send(bytes)
      // The kernel answers within the send, as a rule: a poll would cost far more than the answer.
      socket.readNow(reader)
      if (!state.isOver) socket.read(reader)
    } catch (error) {
      fail(error)
    }
  })
}

/**
 * Classic BPF: the message type, the half word at 4, or nothing. The kernel loads it as big-endian, and the type is written in
 * the CPU's order. The program is run once a datagram, on its first message.
 */
function onlyMessagesOf(type: number): Buffer {
  const swapped = ((type & 0xff) << 8) | (type >> 8)
  const instructions = [
    [BPF_LD_H_ABS, 0, 0, 4],
    [BPF_JEQ_K, 0, 1, swapped],
    [BPF_RET_K, 0, 0, 0xff_ff_ff_ff],
    [BPF_RET_K, 0, 0, 0],
  ] as const
  const program = Buffer.alloc(instructions.length * 8)
  for (const [index, [code, ifTrue, ifFalse, value]] of instructions.entries()) {
    program.writeUInt16LE(code, index * 8)
    program.writeUInt8(ifTrue, index * 8 + 2)
    program.writeUInt8(ifFalse, index * 8 + 3)
    program.writeUInt32LE(value, index * 8 + 4)
  }
  return program
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}

const AF_NETLINK = 16
const SOCK_RAW = 3
const SOCK_CLOEXEC = 0o2_000_000
const SOCK_NONBLOCK = 0o4000
const NETLINK_NETFILTER = 12
const SIZE_OF_ADDRESS = 12
const SOL_SOCKET = 1
const SO_RCVBUF = 8
const SO_RCVBUFFORCE = 33
const SO_SNDBUF = 7
const SO_SNDBUFFORCE = 32
const SOL_NETLINK = 270
const NETLINK_ADD_MEMBERSHIP = 1
const MSG_DONTWAIT = 0x40
const BPF_LD_H_ABS = 0x28
const BPF_JEQ_K = 0x15
const BPF_RET_K = 0x06

// The kernel puts no more than 32 KiB into a datagram of a dump.
const RECEIVE_BYTES = 65_536
const DATAGRAMS_A_TURN = 64
