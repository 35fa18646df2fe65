import { constants } from 'node:os'
import { errorOfErrno, NetfilterError } from './netfilter-error.js'
import { attributeOf, attributesIn, NLM_F_DUMP, NLM_F_DUMP_INTR, requestOf } from './netlink/messages.js'
import { askKernel, errnoIn, exchange, openNetlinkSocket } from './netlink/netlink-socket.js'

export interface TablePlace {
  /** As nft(8) names it. */
  readonly family: 'ip' | 'ip6' | 'inet'
  readonly table: string
}

/** Whether nf_tables has the table. nft(8) reads all rules of the family to say so. Fails with a NetfilterError. */
export async function hasTable({ family, table }: TablePlace): Promise<boolean> {
  const name = attributeOf(NFTA_TABLE_NAME, Buffer.from(`${table}\0`))
  try {
    return await askKernel(
      { operation: 'GETTABLE', type: NFT_MSG_GETTABLE, family: FAMILIES[family], attributes: [name] },
      (answer) => answer.length > 0,
    )
  } catch (error) {
    if (error instanceof NetfilterError && error.errno === constants.errno.ENOENT) return false
    throw error
  }
}

/** A chain of a table. */
export interface ChainPlace extends TablePlace {
  readonly chain: string
}

/**
 * The handles of a chain's rules, in their order; none where there is no such chain. nft(8) reads every set of the table to list
 * them. Fails with a NetfilterError: CHANGED where the kernel says that a commit came in between.
 */
export async function ruleHandles({ family, table, chain }: ChainPlace): Promise<readonly bigint[]> {
  const operation = 'listing of rules'
  const handles: bigint[] = []
  const socket = openNetlinkSocket({ operation })
  try {
    await exchange(socket, {
      operation,
      bytes: requestOf({
        type: NFT_MSG_GETRULE,
        sequence: 1,
        flags: NLM_F_DUMP,
        family: FAMILIES[family],
        attributes: [
          attributeOf(NFTA_RULE_TABLE, Buffer.from(`${table}\0`)),
          attributeOf(NFTA_RULE_CHAIN, Buffer.from(`${chain}\0`)),
        ],
      }),
      onMessage: (message) => {
        if ((message.flags & NLM_F_DUMP_INTR) !== 0) throw new NetfilterError('CHANGED', { operation })
        const errno = errnoIn(message)
        if (errno !== undefined && errno !== 0) throw errorOfErrno(operation, errno, `${family} ${table} ${chain}`)
        if (errno === 0) return true
        const handle = attributesIn(message.payload).get(NFTA_RULE_HANDLE)
        if (handle !== undefined) handles.push(handle.readBigUInt64BE())
        return false
      },
    })
  } finally {
    socket.close()
  }
  return handles
}

// nf_tables is subsystem 10 of netfilter: the high byte of the type.
const NFT_MSG_GETTABLE = 0x0a_01
const NFTA_TABLE_NAME = 1
const NFT_MSG_GETRULE = 0x0a_07
const NFTA_RULE_TABLE = 1
const NFTA_RULE_CHAIN = 2
const NFTA_RULE_HANDLE = 3
const FAMILIES = { inet: 1, ip: 2, ip6: 10 } as const
