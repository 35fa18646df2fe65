import { constants } from 'node:os'
import { NetfilterError } from './netfilter-error.js'
import { attributesIn, type NetlinkMessage } from './netlink/messages.js'
import { askKernel, openNetlinkSocket, type NetlinkSocket } from './netlink/netlink-socket.js'

/** Where nf_tables of a network namespace stands. */
export interface GenerationNow {
  /** Raised by one at each commit to nf_tables, of whichever family: 32 bits, never 0. A namespace begins at 1. */
  readonly id: number
  /**
   * The kernel's number for the network namespace, which no other has until the next boot; an inode is used again. Undefined
   * before Linux 5.14. Equal boot id, cookie and generation: nobody has changed nf_tables in between.
   */
  readonly namespaceCookie: bigint | undefined
}

/** A commit to nf_tables, and who made it. */
export interface Generation {
  readonly id: number
  /** As the initial pid namespace numbers it. */
  readonly pid: number
  /** As the kernel knows it, at most 15 bytes: `iptables-nft-re`. */
  readonly processName: string
}

/** Asks the kernel for the generation of nf_tables. No lock is taken: a commit that is under way does not delay it. */
export function generation(): Promise<GenerationNow> {
  return askKernel({ operation: 'GETGEN', type: NFT_MSG_GETGEN }, (answer, socket) => {
    const id = answer.map(generationIn).find((found) => found !== undefined)?.id
    if (id === undefined)
      throw new NetfilterError('FAILED', { operation: 'GETGEN', detail: 'no generation in the answer' })
    return { id, namespaceCookie: socket.option64(SO_NETNS_COOKIE) }
  }).catch((error: unknown) => {
    // nfnetlink's answer where no subsystem nf_tables has registered. GETGEN has no argument that could be wrong.
    if (!(error instanceof NetfilterError) || error.errno !== constants.errno.EINVAL) throw error
    throw new NetfilterError('NO_KERNEL_SUPPORT', { operation: 'GETGEN', errno: error.errno }, { cause: error })
  })
}

export interface GenerationWatchOptions {
  readonly onGeneration: (generation: Generation) => void
  /**
   * Commits up to `last` happened of which it is not known who made them: this process did not read for so long that the kernel
   * dropped messages. All generations after `last` are reported.
   */
  readonly onMissed: (missed: { readonly first: number; readonly last: number }) => void
  /** Ends the watch. */
  readonly signal?: AbortSignal | undefined
  /** What the kernel keeps while this process does not read: about a kilobyte a commit. Default: 1 MiB. */
  readonly receiveBufferBytes?: number | undefined
}

export interface GenerationWatch {
  /** The generation at which the watch began: each later one is reported. */
  readonly since: number
  /** Settles at the end: fails where a callback threw, or the socket failed. */
  readonly ended: Promise<void>
  close(): void
}

/**
 * Reports each commit to nf_tables in the network namespace of the calling thread, in order; our own as well. In force when
 * the promise resolves. The kernel filters: the rules of a commit, however many, are not read. Keeps the process running
 * until it is closed.
 */
export async function watchGenerations(options: GenerationWatchOptions): Promise<GenerationWatch> {
  const { onGeneration, onMissed, signal, receiveBufferBytes = 1024 * 1024 } = options
  signal?.throwIfAborted()
  const socket = openNetlinkSocket({
    operation: 'watch of nf_tables',
    group: NFNLGRP_NFTABLES,
    onlyType: NFT_MSG_NEWGEN,
    receiveBufferBytes,
  })
  // After the group was joined, so that no commit falls in between.
  const { id: since } = await generation().catch((error: unknown) => {
    socket.close()
    throw error
  })

  const end = ending(socket, signal)
  let last = since
  const take = (found: Generation): void => {
    // Sent before the watch began, or already counted as missed.
    if (!isNewer(found.id, last)) return
    const expected = following(last)
    last = found.id
    if (found.id !== expected) onMissed({ first: expected, last: before(found.id) })
    onGeneration(found)
  }
  const catchUp = async (): Promise<void> => {
    const { id } = await generation()
    if (end.isEnded() || !isNewer(id, last)) return
    const first = following(last)
    last = id
    onMissed({ first, last })
  }
  socket.read({
    onMessage: (message) => {
      const found = generationIn(message)
      if (found !== undefined) take(found)
    },
    // The last commit may be among what was dropped, and no other may follow it.
    onOverrun: () => void catchUp().catch(end.fail),
    onError: end.fail,
  })
  return { since, ended: end.ended, close: end.close }
}

interface Ending {
  readonly ended: Promise<void>
  readonly isEnded: () => boolean
  readonly close: () => void
  readonly fail: (error: unknown) => void
}

function ending(socket: NetlinkSocket, signal: AbortSignal | undefined): Ending {
  let isEnded = false
  let settle: { readonly resolve: () => void; readonly reject: (error: unknown) => void }
  const ended = new Promise<void>((resolve, reject) => {
    settle = { resolve, reject }
  })
  const end = (): void => {
    isEnded = true
    signal?.removeEventListener('abort', close)
    socket.close()
  }
  const close = (): void => {
    end()
    settle.resolve()
  }
  const fail = (error: unknown): void => {
    end()
    settle.reject(error)
  }
  signal?.addEventListener('abort', close, { once: true })
  if (signal?.aborted === true) close()
  return { ended, isEnded: () => isEnded, close, fail }
}

const generationIn = ({ type, payload }: NetlinkMessage): Generation | undefined => {
  if (type !== NFT_MSG_NEWGEN) return undefined
  const attributes = attributesIn(payload)
  const id = attributes.get(NFTA_GEN_ID)
  if (id === undefined) return undefined
  return {
    id: id.readUInt32BE(),
    pid: attributes.get(NFTA_GEN_PROC_PID)?.readUInt32BE() ?? 0,
    processName: textOf(attributes.get(NFTA_GEN_PROC_NAME)),
  }
}

function textOf(bytes: Buffer | undefined): string {
  if (bytes === undefined) return ''
  const end = bytes.indexOf(0)
  return bytes.toString('utf8', 0, end === -1 ? bytes.length : end)
}

// The kernel counts in 32 bits and leaves out 0.
const following = (id: number): number => (id + 1) >>> 0 || 1
const before = (id: number): number => (id - 1) >>> 0 || 0xff_ff_ff_ff
const isNewer = (id: number, than: number): boolean => ((id - than) | 0) > 0

// nf_tables is subsystem 10 of netfilter: the high byte of the type.
const NFT_MSG_NEWGEN = 0x0a_0f
const NFT_MSG_GETGEN = 0x0a_10
const NFNLGRP_NFTABLES = 7
const NFTA_GEN_ID = 1
const NFTA_GEN_PROC_PID = 2
const NFTA_GEN_PROC_NAME = 3
const SO_NETNS_COOKIE = 71
