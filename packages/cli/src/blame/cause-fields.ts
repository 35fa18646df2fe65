import type { Cause, ServiceEdit } from '@pointsman/core'
import { authorItem } from '../history/record-item.js'
import { formatTime } from '../output/json.js'

/** The record behind a change of a rule, and the edit behind that, as `docs/json.md` has them; none for the start of a log. */
export function causeFields(cause: Cause, behind: ServiceEdit | undefined): object {
  if (cause.type === 'start') return {}
  const { record } = cause
  const position = { seq: record.seq, time: formatTime(record.observedAt) }
  if (record.type === 'config') return position
  const { event, kind, namespace, name, resourceVersion, author } = record
  return {
    ...position,
    event,
    kind,
    ...(namespace !== '' && { namespace }),
    name,
    ...(resourceVersion !== '' && { resourceVersion }),
    ...(author && { author: authorItem(author) }),
    ...(behind && { editBehind: editItem(behind) }),
  }
}

const editItem = ({ record, changes }: ServiceEdit): object => ({
  seq: record.seq,
  time: formatTime(record.observedAt),
  namespace: record.namespace,
  name: record.name,
  ...(record.author && { author: authorItem(record.author) }),
  changes,
})
