/** A netlink message, its header read. `payload` is a view of the receive buffer: copy what outlives the callback. */
export interface NetlinkMessage {
  readonly type: number
  readonly flags: number
  readonly sequence: number
  readonly payload: Buffer
}

export const NLMSG_ERROR = 2
export const NLMSG_DONE = 3

export const NLM_F_REQUEST = 1
export const NLM_F_MULTI = 2
export const NLM_F_ACK = 4
/** Of an answer: what was listed changed meanwhile, and entries may be missing or there twice. */
export const NLM_F_DUMP_INTR = 0x10
export const NLM_F_DUMP = 0x3_00

const HEADER = 16
/** struct nfgenmsg: family, version, and a resource id in network order. */
const NETFILTER_HEADER = 4

/** The messages of one datagram. What follows a message whose length is impossible is left out. */
export function* messagesIn(datagram: Buffer): Generator<NetlinkMessage> {
  let at = 0
  while (at + HEADER <= datagram.length) {
    const length = datagram.readUInt32LE(at)
    if (length < HEADER || at + length > datagram.length) return
    yield {
      type: datagram.readUInt16LE(at + 4),
      flags: datagram.readUInt16LE(at + 6),
      sequence: datagram.readUInt32LE(at + 8),
      payload: datagram.subarray(at + HEADER, at + length),
    }
    at += aligned(length)
  }
}

/** The attributes after a netfilter header, by number; of one that is repeated the last. Flags of the number are dropped. */
export const attributesIn = (payload: Buffer): ReadonlyMap<number, Buffer> => attributesOf(payload, NETFILTER_HEADER)

/** The attributes that an attribute holds. */
export const nestedIn = (attribute: Buffer | undefined): ReadonlyMap<number, Buffer> =>
  attribute === undefined ? new Map<number, Buffer>() : attributesOf(attribute, 0)

function attributesOf(bytes: Buffer, start: number): ReadonlyMap<number, Buffer> {
  const attributes = new Map<number, Buffer>()
  let at = start
  while (at + 4 <= bytes.length) {
    const length = bytes.readUInt16LE(at)
    if (length < 4 || at + length > bytes.length) break
    attributes.set(bytes.readUInt16LE(at + 2) & NLA_TYPE_MASK, bytes.subarray(at + 4, at + length))
    at += aligned(length)
  }
  return attributes
}

export interface NetlinkRequest {
  readonly type: number
  readonly sequence: number
  /** Besides NLM_F_REQUEST. Default: NLM_F_ACK. */
  readonly flags?: number | undefined
  /** AF_INET, AF_INET6; 0 where the subsystem has no families. */
  readonly family?: number | undefined
  /** Of the edges of a batch: the subsystem that it is for. Default: 0. */
  readonly resource?: number | undefined
  readonly attributes?: readonly Buffer[] | undefined
}

/** A request to a subsystem of netfilter. */
export function requestOf(request: NetlinkRequest): Buffer {
  const { type, sequence, flags = NLM_F_ACK, family = 0, resource = 0, attributes = [] } = request
  const header = Buffer.alloc(HEADER + NETFILTER_HEADER)
  const bytes = Buffer.concat([header, ...attributes])
  bytes.writeUInt32LE(bytes.length, 0)
  bytes.writeUInt16LE(type, 4)
  bytes.writeUInt16LE(NLM_F_REQUEST | flags, 6)
  bytes.writeUInt32LE(sequence, 8)
  bytes.writeUInt8(family, HEADER)
  bytes.writeUInt16BE(resource, HEADER + 2)
  return bytes
}

export function attributeOf(type: number, value: Uint8Array): Buffer {
  const bytes = Buffer.alloc(aligned(4 + value.length))
  bytes.writeUInt16LE(4 + value.length, 0)
  bytes.writeUInt16LE(type, 2)
  bytes.set(value, 4)
  return bytes
}

export const nestedOf = (type: number, ...attributes: readonly Buffer[]): Buffer =>
  attributeOf(type | NLA_F_NESTED, Buffer.concat(attributes))

const aligned = (length: number): number => (length + 3) & ~3

// Without NLA_F_NESTED and NLA_F_NET_BYTEORDER.
const NLA_TYPE_MASK = 0x3f_ff
export const NLA_F_NESTED = 0x80_00
