import {
  assertNever,
  type Author,
  type LogRecord,
  type ObjectRecord,
  type Requester,
  type SyncRecord,
} from '@pointsman/core'
import { formatTime, formatTimeIfKnown, takenOver } from '../../output/json.js'
import type { AuthorJson } from '../../output/schema.js'
import type { HistoryEntry } from './history.js'
import type { RecordJson } from './schema.js'

/** The fields of a type of record. */
type BodyJson = Omit<RecordJson, 'seq' | 'time' | 'type'>

/** An item of a RecordList as `docs/json.md` has it. */
export function recordItem(
  { record, changes, patch }: HistoryEntry,
  { withPatch }: { readonly withPatch: boolean },
): RecordJson {
  return {
    seq: record.seq,
    time: formatTime(record.observedAt),
    type: record.type,
    ...bodyOf(record),
    changes,
    patch: withPatch ? patch : undefined,
  }
}

function bodyOf(record: LogRecord): BodyJson {
  switch (record.type) {
    case 'object':
      return objectBody(record)
    case 'bookmark': {
      const { kind, resourceVersion, initialEventsEnd, estimated } = record
      return { kind, resourceVersion, initialEventsEnd, estimated: estimated || undefined }
    }
    case 'sync':
      return syncBody(record)
    case 'config':
      return { config: record.config }
    case 'notice': {
      const { code, message, details } = record
      return { code, message, details }
    }
    default:
      return assertNever(record)
  }
}

function objectBody({ event, kind, namespace, name, uid, resourceVersion, estimated, author }: ObjectRecord): BodyJson {
  return {
    event,
    kind,
    namespace: namespace || undefined,
    name,
    uid: uid || undefined,
    resourceVersion: resourceVersion || undefined,
    estimated: estimated || undefined,
    author: author && authorItem(author),
  }
}

function syncBody({ seq: _seq, observedAt: _observedAt, type: _type, ...body }: SyncRecord): BodyJson {
  return takenOver<BodyJson>()(body)
}

export const authorItem = ({ manager, operation, time, subresource, requester }: Author): AuthorJson => ({
  manager,
  operation,
  time: formatTimeIfKnown(time),
  subresource,
  requester: requester && requesterItem(requester),
})

const requesterItem = ({ groups, sourceIPs, ...requester }: Requester): NonNullable<AuthorJson['requester']> => ({
  ...requester,
  groups: groups && [...groups],
  sourceIPs: sourceIPs && [...sourceIPs],
})
