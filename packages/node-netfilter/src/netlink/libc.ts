import { createRequire } from 'node:module'
import { endianness } from 'node:os'
import { NetfilterError } from '../netfilter-error.js'

/** The system calls that netlink takes. Each gives -1 for a failure; then `errno()`, called at once, says which. */
export interface Libc {
  socket(domain: number, type: number, protocol: number): number
  bind(fd: number, address: Uint8Array, length: number): number
  setsockopt(fd: number, level: number, name: number, value: Uint8Array, length: number): number
  getsockopt(fd: number, level: number, name: number, value: Uint8Array, length: Uint8Array): number
  /** Attaches a classic BPF program: instructions of 8 bytes. */
  attachFilter(fd: number, program: Uint8Array): number
  send(fd: number, message: Uint8Array, length: number, flags: number): number
  recv(fd: number, into: Uint8Array, length: number, flags: number): number
  close(fd: number): number
  errno(): number
  /** Calls back from the event loop while there is something to read. After a `status` below 0 it has stopped. */
  poll(fd: number, callback: (status: number) => void): PollHandle
}

export interface PollHandle {
  start(callback: (status: number) => void): void
  close(): void
}

/** What is used of koffi 3.3. Its own types are not, so that this compiles where it is not installed. */
interface Koffi {
  load(path: null): { func(name: string, result: string, parameters: readonly unknown[]): unknown }
  struct(members: { readonly [name: string]: string }): unknown
  pointer(type: unknown): unknown
  errno(): number
  readonly node?: { readonly poll?: Libc['poll'] }
}

let loaded: Libc | undefined

/**
 * libc's functions, loaded once, by the first that needs them: importing this package loads nothing. Fails with CANNOT_LOAD
 * where koffi is not installed, has no binary for this machine, or is not the version that this was written for.
 */
export function loadLibc(): Libc {
  loaded ??= load()
  return loaded
}

function load(): Libc {
  if (process.platform !== 'linux') throw cannotLoad(`this is ${process.platform}`)
  // The headers of netlink are in the order of the CPU; they are written and read here as little-endian.
  if (endianness() !== 'LE') throw cannotLoad(`${process.arch} is big-endian`)
  const koffi = requireKoffi()
  const poll = koffi.node?.poll
  if (poll === undefined) throw cannotLoad('this version of koffi has no node.poll')
  try {
    return functionsOf(koffi, poll)
  } catch (cause) {
    throw cannotLoad(String(cause), cause)
  }
}

function requireKoffi(): Koffi {
  try {
    return createRequire(import.meta.url)('koffi') as Koffi
  } catch (cause) {
    throw cannotLoad(String(cause).split('\n')[0] ?? '', cause)
  }
}

function functionsOf(koffi: Koffi, poll: Libc['poll']): Libc {
  // The process itself, which has libc in it under any name.
  const process = koffi.load(null)
  const program = koffi.pointer(koffi.struct({ length: 'uint16_t', instructions: 'void *' }))
  const attach = process.func('setsockopt', 'int', ['int', 'int', 'int', program, 'uint32_t']) as (
    ...values: readonly unknown[]
  ) => number
  const option = ['int', 'int', 'int', 'void *'] as const
  const transfer = ['int', 'void *', 'uintptr_t', 'int'] as const
  return {
    socket: process.func('socket', 'int', ['int', 'int', 'int']) as Libc['socket'],
    bind: process.func('bind', 'int', ['int', 'void *', 'uint32_t']) as Libc['bind'],
    setsockopt: process.func('setsockopt', 'int', [...option, 'uint32_t']) as Libc['setsockopt'],
    getsockopt: process.func('getsockopt', 'int', [...option, 'void *']) as Libc['getsockopt'],
    attachFilter: (fd, instructions) =>
      attach(fd, SOL_SOCKET, SO_ATTACH_FILTER, { length: instructions.length / 8, instructions }, SIZE_OF_PROGRAM),
    send: process.func('send', 'intptr_t', transfer) as Libc['send'],
    recv: process.func('recv', 'intptr_t', transfer) as Libc['recv'],
    close: process.func('close', 'int', ['int']) as Libc['close'],
    errno: () => koffi.errno(),
    poll: (fd, callback) => poll(fd, callback),
  }
}

const cannotLoad = (detail: string, cause?: unknown): NetfilterError =>
  new NetfilterError('CANNOT_LOAD', { operation: 'koffi', detail }, { cause })

const SOL_SOCKET = 1
const SO_ATTACH_FILTER = 26
// struct sock_fprog: a length and a pointer, padded.
const SIZE_OF_PROGRAM = process.arch === 'arm' || process.arch === 'ia32' ? 8 : 16
