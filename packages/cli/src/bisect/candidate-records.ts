import {
  serviceOf,
  recordsInOrder,
  seq,
  serviceName,
  servicePortsOf,
  touchesPacket,
  type ChangeLogReader,
  type KubernetesObject,
  type LogRecord,
  type PacketTarget,
  type RecordFilter,
  type Seq,
  type ServiceName,
} from '@pointsman/core'

export interface CandidateQuestion {
  readonly reader: ChangeLogReader
  readonly target: PacketTarget
  /** Records after this one, up to that one. */
  readonly after: Seq
  readonly toSeq: Seq
  /** The node that the packet is on; absent: any Node counts. */
  readonly nodeName: string | undefined
  /** Whether the configurations of the log count. */
  readonly configs: boolean
}

/** All that a packet's fate can depend on in a span of a log, and nothing else of it. */
export interface Candidates {
  /** Services that have, or had, a front that the packet is sent to. */
  readonly services: readonly ServiceName[]
  /** What is there before the first record. */
  readonly objects: readonly KubernetesObject[]
  /** In order, found by index: of these Services, their slices, the Node and the configuration. */
  readonly records: () => Iterable<LogRecord>
}

export function candidatesFor({ reader, target, after, toSeq, nodeName, configs }: CandidateQuestion): Candidates {
  const span = { fromSeq: seq(after + 1), toSeq }
  const services = new Set<ServiceName>()
  const noteService = (object: KubernetesObject): void => {
    const { kind, metadata } = object
    if (kind !== 'Service') return
    const name = serviceName(metadata.namespace ?? '', metadata.name)
    if (!services.has(name) && servicePortsOf(object).ports.some((port) => touchesPacket(port, target)))
      services.add(name)
  }
  for (const record of reader.records({ ...span, types: ['object'], kinds: ['Service'] }))
    if (record.type === 'object') noteService(record.object)
  const objects: KubernetesObject[] = []
  if (after > 0) {
    reader.eachObjectAt(after, noteService)
    reader.eachObjectAt(after, (object) => {
      const service = serviceOf(object)
      if (object.kind === 'Node' || (service !== undefined && services.has(service))) objects.push(object)
    })
  }
  const filters: readonly RecordFilter[] = [
    ...[...services].map((service): RecordFilter => {
      const [namespace = '', name = ''] = service.split('/')
      return { ...span, types: ['object'], object: { namespace, name } }
    }),
    nodeName === undefined
      ? { ...span, types: ['object'], kinds: ['Node'] }
      : { ...span, types: ['object'], object: { kind: 'Node', namespace: '', name: nodeName } },
    ...(configs ? [{ ...span, types: ['config' as const] }] : []),
  ]
  return {
    services: [...services].toSorted(),
    objects,
    records: () => recordsInOrder(filters.map((filter) => reader.records(filter))),
  }
}
