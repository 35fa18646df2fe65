import { IptablesParseError } from '../rules/parse-error.js'
import { parseRestoreLine } from '../rules/restore-line.js'
import type { RestoreLine } from '../rules/restore-line.js'
import type { Counters } from '../rules/rule.js'
import { NAT_IS_NO_FILTER } from './check-usage.js'
import type { KernelTables } from './kernel-tables.js'
import { isVerdict, readRule } from './operation.js'
import type { Operation } from './operation.js'
import { usage } from './refusal.js'
import type { Refusal } from './refusal.js'
import { commitExpected, misplacedLine, refusalOf, restoreEnding, unknownRestoreTable } from './spell-failure.js'
import type { Ending } from './spell-failure.js'
import { tableSession } from './table-session.js'
import type { TableSession } from './table-session.js'

export interface RestoreProgramOptions {
  readonly noflush: boolean
  readonly counters: boolean
  /** Asked before each COMMIT, with its line: an ending stops the restore there. */
  readonly beforeCommit?: ((line: number) => Ending | undefined) | undefined
  readonly onCommit?: (() => void) | undefined
}

/** A restore as it reads its input: each line's effect is there when the next is read. */
export interface RestoreProgram {
  /** Undefined: go on. */
  readonly read: (line: string) => Ending | undefined
  /** The input is over. */
  readonly end: () => Ending
  /** Takes back what was not committed. */
  readonly giveUp: () => void
}

export function restoreProgram(tables: KernelTables, options: RestoreProgramOptions): RestoreProgram {
  const { program } = tables
  let number = 0
  let open: { readonly table: string; readonly session: TableSession } | undefined

  const refuse = (refusal: Refusal): Ending => restoreEnding(program, { refusal, line: number })

  const openTable = (name: string): Ending | undefined => {
    const table = tables.open(name)
    if (table === undefined) return refuse(unknownRestoreTable(program, { table: name, line: number }))
    open = { table: name, session: tableSession(table, { variant: program.variant, noflush: options.noflush }) }
    if (!options.noflush) open.session.add({ type: 'flush-table' }, number)
    return undefined
  }

  const commit = (session: TableSession): Ending | undefined => {
    const stopped = options.beforeCommit?.(number)
    if (stopped !== undefined) return stopped
    const refused = session.commit(number)
    if (refused !== undefined) return restoreEnding(program, refused)
    open = undefined
    options.onCommit?.()
    return undefined
  }

  const read = (text: string): Ending | undefined => {
    number += 1
    const line = lineOf(text, number)
    if (isParsed(line) && (line.type === 'blank' || line.type === 'comment')) return undefined
    if (open === undefined) {
      return isParsed(line) && line.type === 'table' ? openTable(line.table) : misplacedLine(program, number)
    }
    if (!isParsed(line)) return refuse(line.refusal)
    if (line.type === 'commit') return commit(open.session)
    if (line.type === 'table') return refuse({ type: 'usage', says: `Bad argument \`${text}'` })
    const operation = operationOf(line, { tables, table: open.table, counters: options.counters })
    if ('refusal' in operation) return refuse(operation.refusal)
    const refused = open.session.add(operation, number)
    return refused === undefined ? undefined : restoreEnding(program, refused)
  }

  return {
    read,
    end: () => (open === undefined ? { exitCode: 0, stderr: '' } : commitExpected(program, number + 1)),
    giveUp: () => open?.session.giveUp(),
  }
}

type Refused = { readonly refusal: Refusal }

const isParsed = (line: RestoreLine | Refused): line is RestoreLine => 'type' in line

function lineOf(text: string, number: number): RestoreLine | Refused {
  try {
    return parseRestoreLine(text, number)
  } catch (error) {
    if (error instanceof IptablesParseError) return { refusal: refusalOf(error) }
    throw error
  }
}

export interface OperationContext {
  readonly tables: KernelTables
  readonly table: string
  /** Whether counters are taken from the lines. */
  readonly counters: boolean
}

/** What a line changes; its rule is read as iptables reads it. */
export function operationOf(
  line: Exclude<RestoreLine, { readonly type: 'blank' | 'comment' | 'table' | 'commit' }>,
  { tables: { program, objects }, table, counters: takesCounters }: OperationContext,
): Operation | Refused {
  const counted = takesCounters && 'counters' in line ? { counters: line.counters } : {}
  if ((line.type === 'chain' || line.type === 'new-chain') && isVerdict(line.chain)) {
    return { refusal: usage('chain name may not clash with target name\n') }
  }
  if (line.type === 'chain') {
    const { chain, policy } = line
    return { type: 'chain', chain, ...(policy === undefined ? {} : { policy }), ...counted }
  }
  if (line.type === 'policy' && table === 'nat' && line.policy === 'DROP') return { refusal: usage(NAT_IS_NO_FILTER) }
  if (line.type !== 'append' && line.type !== 'insert' && line.type !== 'delete') return line
  const given: { chain: string; rule: typeof line.rule; counters?: Counters } = {
    chain: line.chain,
    rule: line.rule,
    ...counted,
  }
  const rule = readRule(given, { ...program, table, objects })
  if ('type' in rule) return { refusal: rule }
  if (line.type === 'insert') return { type: 'insert', chain: line.chain, position: line.position, rule }
  return { type: line.type, chain: line.chain, rule }
}
