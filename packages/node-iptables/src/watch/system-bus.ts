import { connect, type Socket } from 'node:net'

/*
 * As much of D-Bus as it takes to hear signals: a connection to a bus over a Unix socket, method calls whose arguments are texts and
 * numbers, and messages of which the texts at the beginning of the body are read.
 * https://dbus.freedesktop.org/doc/dbus-specification.html
 */

/** A connection to a message bus, after its Hello. */
export interface Bus {
  /** Calls a method of the bus itself (org.freedesktop.DBus), and gives the texts of its answer. Rejects with a BusError. */
  readonly call: (member: string, ...args: readonly (string | number)[]) => Promise<readonly string[]>
  /** Sends a signal: for stand-ins in tests. */
  readonly emit: (signal: Pick<BusSignal, 'path' | 'interface' | 'member'>) => void
  /** Rejects when the connection has ended, with a BusError; settles in no other way. */
  readonly lost: Promise<never>
  readonly close: () => void
}

/** A signal, from whoever the bus says: `sender` is `org.freedesktop.DBus` or a connection's own name, such as `:1.42`. */
export interface BusSignal {
  readonly sender: string
  readonly path: string
  readonly interface: string
  readonly member: string
  /** The texts at the beginning of the body. */
  readonly args: readonly string[]
}

/** What can go wrong with a message bus. A code is a contract: codes are added, not renamed. */
export const BUS_ERRORS = {
  NO_BUS: 'there is no message bus at this address',
  UNSUPPORTED_ADDRESS: 'the address is none of a Unix socket: give unix:path=/run/dbus/system_bus_socket or the like',
  REFUSED: 'the bus refused the connection or the call: see its message, and the policy of the bus',
  LOST: 'the bus closed the connection, or sent what is no D-Bus message',
} as const

export type BusErrorCode = keyof typeof BUS_ERRORS

/** The message bus could not be used. Match on `code`; the message is for people. */
export class BusError extends Error {
  override readonly name = 'BusError'
  readonly code: BusErrorCode

  constructor(code: BusErrorCode, detail: string, options?: ErrorOptions) {
    super(`${BUS_ERRORS[code]}; ${detail}`, options)
    this.code = code
  }
}

/** The address of the system's bus, as libdbus finds it. */
export const systemBusAddress = (env: Readonly<Record<string, string | undefined>> = process.env): string =>
  env['DBUS_SYSTEM_BUS_ADDRESS'] || 'unix:path=/run/dbus/system_bus_socket'

/** Connects, shows who this process is, and says Hello. Rejects with a BusError, also where that takes more than ten seconds. */
export async function connectBus(address: string, onSignal: (signal: BusSignal) => void): Promise<Bus> {
  const socket = await opened(pathOf(address), address)
  const lost = new Promise<never>((_, reject) => {
    const end = (cause?: unknown): void =>
      reject(new BusError('LOST', cause instanceof Error ? cause.message : address, { cause }))
    socket.on('error', end).on('close', () => end())
  })
  // Whoever waits for it has it.
  lost.catch(() => undefined)
  const giveUp = setTimeout(() => socket.destroy(new Error('no answer')), PATIENCE_MS)
  try {
    await authenticate(socket, lost)
    const answers = new Map<number, Answer>()
    readMessages(socket, (message) => receive(message, answers, onSignal))
    let serial = 0
    const send = (message: Omit<OutgoingMessage, 'serial'>): number => {
      socket.write(encodeMessage({ ...message, serial: ++serial }))
      return serial
    }
    const call: Bus['call'] = (member, ...args) => {
      const answer = new Promise<readonly string[]>((resolve, reject) => {
        const bus = { path: '/org/freedesktop/DBus', interface: BUS_NAME, destination: BUS_NAME }
        answers.set(send({ type: 'call', ...bus, member, args }), { resolve, reject })
      })
      return Promise.race([answer, lost])
    }
    await call('Hello')
    return {
      call,
      emit: (signal) => void send({ type: 'signal', args: [], ...signal }),
      lost,
      close: () => void socket.destroy(),
    }
  } catch (error) {
    socket.destroy()
    throw error
  } finally {
    clearTimeout(giveUp)
  }
}

const BUS_NAME = 'org.freedesktop.DBus'
const PATIENCE_MS = 10_000

/** The first Unix socket of a list of addresses; of an abstract one the name behind a zero. */
function pathOf(addresses: string): string {
  for (const address of addresses.split(';')) {
    const [, key, text] = /^unix:(?:.*,)?(path|abstract)=([^,]*)/.exec(address) ?? []
    if (text === undefined) continue
    const path = text.replaceAll(/%([0-9A-Fa-f]{2})/g, (_, hex: string) =>
      String.fromCodePoint(Number.parseInt(hex, 16)),
    )
    return key === 'abstract' ? `\0${path}` : path
  }
  throw new BusError('UNSUPPORTED_ADDRESS', addresses)
}

const opened = (path: string, address: string): Promise<Socket> =>
  new Promise((resolve, reject) => {
    const socket = connect({ path })
    socket.once('error', (cause: NodeJS.ErrnoException) => {
      const isAbsent = cause.code === 'ENOENT' || cause.code === 'ECONNREFUSED'
      reject(new BusError(isAbsent ? 'NO_BUS' : 'REFUSED', `${address}: ${cause.message}`, { cause }))
    })
    socket.once('connect', () => {
      socket.removeAllListeners('error')
      resolve(socket)
    })
  })

/** The mechanism EXTERNAL: the kernel tells the bus which user this is. */
async function authenticate(socket: Socket, lost: Promise<never>): Promise<void> {
  const user = Buffer.from(String(process.getuid?.() ?? 0)).toString('hex')
  socket.write(`\0AUTH EXTERNAL ${user}\r\n`)
  const line = new Promise<string>((resolve) => {
    let text = ''
    const read = (chunk: Buffer): void => {
      text += chunk.toString('latin1')
      if (!text.includes('\r\n') && text.length < MAX_LINE) return
      socket.off('data', read)
      resolve(text)
    }
    socket.on('data', read)
  })
  const answer = await Promise.race([line, lost])
  if (!answer.startsWith('OK')) throw new BusError('REFUSED', answer.trim().slice(0, 100))
  socket.write('BEGIN\r\n')
}

const MAX_LINE = 4096

interface Answer {
  readonly resolve: (args: readonly string[]) => void
  readonly reject: (error: unknown) => void
}

function receive(
  { type, replyTo, sender = '', path = '', interface: of = '', member = '', args }: IncomingMessage,
  answers: Map<number, Answer>,
  onSignal: (signal: BusSignal) => void,
): void {
  if (type === 'signal') return onSignal({ sender, path, interface: of, member, args })
  const answer = replyTo === undefined ? undefined : answers.get(replyTo)
  if (replyTo === undefined || answer === undefined) return
  answers.delete(replyTo)
  if (type === 'return') answer.resolve(args)
  else if (type === 'error') answer.reject(new BusError('REFUSED', args[0] ?? 'without a message'))
}

/** Cuts what comes into messages. What is none ends the connection: there is no way to find the next one. */
function readMessages(socket: Socket, onMessage: (message: IncomingMessage) => void): void {
  let rest: Buffer = Buffer.alloc(0)
  socket.on('data', (chunk: Buffer) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    try {
      for (let length = lengthOf(rest); length !== undefined && rest.length >= length; length = lengthOf(rest)) {
        onMessage(decodeMessage(rest.subarray(0, length)))
        rest = rest.subarray(length)
      }
    } catch (error) {
      socket.destroy(error as Error)
    }
  })
}

/** Of the message at the beginning, header and body; undefined: too little is there to tell. Throws for what is no message. */
function lengthOf(bytes: Buffer): number | undefined {
  if (bytes.length < FIXED_BYTES) return undefined
  const order = bytes[0]
  if ((order !== LITTLE && order !== BIG) || bytes[3] !== VERSION) throw new Error('not a D-Bus message')
  const number = (at: number): number => (order === LITTLE ? bytes.readUInt32LE(at) : bytes.readUInt32BE(at))
  const length = aligned(FIXED_BYTES + number(12), 8) + number(4)
  if (length > MAX_MESSAGE) throw new Error(`a message of ${length} bytes`)
  return length
}

const LITTLE = 'l'.codePointAt(0)
const BIG = 'B'.codePointAt(0)
const VERSION = 1
/** Up to the header's fields. */
const FIXED_BYTES = 16
/** Signals that are asked for have three short names at most. */
const MAX_MESSAGE = 1 << 20

const aligned = (at: number, to: number): number => Math.ceil(at / to) * to

const TYPES = ['invalid', 'call', 'return', 'error', 'signal'] as const

interface Message {
  readonly type: (typeof TYPES)[number]
  readonly path?: string | undefined
  readonly interface?: string | undefined
  readonly member?: string | undefined
  readonly destination?: string | undefined
}

interface OutgoingMessage extends Message {
  readonly serial: number
  readonly args: readonly (string | number)[]
}

interface IncomingMessage extends Message {
  readonly replyTo?: number | undefined
  readonly sender?: string | undefined
  readonly args: readonly string[]
}

/** Codes of the header's fields, with the types of their values. */
const FIELDS = { path: [1, 'o'], interface: [2, 's'], member: [3, 's'], destination: [6, 's'] } as const
const REPLY_SERIAL = 5
const SENDER = 7
const SIGNATURE = 8

/** Texts are the type `s`, numbers `u`. */
export function encodeMessage(message: OutgoingMessage): Buffer {
  const body = createWriter()
  for (const arg of message.args) {
    if (typeof arg === 'string') body.text(arg)
    else body.number(arg)
  }
  const fields = createWriter()
  for (const [name, [code, type]] of Object.entries(FIELDS)) {
    const value = message[name as keyof typeof FIELDS]
    if (value === undefined) continue
    fields.align(8)
    fields.bytes([code])
    fields.signature(type)
    fields.text(value)
  }
  if (message.args.length > 0) {
    fields.align(8)
    fields.bytes([SIGNATURE])
    fields.signature('g')
    fields.signature(message.args.map((arg) => (typeof arg === 'string' ? 's' : 'u')).join(''))
  }
  const header = createWriter()
  header.bytes([LITTLE ?? 0, TYPES.indexOf(message.type), 0, VERSION])
  header.number(body.length())
  header.number(message.serial)
  header.number(fields.length())
  header.bytes(fields.done())
  header.align(8)
  return Buffer.concat([header.done(), body.done()])
}

function createWriter() {
  const bytes: number[] = []
  const align = (to: number): void => {
    while (bytes.length % to !== 0) bytes.push(0)
  }
  const number = (value: number): void => {
    align(4)
    bytes.push(value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, (value >>> 24) & 0xff)
  }
  return {
    align,
    number,
    bytes: (more: Iterable<number>): void => void bytes.push(...more),
    text: (text: string): void => {
      const encoded = Buffer.from(text)
      number(encoded.length)
      bytes.push(...encoded, 0)
    },
    signature: (text: string): void => void bytes.push(text.length, ...Buffer.from(text), 0),
    length: (): number => bytes.length,
    done: (): Buffer => Buffer.from(bytes),
  }
}

/** Throws for what no bus sends. */
export function decodeMessage(bytes: Buffer): IncomingMessage {
  const read = createReader(bytes)
  const type = TYPES[bytes[1] ?? 0] ?? 'invalid'
  read.skipTo(4)
  const bodyLength = read.number()
  read.number()
  const end = FIXED_BYTES + read.number()
  const fields = new Map<number, string | number>()
  while (read.at() < end) {
    read.skipTo(aligned(read.at(), 8))
    const code = read.byte()
    const kind = read.signature()
    if (kind === 's' || kind === 'o') fields.set(code, read.text())
    else if (kind === 'g') fields.set(code, read.signature())
    else if (kind === 'u') fields.set(code, read.number())
    else throw new Error(`a header field of type ${kind}`)
  }
  const text = (code: number): string | undefined => {
    const value = fields.get(code)
    return typeof value === 'string' ? value : undefined
  }
  read.skipTo(bytes.length - bodyLength)
  const [texts = ''] = /^[so]*/.exec(text(SIGNATURE) ?? '') ?? []
  const replyTo = fields.get(REPLY_SERIAL)
  return {
    type,
    path: text(FIELDS.path[0]),
    interface: text(FIELDS.interface[0]),
    member: text(FIELDS.member[0]),
    sender: text(SENDER),
    replyTo: typeof replyTo === 'number' ? replyTo : undefined,
    args: Array.from(texts, () => read.text()),
  }
}

/** Buffer's own methods throw for what lies beyond the end. */
function createReader(bytes: Buffer) {
  const isLittle = bytes[0] === LITTLE
  let at = 0
  const byte = (): number => bytes.readUInt8(at++)
  const number = (): number => {
    at = aligned(at, 4) + 4
    return isLittle ? bytes.readUInt32LE(at - 4) : bytes.readUInt32BE(at - 4)
  }
  const characters = (length: number): string => {
    if (at + length >= bytes.length) throw new Error('a text beyond the end')
    at += length + 1
    return bytes.toString('utf8', at - length - 1, at - 1)
  }
  return {
    at: (): number => at,
    skipTo: (place: number): void => void (at = place),
    byte,
    number,
    text: (): string => characters(number()),
    signature: (): string => characters(byte()),
  }
}
