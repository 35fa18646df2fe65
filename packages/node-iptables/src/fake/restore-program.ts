import { IptablesParseError } from '../rules/parse-rule.js'
import { parseRestoreLine, type RestoreLine } from '../rules/restore-line.js'
import type { Counters } from '../rules/rule.js'
import {
  applyOperation,
  isVerdict,
  readRule,
  type ApplyOptions,
  type KernelTables,
  type Operation,
} from './apply-operation.js'
import { NAT_IS_NO_FILTER } from './check-usage.js'
import { hookOf, type KernelTable } from './kernel-table.js'
import { invalidIn, type AddedRule } from './rule-checks.js'
import {
  commitExpected,
  misplacedLine,
  refusalOf,
  restoreEnding,
  unknownRestoreTable,
  usage,
  type Ending,
  type KernelReason,
  type KernelRefusal,
  type Refusal,
} from './spell-failure.js'

interface RestoreProgramOptions {
  readonly noflush: boolean
  readonly counters: boolean
  /** Asked before each COMMIT, with its line: an ending stops the restore there. */
  readonly beforeCommit?: ((line: number) => Ending | undefined) | undefined
  readonly onCommit?: (() => void) | undefined
}

/** A restore as it reads its input: each line's effect is there when the next is read. */
interface RestoreProgram {
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

interface OperationContext {
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

/** A refusal, and the line that is named for it. */
export interface RefusedAt {
  readonly refusal: Refusal
  readonly line: number
}

/** What happens to one table between its line and its COMMIT. Once something is refused, nothing of it is left. */
interface TableSession {
  /** Takes one line's change. */
  readonly add: (operation: Operation, line: number) => RefusedAt | undefined
  readonly commit: (line: number) => RefusedAt | undefined
  /** Takes back what was not committed. */
  readonly giveUp: () => void
}

type TableSessionOptions = Omit<ApplyOptions, 'wasThere'>

/** nft gathers the lines and runs them all at COMMIT; legacy runs each as it comes, and the kernel looks at COMMIT. */
export function tableSession(table: KernelTable, options: TableSessionOptions): TableSession {
  return options.variant === 'nft' ? nftSession(table, options) : legacySession(table, options)
}

interface NumberedOperation {
  readonly operation: Operation
  readonly line: number
}

function nftSession(table: KernelTable, { variant, noflush }: TableSessionOptions): TableSession {
  const operations: NumberedOperation[] = []
  const options: ApplyOptions = { variant, noflush, wasThere: noflush && table.exists }

  /** The first thing that the kernel has against it; what iptables itself says comes before all of that. */
  const applyAll = (commitLine: number): RefusedAt | undefined => {
    let refused: readonly RefusedAt[] = []
    for (const { operation, line } of operations) {
      if (flushesUserChain(table, operation) && (operation.chain !== undefined || options.wasThere))
        refused = withoutFlushed(refused, operation.chain)
      const refusal = applyOperation(table, operation, options)
      if (refusal?.type === 'kernel') refused = [...refused, { refusal, line }]
      else if (refusal !== undefined) return { refusal, line: refusal.type === 'usage' ? commitLine : line }
    }
    return refused[0]
  }

  /** The kernel goes through it again to find the first rule that makes the table a wrong one. */
  const firstInvalid = (): RefusedAt | undefined => {
    table.rollBack()
    for (const { operation, line } of operations) {
      applyOperation(table, operation, options)
      const invalid = invalidIn(table, { added: addedBy(table, operation), variant })
      if (invalid !== undefined) return { refusal: kernelRefusal(operation, REASONS[invalid]), line }
    }
    return undefined
  }

  return {
    add: (operation, line) => {
      operations.push({ operation, line })
      return undefined
    },
    commit: (line) => {
      const refused = applyAll(line)
      if (refused !== undefined) {
        table.rollBack()
        return refused
      }
      const added = operations.flatMap(({ operation }) => addedBy(table, operation))
      const invalid = invalidIn(table, { added, variant }) === undefined ? undefined : firstInvalid()
      if (invalid === undefined) table.keep()
      else table.rollBack()
      return invalid
    },
    giveUp: () => undefined,
  }
}

type Flush = Extract<Operation, { readonly type: 'flush' | 'chain' }>

const flushesUserChain = (table: KernelTable, operation: Operation): operation is Flush =>
  operation.type === 'flush' || (operation.type === 'chain' && hookOf(table.name, operation.chain) === undefined)

/** The kernel never gets to see rules of a chain that is emptied later in the same restore. Undefined: of any chain. */
const withoutFlushed = (refused: readonly RefusedAt[], chain: string | undefined): readonly RefusedAt[] =>
  refused.filter(
    ({ refusal }) =>
      refusal.type !== 'kernel' ||
      refusal.step === 'CHAIN_DEL' ||
      (chain !== undefined && refusal.object !== `rule in chain ${chain}`),
  )

function legacySession(table: KernelTable, given: TableSessionOptions): TableSession {
  const options: ApplyOptions = { ...given, wasThere: true }
  const operations: Operation[] = []

  /** The kernel sees what is left at COMMIT, and says nothing of where it is. */
  const refusedByKernel = (): KernelRefusal | undefined => {
    const added = operations.flatMap((operation) =>
      operation.type === 'append' || operation.type === 'insert' ? [operation] : [],
    )
    const refused = added.find(({ rule }) => rule.kernelRule.alive && rule.refused !== undefined)
    if (refused?.rule.refused !== undefined) return kernelRefusal(refused, refused.rule.refused)
    const changesWays = operations.some(({ type }) => type !== 'chain' && type !== 'new-chain' && type !== 'policy')
    const invalid = changesWays ? invalidIn(table, { added: [], variant: 'legacy' }) : undefined
    return invalid === undefined ? undefined : kernelRefusal({ type: 'flush-table' }, REASONS[invalid])
  }

  return {
    add: (operation, line) => {
      operations.push(operation)
      const refusal = applyOperation(table, operation, options)
      return refusal === undefined ? undefined : { refusal, line }
    },
    commit: (line) => {
      const refusal = refusedByKernel()
      if (refusal !== undefined) {
        table.rollBack()
        return { refusal, line }
      }
      if (operations.some((operation) => isChange(table, operation))) forgetCounters(table, operations)
      table.keep()
      return undefined
    },
    giveUp: () => table.rollBack(),
  }
}

/** A built-in chain's line without a policy says nothing to legacy. */
const isChange = (table: KernelTable, operation: Operation): boolean =>
  operation.type !== 'chain' || operation.policy !== undefined || hookOf(table.name, operation.chain) === undefined

/** A changed table's built-in chains count from zero, but for those whose counters were given. */
function forgetCounters(table: KernelTable, operations: readonly Operation[]): void {
  const given = new Set(
    operations.flatMap((one) => (one.type === 'chain' && one.policy !== undefined ? [one.chain] : [])),
  )
  for (const { name, policy, ...chain } of table.chains.values()) {
    if (policy !== undefined && chain.counters !== undefined && !given.has(name)) table.setCounters(name, undefined)
  }
}

const REASONS = { loop: 'Too many links', hook: 'Invalid argument' } as const

function addedBy(table: KernelTable, operation: Operation): readonly AddedRule[] {
  if (operation.type !== 'append' && operation.type !== 'insert') return []
  const chain = table.chains.get(operation.chain)
  return chain === undefined ? [] : [{ chain, rule: operation.rule.kernelRule }]
}

const kernelRefusal = (operation: Operation, reason: KernelReason): KernelRefusal => ({
  type: 'kernel',
  step: operation.type === 'insert' ? 'RULE_INSERT' : 'RULE_APPEND',
  reason,
  object: `rule in chain ${'chain' in operation ? (operation.chain ?? '') : ''}`,
})
