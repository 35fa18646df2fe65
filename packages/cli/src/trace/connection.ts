import { type AffinityEntry, type AffinityList, parseAddress, type TracedPacket } from '@pointsman/core'
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
  { lists, source }: { readonly lists: () => readonly AffinityList[]; readonly source: string },
): readonly AffinityEntry[] | undefined {
  if (affinity === undefined) return undefined
  const known = lists()
  return affinity
    .filter((wanted) => wanted !== 'none')
    .flatMap((wanted) => {
      const found = known.filter(({ list, leadsTo }) => list === wanted || leadsTo === wanted)
      if (found.length > 0) return found.map(({ list }) => ({ list, address: source }))
      throw new CliError(
        'NOT_FOUND',
        `--affinity ${wanted}: no rule remembers clients under this name, or of this endpoint`,
      )
    })
}
