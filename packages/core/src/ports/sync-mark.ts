import { hash } from 'node:crypto'
import type { NodeInfo } from '../model/node.js'
import { NO_SEQ } from '../model/record.js'
import type { State } from '../state/state.js'
import type { Confirmation, LastSync } from './machine.js'

/**
 * The mark of a sync: that of the tables, which is another one as soon as anybody changes them, and, where it is known, digests of what
 * the rules were made from, with what each family had in force. Where tables and origin are found again, the rules are as this
 * program would plan them, so that a first sync need neither read nor plan.
 */
export interface SyncMark {
  readonly tables: string
  /** Absent: another build would have to plan the rules to know what is in force. */
  readonly made?: SyncOrigin | undefined
  /** What each family has, in the backend's own words; none without an origin. */
  readonly sums: readonly string[]
}

/** What rules are made from, and by which program, as digests. */
export interface SyncOrigin {
  /** Of the state's objects, the settings and the build. */
  readonly origin: string
  /** Of the Node, the settings and the build. */
  readonly settings: string
}

/** `TABLES; ORIGIN SETTINGS; SUM; SUM`, or `TABLES`. */
export const syncMarkText = ({ tables, made, sums }: SyncMark): string =>
  made === undefined ? tables : [tables, `${made.origin} ${made.settings}`, ...sums].join('; ')

export function parseSyncMark(text: string): SyncMark {
  const [tables = '', made, ...sums] = text.split('; ')
  const [origin, settings] = made?.split(' ') ?? []
  return { tables, sums, ...(origin !== undefined && settings !== undefined && { made: { origin, settings } }) }
}

export interface SyncOrigins {
  /** Undefined: it is not known. */
  readonly of: (state: State, objects: string | undefined) => SyncOrigin | undefined
  /** The settings alone, before the objects are known. */
  readonly settingsOf: (node: NodeInfo | undefined) => string | undefined
}

/** `contextsOf` gives what else than its objects each family's rules depend on, as text; of a state without objects: all that is not of them. */
export function createSyncOrigins(
  build: string | undefined,
  contextsOf: (state: State) => readonly string[],
): SyncOrigins {
  const digest = (parts: readonly string[]): string => hash('sha256', parts.join('\n'))
  const settingsOf = (node: NodeInfo | undefined): string | undefined => {
    return build && digest([build, ...contextsOf({ ...NO_OBJECTS, ...(node && { node }) })])
  }
  return {
    settingsOf,
    of(state, objects) {
      const settings = settingsOf(state.node)
      if (build === undefined || settings === undefined || objects === undefined) return undefined
      return { origin: digest([build, objects, ...contextsOf(state)]), settings }
    },
  }
}

const NO_OBJECTS: State = { seq: NO_SEQ, nodes: new Map(), services: new Map(), endpoints: new Map(), serviceCidrs: [] }

export interface ConfirmOptions {
  /** Of this program: see `SyncOrigins`. */
  readonly settings: string | undefined
  readonly families: number
  readonly witness:
    | {
        readonly has: (mark: string) => Promise<boolean>
        readonly presentMark: (like: string) => Promise<string | undefined>
      }
    | undefined
  /** Reads what is in force: whether each family has what these sums say. */
  readonly haveSums: (sums: readonly string[]) => Promise<boolean>
}

/** As `DataplaneBackend.confirmLast`, with the last sync under the mark that the tables have now. */
export async function confirmLastSync(
  last: LastSync | undefined,
  { settings, families, witness, haveSums }: ConfirmOptions,
): Promise<{ readonly by: Confirmation; readonly last: LastSync } | undefined> {
  const mark = last && parseSyncMark(last.mark)
  if (last === undefined || mark?.made === undefined || mark.made.settings !== settings) return undefined
  if (witness === undefined || mark.sums.length !== families) return undefined
  if (await witness.has(mark.tables)) return { by: 'unchanged', last }
  const present = await witness.presentMark(mark.tables)
  if (present === undefined || !(await haveSums(mark.sums))) return undefined
  // What was committed while they were read may not have been read.
  if (!(await witness.has(present))) return undefined
  return { by: 'read', last: { ...last, mark: syncMarkText({ ...mark, tables: present }) } }
}
