import { constants } from 'node:os'
import { NetfilterError } from './netfilter-error.js'
import { attributeOf } from './netlink/messages.js'
import { askKernel } from './netlink/netlink-socket.js'

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

// nf_tables is subsystem 10 of netfilter: the high byte of the type.
const NFT_MSG_GETTABLE = 0x0a_01
const NFTA_TABLE_NAME = 1
const FAMILIES = { inet: 1, ip: 2, ip6: 10 } as const
