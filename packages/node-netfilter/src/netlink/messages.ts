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
export function attributesIn(payload: Buffer): ReadonlyMap<number, Buffer> {
  const attributes = new Map<number, Buffer>()
  let at = NETFILTER_HEADER
  while (at + 4 <= payload.length) {
    const length = payload.readUInt16LE(at)
    if (length < 4 || at + length > payload.length) break
    attributes.set(payload.readUInt16LE(at + 2) & NLA_TYPE_MASK, payload.subarray(at + 4, at + length))
    at += aligned(length)
  }
  return attributes
}

/** A request without attributes, for a subsystem of netfilter. */
export function requestOf(message: { readonly type: number; readonly sequence: number }): Buffer {
  const bytes = Buffer.alloc(HEADER + NETFILTER_HEADER)
  bytes.writeUInt32LE(bytes.length, 0)
  bytes.writeUInt16LE(message.type, 4)
  bytes.writeUInt16LE(NLM_F_REQUEST | NLM_F_ACK, 6)
  bytes.writeUInt32LE(message.sequence, 8)
  return bytes
}

const aligned = (length: number): number => (length + 3) & ~3

// Without NLA_F_NESTED and NLA_F_NET_BYTEORDER.
const NLA_TYPE_MASK = 0x3f_ff
