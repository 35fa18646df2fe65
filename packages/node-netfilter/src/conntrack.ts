import { constants } from 'node:os'
import { setImmediate } from 'node:timers/promises'
import { addressBytes, addressText, type Family } from './addresses.js'
import { errorOfErrno, NetfilterError } from './netfilter-error.js'
import {
  attributeOf,
  attributesIn,
  nestedIn,
  nestedOf,
  requestOf,
  NLM_F_ACK,
  NLM_F_DUMP,
  NLM_F_DUMP_INTR,
  type NetlinkMessage,
} from './netlink/messages.js'
import { errnoIn, exchange, openNetlinkSocket } from './netlink/netlink-socket.js'

/** The packets of one direction of a flow. Addresses as RFC 5952 spells them. */
export interface FlowTuple {
  readonly src: string
  readonly dst: string
  readonly sport: number
  readonly dport: number
}

/** A flow that the kernel tracks, of a protocol with ports. */
export interface TrackedFlow {
  readonly family: Family
  /** Of IP: 6 is TCP, 17 UDP, 132 SCTP. */
  readonly protocol: number
  /** The zone of both directions; 0 where there is none, or one direction alone has one. */
  readonly zone: number
  /** The packets of the side that began. */
  readonly original: FlowTuple
  /** Their answers: the source is what the original destination was translated to. */
  readonly reply: FlowTuple
}

/** Which flows to list. The kernel filters; before Linux 5.8 it hands over the whole family, and this process does. */
export interface FlowFilter {
  readonly family: Family
  readonly protocol: number
  readonly original?: Partial<FlowTuple> | undefined
  readonly reply?: Partial<FlowTuple> | undefined
}

export interface ConntrackCallOptions {
  readonly signal?: AbortSignal | undefined
  /** For the whole call, in milliseconds. Default: no limit. */
  readonly timeoutMs?: number | undefined
}

/** What is used of netlink sockets. */
export interface ConntrackSockets {
  readonly openSocket: typeof openNetlinkSocket
}

export interface Conntrack {
  /**
   * Hands over each flow as it is read. Where the kernel says that the listing was disturbed, or had no room for it, it is
   * begun again, three times in all: a flow may be handed over more than once.
   */
  readonly listFlows: (
    filter: FlowFilter,
    onFlow: (flow: TrackedFlow) => void,
    options?: ConntrackCallOptions,
  ) => Promise<void>
  /**
   * Deletes flows, and answers how many were there. Each is found by its reply: one that came again with another target stays.
   * A failure says nothing of the flows before it.
   */
  readonly deleteFlows: (flows: Iterable<TrackedFlow>, options?: ConntrackCallOptions) => Promise<number>
}

/** The kernel's flows in the network namespace of the calling thread. Every method fails with a NetfilterError. */
export function createConntrack({ openSocket }: ConntrackSockets): Conntrack {
  const listOnce = async (
    filter: FlowFilter,
    onFlow: (flow: TrackedFlow) => void,
    options: ConntrackCallOptions,
  ): Promise<'whole' | 'disturbed'> => {
    const socket = openSocket({ operation: LIST, datagramsATurn: DATAGRAMS_A_TURN })
    const state = { isDisturbed: false }
    try {
      await exchange(socket, {
        ...options,
        operation: LIST,
        bytes: listingOf(filter),
        onMessage: (message) => {
          if (message.sequence !== SEQUENCE) return false
          state.isDisturbed ||= (message.flags & NLM_F_DUMP_INTR) !== 0
          const errno = errnoIn(message)
          if (errno === 0) return true
          if (errno !== undefined) throw errorOfErrno(LIST, errno)
          const flow = flowIn(message)
          if (flow !== undefined && isOf(flow, filter)) onFlow(flow)
          return false
        },
      })
      return state.isDisturbed ? 'disturbed' : 'whole'
    } catch (error) {
      if (isErrno(error, constants.errno.ENOBUFS) || isErrno(error, constants.errno.EINTR)) return 'disturbed'
      throw error
    } finally {
      socket.close()
    }
  }

  /** How many of them were there. */
  const deleteBatch = async (flows: readonly TrackedFlow[], options: ConntrackCallOptions): Promise<number> => {
    const socket = openSocket({ operation: DELETE })
    let [answers, deleted] = [0, 0]
    let failure: number | undefined
    try {
      await exchange(socket, {
        ...options,
        operation: DELETE,
        bytes: Buffer.concat(flows.map((flow, at) => deletionOf(flow, at + SEQUENCE))),
        onMessage: (message) => {
          const errno = errnoIn(message)
          if (errno === undefined) return false
          answers++
          if (errno === 0) deleted++
          else if (errno !== constants.errno.ENOENT) failure ??= errno
          return answers === flows.length
        },
      })
    } finally {
      socket.close()
    }
    if (failure !== undefined) throw errorOfErrno(DELETE, failure)
    return deleted
  }

  return {
    async listFlows(filter, onFlow, options = {}) {
      const left = timeLeft(options)
      for (let tries = 0; tries < MOST_TRIES; tries++) {
        if ((await withoutModule(listOnce(filter, onFlow, left()))) === 'whole') return
      }
      throw errorOfErrno(LIST, constants.errno.EINTR)
    },

    async deleteFlows(flows, options = {}) {
      const left = timeLeft(options)
      let deleted = 0
      let batch: TrackedFlow[] = []
      const deleteSome = async (): Promise<void> => {
        const some = batch
        batch = []
        deleted += await withoutModule(deleteBatch(some, left()))
        // The kernel answers at once: others need their turn all the same.
        await setImmediate()
      }
      for (const flow of flows) if (batch.push(flow) === FLOWS_A_BATCH) await deleteSome()
      if (batch.length > 0) await deleteSome()
      return deleted
    },
  }
}

/** {@link Conntrack.listFlows} and {@link Conntrack.deleteFlows} of the kernel. */
export const { listFlows, deleteFlows } = createConntrack({ openSocket: openNetlinkSocket })

/** The options of the next step, of a call that has a limit for all of them. */
function timeLeft({ signal, timeoutMs }: ConntrackCallOptions): () => ConntrackCallOptions {
  const startedAt = performance.now()
  return () => ({
    signal,
    ...(timeoutMs !== undefined && { timeoutMs: Math.max(0, timeoutMs - (performance.now() - startedAt)) }),
  })
}

/** nfnetlink answers EINVAL where no subsystem ctnetlink has registered. */
function withoutModule<Result>(work: Promise<Result>): Promise<Result> {
  return work.catch((error: unknown) => {
    if (!(error instanceof NetfilterError) || !isErrno(error, constants.errno.EINVAL)) throw error
    const { operation, errno } = error
    throw new NetfilterError('NO_KERNEL_SUPPORT', { operation, errno }, { cause: error })
  })
}

const isErrno = (error: unknown, errno: number): boolean => error instanceof NetfilterError && error.errno === errno

function listingOf({ family, protocol, original = {}, reply = {} }: FlowFilter): Buffer {
  const attributes = [
    partialTupleOf(CTA_TUPLE_ORIG, { family, protocol, tuple: original }),
    partialTupleOf(CTA_TUPLE_REPLY, { family, protocol, tuple: reply }),
    nestedOf(
      CTA_FILTER,
      attributeOf(CTA_FILTER_ORIG_FLAGS, hostUint32(flagsOf(original))),
      attributeOf(CTA_FILTER_REPLY_FLAGS, hostUint32(flagsOf(reply))),
    ),
  ]
  const type = IPCTNL_MSG_CT_GET
  return requestOf({ type, sequence: SEQUENCE, flags: NLM_F_DUMP, family: FAMILIES[family].number, attributes })
}

function deletionOf({ family, protocol, zone, reply }: TrackedFlow, sequence: number): Buffer {
  const attributes = [
    partialTupleOf(CTA_TUPLE_REPLY, { family, protocol, tuple: reply }),
    ...(zone === 0 ? [] : [attributeOf(CTA_ZONE, uint16(zone))]),
  ]
  const type = IPCTNL_MSG_CT_DELETE
  return requestOf({ type, sequence, flags: NLM_F_ACK, family: FAMILIES[family].number, attributes })
}

function partialTupleOf(
  type: number,
  {
    family,
    protocol,
    tuple: { src, dst, sport, dport },
  }: { readonly family: Family; readonly protocol: number; readonly tuple: Partial<FlowTuple> },
): Buffer {
  const names = FAMILIES[family]
  const some = (name: number, value: Uint8Array | undefined): readonly Buffer[] =>
    value === undefined ? [] : [attributeOf(name, value)]
  const addresses = [
    ...some(names.src, src === undefined ? undefined : addressBytes(src)),
    ...some(names.dst, dst === undefined ? undefined : addressBytes(dst)),
  ]
  return nestedOf(
    type,
    ...(addresses.length === 0 ? [] : [nestedOf(CTA_TUPLE_IP, ...addresses)]),
    nestedOf(
      CTA_TUPLE_PROTO,
      attributeOf(CTA_PROTO_NUM, Uint8Array.of(protocol)),
      ...some(CTA_PROTO_SRC_PORT, sport === undefined ? undefined : uint16(sport)),
      ...some(CTA_PROTO_DST_PORT, dport === undefined ? undefined : uint16(dport)),
    ),
  )
}

const flagsOf = ({ src, dst, sport, dport }: Partial<FlowTuple>): number =>
  FILTER_BY_PROTOCOL |
  (src === undefined ? 0 : FILTER_BY_SOURCE) |
  (dst === undefined ? 0 : FILTER_BY_DESTINATION) |
  (sport === undefined ? 0 : FILTER_BY_SOURCE_PORT) |
  (dport === undefined ? 0 : FILTER_BY_DESTINATION_PORT)

/** Undefined: of a protocol without ports, or not understood. */
function flowIn({ type, payload }: NetlinkMessage): TrackedFlow | undefined {
  if (type !== IPCTNL_MSG_CT_NEW) return undefined
  const family = payload[0] === FAMILIES.ipv4.number ? 'ipv4' : payload[0] === FAMILIES.ipv6.number ? 'ipv6' : undefined
  if (family === undefined) return undefined
  const attributes = attributesIn(payload)
  const original = tupleIn(attributes.get(CTA_TUPLE_ORIG), family)
  const reply = tupleIn(attributes.get(CTA_TUPLE_REPLY), family)
  if (original === undefined || reply === undefined) return undefined
  const { protocol, ...there } = original
  const { protocol: _protocol, ...back } = reply
  const zone = attributes.get(CTA_ZONE)?.readUInt16BE() ?? 0
  return { family, protocol, zone, original: there, reply: back }
}

function tupleIn(
  attribute: Buffer | undefined,
  family: Family,
): (FlowTuple & { readonly protocol: number }) | undefined {
  const tuple = nestedIn(attribute)
  const addresses = nestedIn(tuple.get(CTA_TUPLE_IP))
  const ports = nestedIn(tuple.get(CTA_TUPLE_PROTO))
  const names = FAMILIES[family]
  const [src, dst] = [addresses.get(names.src), addresses.get(names.dst)]
  const [protocol, sport, dport] = [CTA_PROTO_NUM, CTA_PROTO_SRC_PORT, CTA_PROTO_DST_PORT].map((name) =>
    ports.get(name),
  )
  if (src?.length !== names.bytes || dst?.length !== names.bytes) return undefined
  if (protocol?.length !== 1 || sport?.length !== 2 || dport?.length !== 2) return undefined
  return {
    protocol: protocol.readUInt8(),
    src: addressText(src),
    dst: addressText(dst),
    sport: sport.readUInt16BE(),
    dport: dport.readUInt16BE(),
  }
}

const isOf = (flow: TrackedFlow, { family, protocol, original = {}, reply = {} }: FlowFilter): boolean =>
  flow.family === family && flow.protocol === protocol && has(flow.original, original) && has(flow.reply, reply)

const has = (tuple: FlowTuple, { src, dst, sport, dport }: Partial<FlowTuple>): boolean =>
  (src === undefined || src === tuple.src) &&
  (dst === undefined || dst === tuple.dst) &&
  (sport === undefined || sport === tuple.sport) &&
  (dport === undefined || dport === tuple.dport)

function uint16(value: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeUInt16BE(value)
  return bytes
}

/** Flags of a filter are in the order of the CPU, other than all else of conntrack. */
function hostUint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}

const LIST = 'list of flows'
const DELETE = 'deletion of flows'
const SEQUENCE = 1
const MOST_TRIES = 3
// A datagram has 170 flows or so: a turn takes some milliseconds.
const DATAGRAMS_A_TURN = 8
// Each has an answer, of which the kernel keeps some 250 with the default of net.core.rmem_default.
const FLOWS_A_BATCH = 100

// ctnetlink is subsystem 1 of netfilter: the high byte of the type.
const IPCTNL_MSG_CT_NEW = 0x01_00
const IPCTNL_MSG_CT_GET = 0x01_01
const IPCTNL_MSG_CT_DELETE = 0x01_02
const CTA_TUPLE_ORIG = 1
const CTA_TUPLE_REPLY = 2
const CTA_ZONE = 18
const CTA_FILTER = 25
const CTA_TUPLE_IP = 1
const CTA_TUPLE_PROTO = 2
const CTA_PROTO_NUM = 1
const CTA_PROTO_SRC_PORT = 2
const CTA_PROTO_DST_PORT = 3
const CTA_FILTER_ORIG_FLAGS = 1
const CTA_FILTER_REPLY_FLAGS = 2
const FILTER_BY_SOURCE = 1
const FILTER_BY_DESTINATION = 2
const FILTER_BY_PROTOCOL = 8
const FILTER_BY_SOURCE_PORT = 16
const FILTER_BY_DESTINATION_PORT = 32

/** AF_INET and AF_INET6, and the attributes of their addresses. */
const FAMILIES = {
  ipv4: { number: 2, bytes: 4, src: 1, dst: 2 },
  ipv6: { number: 10, bytes: 16, src: 3, dst: 4 },
} as const
