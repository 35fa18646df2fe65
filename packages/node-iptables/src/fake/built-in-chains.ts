/** The hooks of the kernel that a packet passes: the names of built-in chains. */
export type Hook = 'PREROUTING' | 'INPUT' | 'FORWARD' | 'OUTPUT' | 'POSTROUTING'

/** The kernel's tables, in the order in which `iptables-nft-save` prints them, with their built-in chains. */
export const BUILT_IN_CHAINS: ReadonlyMap<string, readonly Hook[]> = new Map<string, readonly Hook[]>([
  ['mangle', ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING']],
  ['security', ['INPUT', 'FORWARD', 'OUTPUT']],
  ['raw', ['PREROUTING', 'OUTPUT']],
  ['filter', ['INPUT', 'FORWARD', 'OUTPUT']],
  ['nat', ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING']],
])

export const hooksOf = (table: string): readonly Hook[] => BUILT_IN_CHAINS.get(table) ?? []

/** The hook of a built-in chain. Undefined: a user chain's name. */
export const hookOf = (table: string, chain: string): Hook | undefined => hooksOf(table).find((hook) => hook === chain)
