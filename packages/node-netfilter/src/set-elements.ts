import { constants } from 'node:os'
import { errorOfErrno, NetfilterError } from './netfilter-error.js'
import {
  attributeOf,
  attributesIn,
  nestedIn,
  NLA_F_NESTED,
  NLM_F_ACK,
  NLM_F_DUMP,
  NLM_F_DUMP_INTR,
  requestOf,
  type NetlinkMessage,
} from './netlink/messages.js'
import { askKernel, errnoIn, exchange, openNetlinkSocket } from './netlink/netlink-socket.js'

/** What a verdict map answers. */
export type SetVerdict = 'accept' | 'drop' | { readonly goto: string } | { readonly jump: string }

/** An element of a set, or of a map. */
export interface SetElement {
  /** As the kernel compares it: each field of a concatenation in network order, padded with zeros to four bytes. */
  readonly key: Uint8Array
  /** What a map holds for the key, in the same form. */
  readonly data?: Uint8Array | undefined
  /** What a verdict map holds for the key. */
  readonly verdict?: SetVerdict | undefined
  /** At most 127 bytes of UTF-8. */
  readonly comment?: string | undefined
}

export interface SetPlace {
  readonly family: 'ip' | 'ip6' | 'inet'
  readonly table: string
  readonly set: string
}

/** Elements to add to a set or map, or to delete from it; of those to delete only the key counts. */
export interface ElementChange extends SetPlace {
  readonly type: 'add' | 'delete'
  readonly elements: readonly SetElement[]
}

export interface CommitOptions {
  /** Commit only while nf_tables is at this generation; else fail with CHANGED. Default: at any. */
  readonly generation?: number | undefined
}

/**
 * Commits changes of elements to the kernel as one transaction: all of them, or none. What is replaced is deleted and added in
 * one commit, in this order. Gives the bytes that were sent. Works within the call for as long as the kernel does, some microseconds an element: divide what is
 * large. Fails with a NetfilterError: CHANGED, or FAILED with the kernel's errno, and the first place that was refused in its message.
 */
export async function commitElements(changes: readonly ElementChange[], options: CommitOptions = {}): Promise<number> {
  const batch = batchOf(changes, options)
  if (batch === undefined) return 0
  const socket = openNetlinkSocket({ operation: COMMIT, sendBufferBytes: batch.bytes.length * 2 })
  try {
    await exchange(socket, {
      operation: COMMIT,
      bytes: batch.bytes,
      onMessage: (message) => {
        const errno = errnoIn(message)
        if (errno === undefined) return false
        if (errno === constants.errno.EINTR || errno === ERESTART)
          throw new NetfilterError('CHANGED', { operation: COMMIT })
        if (errno !== 0) throw refusal(errno, batch.places[message.sequence])
        return message.sequence === batch.lastSequence
      },
    })
    return batch.bytes.length
  } finally {
    socket.close()
  }
}

const refusal = (errno: number, place: SetPlace | undefined): NetfilterError =>
  place === undefined
    ? errorOfErrno(COMMIT, errno)
    : errorOfErrno(COMMIT, errno, `${place.family} ${place.table} ${place.set}`)

/**
 * Hands over the elements of a set or map as the kernel lists them, in no order. While the kernel makes its table of a set larger or smaller, for
 * some milliseconds after many elements were added or deleted, it may list some twice and leave others out, and does not say so. `key` and `data` are copies. Fails with a
 * NetfilterError: CHANGED where the kernel says that a commit came in between, and some may be missing or there twice.
 */
export async function readElements(place: SetPlace, onElement: (element: SetElement) => void): Promise<void> {
  const socket = openNetlinkSocket({ operation: READ })
  try {
    await exchange(socket, {
      operation: READ,
      bytes: requestOf({
        type: NFT_MSG_GETSETELEM,
        sequence: 1,
        flags: NLM_F_DUMP,
        family: FAMILIES[place.family],
        attributes: [
          attributeOf(NFTA_SET_ELEM_LIST_TABLE, text(place.table)),
          attributeOf(NFTA_SET_ELEM_LIST_SET, text(place.set)),
        ],
      }),
      onMessage: (message) => {
        if ((message.flags & NLM_F_DUMP_INTR) !== 0) throw new NetfilterError('CHANGED', { operation: READ })
        const errno = errnoIn(message)
        if (errno !== undefined && errno !== 0) throw refusal(errno, place)
        if (errno === 0) return true
        for (const element of elementsIn(message)) onElement(element)
        return false
      },
    })
  } finally {
    socket.close()
  }
}

/**
 * One element, by its key: the kernel looks it up as for a packet, so that it finds what a listing may leave out. Undefined: it is not there.
 * Neither are the elements of a set that is not there. Fails with a NetfilterError.
 */
export async function findElement(place: SetPlace, key: Uint8Array): Promise<SetElement | undefined> {
  const writer = new AttributeWriter(key.length)
  const list = writer.open(NFTA_SET_ELEM_LIST_ELEMENTS)
  writeElement(writer, { key }, false)
  writer.close(list)
  try {
    return await askKernel(
      {
        operation: 'look-up of an element',
        type: NFT_MSG_GETSETELEM,
        family: FAMILIES[place.family],
        attributes: [
          attributeOf(NFTA_SET_ELEM_LIST_TABLE, text(place.table)),
          attributeOf(NFTA_SET_ELEM_LIST_SET, text(place.set)),
          writer.bytes(),
        ],
      },
      (answer) => answer.flatMap((message) => [...elementsIn(message)])[0],
    )
  } catch (error) {
    if (error instanceof NetfilterError && error.errno === constants.errno.ENOENT) return undefined
    throw error
  }
}

interface Batch {
  readonly bytes: Buffer
  /** Of each message, by its sequence. */
  readonly places: readonly (SetPlace | undefined)[]
  readonly lastSequence: number
}

/** Undefined: there is nothing to do. */
function batchOf(changes: readonly ElementChange[], { generation }: CommitOptions): Batch | undefined {
  const pieces = changes.flatMap((change) => piecesOf(change))
  if (pieces.length === 0) return undefined
  const messages = pieces.map(({ change, encoded }, index) =>
    requestOf({
      type: change.type === 'add' ? NFT_MSG_NEWSETELEM : NFT_MSG_DELSETELEM,
      sequence: index + 1,
      // The last is answered once the kernel has looked at all of them; whatever it refuses is answered in any case.
      flags: (index === pieces.length - 1 ? NLM_F_ACK : 0) | (change.type === 'add' ? NLM_F_CREATE : 0),
      family: FAMILIES[change.family],
      attributes: [
        attributeOf(NFTA_SET_ELEM_LIST_TABLE, text(change.table)),
        attributeOf(NFTA_SET_ELEM_LIST_SET, text(change.set)),
        encoded,
      ],
    }),
  )
  const atGeneration = generation === undefined ? [] : [attributeOf(NFNL_BATCH_GENID, uint32(generation))]
  const edge = { flags: 0, resource: NFNL_SUBSYS_NFTABLES }
  return {
    bytes: Buffer.concat([
      requestOf({ type: NFNL_MSG_BATCH_BEGIN, sequence: 0, ...edge, attributes: atGeneration }),
      ...messages,
      requestOf({ type: NFNL_MSG_BATCH_END, sequence: pieces.length + 1, ...edge }),
    ]),
    places: [undefined, ...pieces.map(({ change }) => change)],
    lastSequence: pieces.length,
  }
}

interface Piece {
  readonly change: ElementChange
  /** The attribute that holds the elements. */
  readonly encoded: Buffer
}

/** An attribute's length has 16 bits, so that many elements take several messages. */
function piecesOf(change: ElementChange): readonly Piece[] {
  const pieces: Piece[] = []
  const withData = change.type === 'add'
  let at = 0
  while (at < change.elements.length) {
    const writer = new AttributeWriter()
    const list = writer.open(NFTA_SET_ELEM_LIST_ELEMENTS)
    for (; at < change.elements.length && writer.length < MOST_BYTES; at++) {
      const element = change.elements[at]
      if (element !== undefined) writeElement(writer, element, withData)
    }
    writer.close(list)
    pieces.push({ change, encoded: writer.bytes() })
  }
  return pieces
}

function writeElement(writer: AttributeWriter, element: SetElement, withData: boolean): void {
  const whole = writer.open(NFTA_LIST_ELEM)
  const key = writer.open(NFTA_SET_ELEM_KEY)
  writer.put(NFTA_DATA_VALUE, element.key)
  writer.close(key)
  if (withData) {
    const { data, verdict, comment } = element
    if (data !== undefined || verdict !== undefined) {
      const value = writer.open(NFTA_SET_ELEM_DATA)
      if (data !== undefined) writer.put(NFTA_DATA_VALUE, data)
      if (verdict !== undefined) writeVerdict(writer, verdict)
      writer.close(value)
    }
    if (comment !== undefined) writer.put(NFTA_SET_ELEM_USERDATA, userDataOf(comment))
  }
  writer.close(whole)
}

function writeVerdict(writer: AttributeWriter, verdict: SetVerdict): void {
  const whole = writer.open(NFTA_DATA_VERDICT)
  const code = typeof verdict === 'string' ? VERDICTS[verdict] : 'goto' in verdict ? NFT_GOTO : NFT_JUMP
  writer.put(NFTA_VERDICT_CODE, uint32(code >>> 0))
  if (typeof verdict !== 'string') writer.put(NFTA_VERDICT_CHAIN, text('goto' in verdict ? verdict.goto : verdict.jump))
  writer.close(whole)
}

/** As libnftnl keeps comments: type, length, and the text with its final zero. */
function userDataOf(comment: string): Buffer {
  const bytes = text(comment)
  return Buffer.concat([Uint8Array.of(NFTNL_UDATA_SET_ELEM_COMMENT, bytes.length), bytes])
}

function* elementsIn({ payload }: NetlinkMessage): Generator<SetElement> {
  const list = attributesIn(payload).get(NFTA_SET_ELEM_LIST_ELEMENTS)
  if (list === undefined) return
  for (let at = 0; at + 4 <= list.length;) {
    const length = list.readUInt16LE(at)
    if (length < 4 || at + length > list.length) return
    const element = elementIn(nestedIn(list.subarray(at + 4, at + length)))
    if (element !== undefined) yield element
    at += (length + 3) & ~3
  }
}

/** Undefined: it has no key, as the catch-all element, or is the end of an interval. */
function elementIn(attributes: ReadonlyMap<number, Buffer>): SetElement | undefined {
  const key = nestedIn(attributes.get(NFTA_SET_ELEM_KEY)).get(NFTA_DATA_VALUE)
  const flags = attributes.get(NFTA_SET_ELEM_FLAGS)?.readUInt32BE() ?? 0
  if (key === undefined || (flags & NFT_SET_ELEM_INTERVAL_END) !== 0) return undefined
  const value = nestedIn(attributes.get(NFTA_SET_ELEM_DATA))
  const data = value.get(NFTA_DATA_VALUE)
  const verdict = verdictIn(nestedIn(value.get(NFTA_DATA_VERDICT)))
  const comment = commentIn(attributes.get(NFTA_SET_ELEM_USERDATA))
  return {
    key: Buffer.from(key),
    ...(data !== undefined && { data: Buffer.from(data) }),
    ...(verdict !== undefined && { verdict }),
    ...(comment !== undefined && { comment }),
  }
}

function verdictIn(attributes: ReadonlyMap<number, Buffer>): SetVerdict | undefined {
  const code = attributes.get(NFTA_VERDICT_CODE)?.readInt32BE()
  const chain = attributes.get(NFTA_VERDICT_CHAIN)?.toString('utf8').replace(/\0.*/s, '') ?? ''
  if (code === NFT_GOTO) return { goto: chain }
  if (code === NFT_JUMP) return { jump: chain }
  return code === VERDICTS.accept ? 'accept' : code === VERDICTS.drop ? 'drop' : undefined
}

function commentIn(userData: Buffer | undefined): string | undefined {
  if (userData === undefined) return undefined
  for (let at = 0; at + 2 <= userData.length;) {
    const length = userData.readUInt8(at + 1)
    if (userData.readUInt8(at) === NFTNL_UDATA_SET_ELEM_COMMENT)
      return userData.toString('utf8', at + 2, at + 2 + length).replace(/\0.*/s, '')
    at += 2 + length
  }
  return undefined
}

/** Attributes within attributes, written one after the other: 50,000 elements take no buffer each. */
class AttributeWriter {
  readonly #buffer: Buffer
  length = 0

  constructor(room = MOST_BYTES) {
    // With room for one more element.
    this.#buffer = Buffer.alloc(room + 1024)
  }

  /** Where the attribute begins, for `close`. */
  open(type: number): number {
    const at = this.length
    this.#buffer.writeUInt16LE(type | NLA_F_NESTED, at + 2)
    this.length += 4
    return at
  }

  close(at: number): void {
    this.#buffer.writeUInt16LE(this.length - at, at)
  }

  put(type: number, value: Uint8Array): void {
    const at = this.length
    this.#buffer.writeUInt16LE(4 + value.length, at)
    this.#buffer.writeUInt16LE(type, at + 2)
    this.#buffer.set(value, at + 4)
    this.length = at + ((4 + value.length + 3) & ~3)
  }

  bytes(): Buffer {
    return this.#buffer.subarray(0, this.length)
  }
}

const text = (value: string): Buffer => Buffer.from(`${value}\0`)

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

const COMMIT = 'commit of elements'
const READ = 'listing of elements'

const FAMILIES = { inet: 1, ip: 2, ip6: 10 } as const
const VERDICTS = { drop: 0, accept: 1 } as const

const NFNL_SUBSYS_NFTABLES = 10
const NFNL_MSG_BATCH_BEGIN = 0x10
const NFNL_MSG_BATCH_END = 0x11
const NFNL_BATCH_GENID = 1
const NFT_MSG_NEWSETELEM = 0x0a_0c
const NFT_MSG_GETSETELEM = 0x0a_0d
const NFT_MSG_DELSETELEM = 0x0a_0e
const NFTA_SET_ELEM_LIST_TABLE = 1
const NFTA_SET_ELEM_LIST_SET = 2
const NFTA_SET_ELEM_LIST_ELEMENTS = 3
const NFTA_LIST_ELEM = 1
const NFTA_SET_ELEM_KEY = 1
const NFTA_SET_ELEM_DATA = 2
const NFTA_SET_ELEM_FLAGS = 3
const NFTA_SET_ELEM_USERDATA = 6
const NFTA_DATA_VALUE = 1
const NFTA_DATA_VERDICT = 2
const NFTA_VERDICT_CODE = 1
const NFTA_VERDICT_CHAIN = 2
const NFT_SET_ELEM_INTERVAL_END = 1
const NFT_JUMP = -3
const NFT_GOTO = -4
const NFTNL_UDATA_SET_ELEM_COMMENT = 0
const NLM_F_CREATE = 0x4_00
// The kernel's own number, which no user space has: begin again.
const ERESTART = 85
// Of one attribute.
const MOST_BYTES = 60_000
