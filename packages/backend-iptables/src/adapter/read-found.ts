import type { Iptables } from 'node-iptables'
import type { Found } from '../plan/installed.js'
import type { Table } from '../ruleset/ruleset.js'
import { foundReader } from './found-reader.js'

/** A rule of somebody else that leads to a chain of ours, so that the chain cannot be deleted. */
export interface ForeignReference {
  readonly table: Table
  /** Where the rule stands. */
  readonly from: string
  /** In iptables-save's spelling. */
  readonly rule: string
  readonly chain: string
}

export interface Reading extends Found {
  readonly foreign: readonly ForeignReference[]
}

/**
 * Reads what is in the kernel of the proxy's chains, and what leads to them. Changes nothing. All tables are read at once,
 * because iptables-nft-save reads all of them whichever it is asked for.
 */
export async function readFound(iptables: Pick<Iptables, 'saveLines'>, signal?: AbortSignal): Promise<Reading> {
  const reader = foundReader()
  for await (const line of iptables.saveLines({}, { signal })) reader.read(line)
  return reader.end()
}
