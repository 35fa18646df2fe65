import type { AffinityEntry, TracedPacket } from '@pointsman/backend-iptables'
import { parseAddress } from '@pointsman/core'
import type { SavedTable } from 'node-iptables'
import { CliError } from '../errors.js'
import { portNumber } from '../packet/parse-packet.js'

/** What is known of the packet's connection and its client, as commander parses it. */
export interface ConnectionOptions {
  readonly state?: 'new' | 'established' | 'invalid'
  readonly connection?: string
  readonly affinity?: readonly string[]
}

/** CliError USAGE where they contradict each other, or an endpoint cannot be read. */
export function connectionOf({
  state = 'new',
  connection,
}: ConnectionOptions): Pick<TracedPacket, 'state' | 'connection'> {
  if (connection === undefined) return { state: STATES[state] }
  if (state !== 'established')
    throw new CliError(
      'USAGE',
      '--connection says where an established connection goes: give --state established with it',
    )
  const [, bracketed, bare, port = ''] = /^(?:\[([^\]]+)\]|([^:]+)):(\d+)$/.exec(connection) ?? []
  const address = parseAddress(bracketed ?? bare ?? '')?.text
  if (address === undefined) throw new CliError('USAGE', `--connection ${connection} is no endpoint: give ADDRESS:PORT`)
  return { state: 'ESTABLISHED', connection: { destination: { address, port: portNumber(port) } } }
}

const STATES = { new: 'NEW', established: 'ESTABLISHED', invalid: 'INVALID' } as const

/**
 * Which lists of session affinity the sender is on: those of `--affinity`, a list's name or the endpoint that it leads to.
 * Undefined: nothing is said about it. CliError NOT_FOUND for one that no rule has.
 */
export function affinityEntries(
  { affinity }: ConnectionOptions,
  { tables, source }: { readonly tables: readonly SavedTable[]; readonly source: string },
): readonly AffinityEntry[] | undefined {
  if (affinity === undefined) return undefined
  const lists = listsIn(tables)
  return affinity
    .filter((wanted) => wanted !== 'none')
    .flatMap((wanted) => {
      const found = lists.filter(({ list, leadsTo }) => list === wanted || leadsTo === wanted)
      if (found.length > 0) return found.map(({ list }) => ({ list, address: source }))
      throw new CliError(
        'NOT_FOUND',
        `--affinity ${wanted}: no rule remembers clients under this name, or of this endpoint`,
      )
    })
}

interface RecentList {
  readonly list: string
  /** Where the rule sends those that it remembers. */
  readonly leadsTo: string | undefined
}

function listsIn(tables: readonly SavedTable[]): readonly RecentList[] {
  return tables.flatMap(({ chains }) =>
    chains.flatMap(({ rules }) =>
      rules.flatMap(({ rule: { matches, target } }) =>
        matches.flatMap((match): readonly RecentList[] => {
          if (match.type !== 'recent' || match.name === undefined) return []
          return [{ list: match.name, leadsTo: target?.type === 'DNAT' ? target.to : undefined }]
        }),
      ),
    ),
  )
}
