import { seq } from '../../model/record.js'
import type { LogPosition } from '../../ports/change-log.js'
import { bounded, checkCount, checkText, type Place, whole } from './checked-values.js'
import { floorOf, type LogTables } from './log-tables.js'
import { engineRecord } from './record-codec.js'
import { CODES_OF_TYPE, kindOfCode, TYPE_CODES } from './schema.js'

/** Newest first, from the head at the first one. */
export function* readPositions(tables: LogTables): Generator<LogPosition> {
  const notice = TYPE_CODES.NOTICE
  const page = tables.db
    .prepare(
      `SELECT r.seq, ${['r.type', 'o.kind'].map(whole).join()}, ${bounded('r.resource_version')}
       FROM records r LEFT JOIN objects o ON o.id = r.object_id
       WHERE r.seq <= ? AND r.seq > ? AND (r.object_id IS NOT NULL OR r.type = ${notice}) ORDER BY r.seq DESC LIMIT ${PAGE}`,
    )
    .raw()
  const floor = floorOf(tables.meta)
  let next = tables.head()
  for (;;) {
    const rows = page.all(next, floor) as readonly (readonly unknown[])[]
    for (const [position, type, kind, version] of rows) {
      const place: Place = `seq ${Number(position)}`
      const at = checkCount(position, place, 'the position')
      if (checkCount(type, place, 'the type', notice) === notice) {
        const row = tables.record(at)
        const record = row === undefined ? undefined : engineRecord(row)
        if (record?.type === 'notice') yield record
      } else {
        const resourceVersion =
          version === null
            ? ''
            : typeof version === 'number'
              ? String(version)
              : checkText(version, place, 'the resourceVersion')
        const isObject = CODES_OF_TYPE.object.includes(type as number)
        yield {
          type: isObject ? 'object' : 'bookmark',
          seq: seq(at),
          kind: kindOfCode(checkCount(kind, place, 'the kind')),
          resourceVersion,
        }
      }
      next = at - 1
    }
    if (rows.length < PAGE) return
  }
}

/** Rows read at a time. */
const PAGE = 512
