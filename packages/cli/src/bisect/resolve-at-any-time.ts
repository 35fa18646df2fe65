import { buildState, type ChangeLogReader, type IpFamily, type NodeInfo, type State } from '@pointsman/core'
import { CliError } from '../errors.js'
import { type AskedObjects, describeAsked } from '../input/asked-objects.js'
import { serviceFilter } from '../history/log-filter.js'
import type { PacketText } from '../packet/parse-packet.js'
import { type ResolvedPacket, resolvePacket } from '../packet/resolve-packet.js'

export interface AnyTimeQuestion {
  readonly packet: PacketText
  readonly state: State
  readonly node: NodeInfo | undefined
  readonly nodeAddresses: readonly string[]
  readonly family: IpFamily | undefined
  readonly reader: ChangeLogReader
  readonly asked: AskedObjects
}

/**
 * The packet in addresses. The name of a Service, or of a port of it, that is there no longer means what it meant last. CliError
 * NOT_FOUND and USAGE as resolvePacket.
 */
export function resolveAtAnyTime(question: AnyTimeQuestion): {
  readonly packet: ResolvedPacket
  readonly assumption?: string
} {
  const { packet, state, node, nodeAddresses, family } = question
  const resolveIn = (names: State): ResolvedPacket => resolvePacket({ packet, names, node, nodeAddresses, family })
  try {
    return { packet: resolveIn(state) }
  } catch (error) {
    if (!(error instanceof CliError) || error.code !== 'NOT_FOUND') throw error
    const found = lastResolved(question, resolveIn)
    if (found === undefined) throw error
    const { host, port } = packet.destination
    const name = port === undefined ? host : `${host}:${port}`
    return {
      packet: found.packet,
      assumption: `${name} is not there ${describeAsked(question.asked)}: taken for what it was at seq ${found.seq}`,
    }
  }
}

/** The names of today, with the Service as it was, the latest version first that has what is asked for. */
function lastResolved(
  { packet: { destination }, state, reader, asked }: AnyTimeQuestion,
  resolveIn: (names: State) => ResolvedPacket,
): { readonly packet: ResolvedPacket; readonly seq: number } | undefined {
  const object = serviceEver(reader, destination.host)
  if (object === undefined || asked.seq === undefined) return undefined
  for (const record of reader.records({
    types: ['object'],
    object: { kind: 'Service', ...object },
    toSeq: asked.seq,
    descending: true,
  })) {
    if (record.type !== 'object') continue
    const { services } = buildState({ objects: [record.object] }).state
    try {
      return { packet: resolveIn({ ...state, services: new Map([...state.services, ...services]) }), seq: record.seq }
    } catch (error) {
      if (!(error instanceof CliError)) throw error
    }
  }
  return undefined
}

function serviceEver(reader: ChangeLogReader, service: string): ReturnType<typeof serviceFilter> | undefined {
  try {
    return serviceFilter({ reader, service, namespace: undefined })
  } catch (error) {
    if (error instanceof CliError) return undefined
    throw error
  }
}
