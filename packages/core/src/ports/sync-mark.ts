import { hash } from 'node:crypto'

/**
 * The mark of a sync: that of the tables, which is another one as soon as anybody changes them, and, where it is known, a digest of what the
 * rules were made from, with what each family had in force. Where tables and origin are found again, the rules are as this
 * program would plan them, so that a first sync need neither read nor plan.
 */
export interface SyncMark {
  readonly tables: string
  /** See `syncOrigin`. Absent: another build would have to plan the rules to know what is in force. */
  readonly origin?: string | undefined
  /** What each family has, in the backend's own words; none without an origin. */
  readonly sums: readonly string[]
}

/** `TABLES; ORIGIN; SUM; SUM`, or `TABLES`. */
export const syncMarkText = ({ tables, origin, sums }: SyncMark): string =>
  origin === undefined ? tables : [tables, origin, ...sums].join('; ')

export function parseSyncMark(text: string): SyncMark {
  const [tables = '', origin, ...sums] = text.split('; ')
  return { tables, origin, sums }
}

/**
 * What rules are made from, and by which program, as a digest: objects, and what else each family's rules depend on, as text.
 * Undefined: it is not known.
 */
export function syncOrigin({
  build,
  objects,
  contexts,
}: {
  readonly build: string | undefined
  readonly objects: string | undefined
  readonly contexts: readonly string[]
}): string | undefined {
  if (build === undefined || objects === undefined) return undefined
  return hash('sha256', [build, objects, ...contexts].join('\n'))
}
