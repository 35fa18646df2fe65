import { type ChangeLogReader, type ObjectDifference, type ObjectRecord, seq, type Seq } from '@pointsman/core'

/** Looking a record up costs some milliseconds: of more objects than this it is left out. */
const MOST_OBJECTS = 200

/** The last record between two points of each object that differs. */
export function lastChanges(
  reader: Pick<ChangeLogReader, 'records'>,
  objects: readonly ObjectDifference[],
  { after, upTo }: { readonly after: Seq; readonly upTo: Seq },
): ReadonlyMap<ObjectDifference, ObjectRecord> {
  const found = new Map<ObjectDifference, ObjectRecord>()
  if (objects.length > MOST_OBJECTS || after >= upTo) return found
  for (const object of objects) {
    const { kind, namespace, name } = object
    const span = { fromSeq: seq(after + 1), toSeq: upTo, descending: true }
    for (const record of reader.records({ ...span, types: ['object'], object: { kind, namespace, name } })) {
      // The log also answers with slices of the Service of that name.
      if (record.type !== 'object' || record.name !== name) continue
      found.set(object, record)
      break
    }
  }
  return found
}
