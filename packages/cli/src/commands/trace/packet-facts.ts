import {
  type AffinityEntry,
  type AffinityList,
  type InterfaceAddresses,
  parseAddress,
  type TracedPacket,
} from '@pointsman/core'
import { CliError } from '../../errors.js'
import { portNumber } from '../../packet/resolve-packet.js'

/** What is known of a packet, its sender and its connection beside its addresses, as commander parses it. */
export interface PacketFacts {
  readonly interfaceAddress?: readonly string[]
  readonly uid?: string
  readonly gid?: string
  readonly mac?: string
  readonly physdevIn?: string
  readonly physdevOut?: string
  readonly state?: 'new' | 'established' | 'invalid'
  readonly connection?: string
  readonly affinity?: readonly string[]
}

/** What is known of who sends the packet, and by which ports of a bridge. CliError USAGE for what is none of it. */
export function senderOf({
  uid,
  gid,
  mac,
  physdevIn,
  physdevOut,
}: PacketFacts): Pick<TracedPacket, 'uid' | 'gid' | 'mac' | 'bridgeIn' | 'bridgeOut'> {
  if (mac !== undefined && !/^(?:[\da-f]{2}:){5}[\da-f]{2}$/i.test(mac))
    throw new CliError('USAGE', `--mac ${JSON.stringify(mac)} is not a MAC address: give one such as 00:16:3e:00:00:01`)
  return {
    uid: idOf('--uid', uid),
    gid: idOf('--gid', gid),
    mac: mac?.toLowerCase(),
    bridgeIn: physdevIn === 'none' ? '' : physdevIn,
    bridgeOut: physdevOut === 'none' ? '' : physdevOut,
  }
}

function idOf(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  if (/^\d{1,10}$/.test(text)) return Number(text)
  throw new CliError(
    'USAGE',
    `${option} ${JSON.stringify(text)} is not a number: give the numeric ID that \`id\` prints`,
  )
}

export function interfacesOf({ interfaceAddress = [] }: PacketFacts): readonly InterfaceAddresses[] | undefined {
  const byName = new Map<string, string[]>()
  for (const text of interfaceAddress) {
    const at = text.indexOf('=')
    const name = text.slice(0, Math.max(0, at))
    const address = parseAddress(text.slice(at + 1))?.text
    if (name === '' || address === undefined)
      throw new CliError(
        'USAGE',
        `--interface-address ${JSON.stringify(text)} is not NAME=ADDRESS: give one such as cni0=10.244.1.1`,
      )
    byName.set(name, [...(byName.get(name) ?? []), address])
  }
  return byName.size === 0 ? undefined : [...byName].map(([name, addresses]) => ({ name, addresses }))
}

/** CliError USAGE where they contradict each other, or an endpoint cannot be read. */
export function connectionOf({ state = 'new', connection }: PacketFacts): Pick<TracedPacket, 'state' | 'connection'> {
  if (connection === undefined) return { state: STATES[state] }
  if (state !== 'established')
    throw new CliError(
      'USAGE',
      '--connection says where an established connection goes: give --state established with it',
    )
  const [, bracketed, bare, port = ''] = /^(?:\[([^\]]+)\]|([^:]+)):(\d+)$/.exec(connection) ?? []
  const address = parseAddress(bracketed ?? bare ?? '')?.text
  if (address === undefined)
    throw new CliError('USAGE', `--connection ${connection} is not an endpoint: give ADDRESS:PORT`)
  return { state: 'ESTABLISHED', connection: { destination: { address, port: portNumber(port) } } }
}

const STATES = { new: 'NEW', established: 'ESTABLISHED', invalid: 'INVALID' } as const

/**
 * Which lists of session affinity the sender is on: those of `--affinity`, a list's name or the endpoint that it leads to.
 * Undefined: nothing is said about it. CliError NOT_FOUND for one that no rule has.
 */
export function affinityEntries(
  { affinity }: PacketFacts,
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
