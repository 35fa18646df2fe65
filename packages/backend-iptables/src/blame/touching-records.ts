import {
  type ChangeLogReader,
  type LogRecord,
  type RecordFilter,
  recordsInOrder,
  type Seq,
  type ServiceName,
} from '@pointsman/core'

export interface TouchingQuestion {
  readonly fromSeq: Seq
  readonly toSeq: Seq
  /** Absent: all of them. */
  readonly service?: ServiceName | 'none' | undefined
  /** The node that the rules are for; absent: any. */
  readonly nodeName?: string | undefined
  /** Whether the configurations of the log count. */
  readonly configs: boolean
}

/**
 * The records that can touch a node's rules, in order: of one Service those of itself and its slices, found by index, of the
 * Node, and of the configuration. No other record changes what that Service's rules say.
 */
export function* touchingRecords(
  reader: Pick<ChangeLogReader, 'records'>,
  { fromSeq, toSeq, service, nodeName, configs }: TouchingQuestion,
): Generator<LogRecord, void, undefined> {
  const span = { fromSeq, toSeq }
  if (service === undefined) {
    yield* reader.records({ ...span, types: ['object', ...(configs ? (['config'] as const) : [])] })
    return
  }
  const [namespace = '', name = ''] = service.split('/')
  const filters: readonly RecordFilter[] = [
    ...(service === 'none' ? [] : [{ ...span, types: ['object' as const], object: { namespace, name } }]),
    nodeName === undefined
      ? { ...span, types: ['object'], kinds: ['Node'] }
      : { ...span, types: ['object'], object: { kind: 'Node', namespace: '', name: nodeName } },
    ...(configs ? [{ ...span, types: ['config' as const] }] : []),
  ]
  yield* recordsInOrder(filters.map((filter) => reader.records(filter)))
}
