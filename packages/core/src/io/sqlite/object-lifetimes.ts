import type { KubernetesObject, ObjectReference } from '../../model/kubernetes-object.js'
import { bounded, checkCount, whole } from './checked-values.js'
import { loadObjectById } from './load-objects.js'
import { checkObjectRow, floorOf, type LogTables } from './log-tables.js'
import { unpackVersion, type PackedVersion } from './packed-version.js'
import { loadObject, storeVersion } from './record-codec.js'
import { KIND_CODES, kindOfCode } from './schema.js'

/** An object that lives in the log: added, and neither deleted nor replaced by another of its name. */
export interface Life {
  readonly id: number
  readonly uid: string
  /** The highest resourceVersion that the log holds of it; undefined while that was not looked up, or is no number. */
  newest: number | undefined
  /** The Service that it belonged to last, of a slice. */
  service: string | undefined
}

/** Who lives: one life at a time of one kind, namespace and name. */
export interface Lives {
  get(key: string): Life | undefined
  /** Of all that live, in no order. */
  ids(): number[]
  /** A new life; `live` says that it is the one of its name. */
  begin(reference: ObjectReference): Life
  live(key: string, life: Life): void
  /** A life that is over from this record on. */
  end(key: string, life: Life, seq: number): void
  /** The position of an event that the log holds already. */
  duplicate(event: SameEvent): number | undefined
}

export interface SameEvent {
  readonly reference: ObjectReference
  readonly life: Life | undefined
  readonly type: number
  readonly object: KubernetesObject
  readonly versions: { readonly get: (id: number) => PackedVersion | undefined }
}

export const lifeKey = ({ kind, namespace, name }: ObjectReference): string => `${kind}/${namespace}/${name}`

export function createLives(tables: LogTables): Lives {
  const { db } = tables
  const insert = db.prepare('INSERT INTO objects (kind, namespace, name, uid) VALUES (?, ?, ?, ?)')
  const end = db.prepare('UPDATE objects SET ended_seq = ? WHERE id = ?')
  const ids = db
    .prepare('SELECT id FROM objects WHERE namespace = ? AND name = ? AND kind = ? AND uid = ? ORDER BY id DESC')
    .pluck()
  const same = db.prepare('SELECT seq FROM records WHERE object_id = ? AND resource_version = ? AND type = ?').pluck()
  const newest = db.prepare(`SELECT ${bounded('max(resource_version)')} FROM records WHERE object_id = ?`).pluck()
  const last = db.prepare('SELECT max(seq) FROM records WHERE object_id = ?').pluck()
  const lives = new Map<string, Life>()

  const rows = db
    .prepare(
      `SELECT id, ${whole('kind')}, ${['namespace', 'name', 'uid'].map(bounded).join()}
       FROM objects WHERE ended_seq IS NULL AND name != ''`,
    )
    .raw()
  for (const row of rows.iterate()) {
    const [rowId, ...columns] = row as readonly unknown[]
    const id = checkCount(rowId, `object ${Number(rowId)}`, 'the id')
    const [code, namespace, name, uid] = checkObjectRow(columns, `object ${id}`)
    const key = lifeKey({ kind: kindOfCode(code), namespace, name, uid })
    lives.set(key, { id, uid, newest: undefined, service: undefined })
  }

  const lookUp = ({ reference, type }: SameEvent, version: string | number): number | undefined => {
    for (const id of ids.all(
      reference.namespace,
      reference.name,
      KIND_CODES[reference.kind],
      reference.uid,
    ) as number[]) {
      const position = same.get(id, version, type) as number | undefined
      if (position !== undefined) return position
    }
    return undefined
  }

  /** Manifests and tests have no resourceVersion: an event is the same when it changes nothing. */
  const lookUpByContent = ({ reference, type, object, versions, life }: SameEvent): number | undefined => {
    const known = ids.all(reference.namespace, reference.name, KIND_CODES[reference.kind], reference.uid) as number[]
    const id = life !== undefined && life.uid === reference.uid ? life.id : known[0]
    if (id === undefined) return undefined
    const position = last.get(id) as number | null
    const row = position === null ? undefined : tables.record(position)
    if (position === null || row === undefined || row[1] !== type || position <= floorOf(tables.meta)) return undefined
    const packed = versions.get(id)
    const present =
      packed === undefined
        ? loadObject(row, loadObjectById(tables, id, position - 1), undefined)
        : unpackVersion(packed)
    return JSON.stringify(present) === JSON.stringify(object) ? position : undefined
  }

  return {
    get: (key) => lives.get(key),
    ids: () => [...lives.values()].map(({ id }) => id),
    begin({ kind, namespace, name, uid }) {
      const { lastInsertRowid } = insert.run(KIND_CODES[kind], namespace, name, uid)
      return { id: Number(lastInsertRowid), uid, newest: undefined, service: undefined }
    },
    live: (key, life) => void lives.set(key, life),
    end(key, life, seq) {
      end.run(seq, life.id)
      if (lives.get(key) === life) lives.delete(key)
    },
    duplicate(event) {
      const version = storeVersion(event.object.metadata['resourceVersion'])
      if (version === null) return lookUpByContent(event)
      const { life, reference } = event
      if (life === undefined || life.uid !== reference.uid || typeof version !== 'number') return lookUp(event, version)
      if (life.newest === undefined) {
        const found = newest.get(life.id) as number | string | null
        if (typeof found === 'number') life.newest = found
      }
      // A version above all that the log has of this object cannot be in it. That is most events, and saves a search.
      if (life.newest !== undefined && version > life.newest) return undefined
      return lookUp(event, version)
    },
  }
}
